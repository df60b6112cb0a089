// The members that this node knows: those it has a link with, those it had one with, and those it was told of.

import type { InstanceId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import { ENDPOINTS_MAX } from '../../wire/link/confirm.ts'
import type { MemberEntry } from '../../wire/link/members.ts'
import { type HeartbeatSettings, pulse } from '../links/heartbeat.ts'
import type { Link, LinkEnd } from '../links/link.ts'
import { Vouching } from '../links/vouching.ts'
import type { Membership, MemberView } from '../ports.ts'
import type { MemberQueue, MemberStatus } from '../status.ts'
import { type Evidence, type MemberState, transition } from './memberstate.ts'

export class Member implements MemberView {
  readonly id: NodeId
  instance: InstanceId
  name: string
  version: string
  endpoints: readonly Endpoint[]
  state: MemberState = 'suspect'
  /** By the wall clock, for people. */
  sinceMs: number
  /** By the monotonic clock: when it last gave a sign, or was first told of. */
  heardMs: number
  link: Link | null = null
  everLinked = false
  /** When it was last heard without anybody between, or first told of, by the monotonic clock. */
  straightMs: number

  constructor(entry: Pick<MemberEntry, 'id' | 'instance' | 'name' | 'version' | 'endpoints'>, clock: Clock) {
    this.id = entry.id
    this.instance = entry.instance
    this.name = entry.name
    this.version = entry.version
    this.endpoints = entry.endpoints
    this.sinceMs = clock.wall()
    this.heardMs = clock.now()
    this.straightMs = this.heardMs
  }

  get linked(): boolean {
    return this.link !== null
  }

  /** There is a link with it that nobody carries. */
  get straight(): boolean {
    return this.link?.via === null
  }

  /**
   * What we tell others of it. Where this machine alone reaches it is of no use to another, which would dial itself;
   * loopback is told only of members that have nothing else, on a machine without a network.
   */
  entry(): MemberEntry {
    const { id, instance, name, version } = this
    const abroad = this.endpoints.filter(({ address }) => !isLoopback(address))
    const endpoints = abroad.length > 0 ? abroad : this.endpoints
    return { id, instance, endpoints, name, version, linked: this.straight, left: this.state === 'left' }
  }
}

export class Members implements Membership {
  readonly self: NodeId
  readonly #clock: Clock
  readonly #log: Log
  readonly #members = new Map<NodeId, Member>()
  readonly #vouching = new Vouching()
  readonly #listeners: ((member: MemberView) => void)[] = []
  readonly #removed: (id: NodeId) => boolean

  /** `removed`: whether a box was removed from the cluster, and is nobody's member whatever is told of it. */
  constructor(
    self: NodeId,
    world: { readonly clock: Clock; readonly log: Log },
    removed: (id: NodeId) => boolean = () => false,
  ) {
    this.self = self
    this.#removed = removed
    this.#clock = world.clock
    this.#log = world.log
  }

  member(id: NodeId): MemberView | null {
    return this.#members.get(id) ?? null
  }

  onChange(listener: (member: MemberView) => void): void {
    this.#listeners.push(listener)
  }

  get size(): number {
    return this.#members.size
  }

  get(id: NodeId): Member | undefined {
    return this.#members.get(id)
  }

  values(): IterableIterator<Member> {
    return this.#members.values()
  }

  /** A link is up: what the peer says of itself there is what counts. */
  linkUp(link: Link): Member {
    const { told } = link
    const entry = {
      id: link.peer,
      instance: link.peerInstance,
      name: told.name,
      version: told.version,
      endpoints: endpointsOf(link),
    }
    const member = this.#members.get(link.peer) ?? this.#add(new Member(entry, this.#clock))
    member.instance = entry.instance
    member.name = entry.name
    member.version = entry.version
    member.endpoints = entry.endpoints
    member.link = link
    member.everLinked = true
    this.#seen(member, 'linked', true)
    return member
  }

  linkDown(link: Link, why: LinkEnd): Member | null {
    const member = this.#members.get(link.peer)
    if (member === undefined || member.link !== link) return null
    member.link = null
    member.heardMs = link.heardMs
    if (link.via === null) member.straightMs = link.heardMs
    this.#vouching.silent(link.peer)
    const said = { leaving: 'left', stopping: 'stopped' } as const
    const evidence: Evidence =
      why.goodbye === 'leaving' || why.goodbye === 'stopping'
        ? said[why.goodbye]
        : why.reason === 'silent' && !this.#lives(member)
          ? 'overdue'
          : 'lost'
    this.#seen(member, evidence, true)
    return member
  }

  /**
   * `teller` told us of a member. Of itself it is believed; of others only what we cannot see ourselves. Returns the
   * member when that was news, to be told on: so news passes each node once and comes to rest.
   */
  told(entry: MemberEntry, teller: NodeId): Member | null {
    if (entry.id === this.self || this.#removed(entry.id)) return null
    if (entry.id !== teller) this.#vouching.says(teller, entry.id, entry.linked)
    const known = this.#members.get(entry.id)
    if (known === undefined) {
      if (!this.#makeRoom()) return null
      const member = this.#add(new Member(entry, this.#clock))
      this.#log.info({ member: entry.id, name: entry.name, teller }, 'member told of')
      if (entry.left) this.#seen(member, 'left', false)
      else this.#changed(member)
      return member
    }
    if (entry.id === teller) {
      known.endpoints = merged(known.endpoints, entry.endpoints)
      return null
    }
    if (known.linked) return null
    const news = entry.instance > known.instance
    if (news) {
      known.instance = entry.instance
      known.endpoints = merged(entry.endpoints, known.endpoints)
    }
    if (entry.left && entry.instance >= known.instance && known.state !== 'left') {
      this.#seen(known, 'left', false)
      return known
    }
    return news ? known : null
  }

  /** Members with a straight link to us that say that they have one with `id`. */
  vouchers(id: NodeId): readonly NodeId[] {
    return this.#vouching.for(id).filter((teller) => this.#members.get(teller)?.straight === true)
  }

  /** It was removed from the cluster. */
  remove(id: NodeId): void {
    const member = this.#members.get(id)
    if (member !== undefined) this.#seen(member, 'left', false)
  }

  /** Looks at all of them; called several times in a heartbeat. */
  look(nowMs: number, settings: HeartbeatSettings, marginMs: number): void {
    for (const member of this.#members.values()) {
      if (member.link !== null) {
        const silentMs = nowMs - member.link.heardMs
        this.#seen(member, pulse(silentMs, settings) === 'alive' ? 'heard' : 'silent', false)
      } else if (pulse(nowMs - member.heardMs, settings, marginMs) === 'dead' && !this.#lives(member)) {
        this.#seen(member, 'overdue', false)
      }
    }
  }

  /** `queue`: what waits here for a member. */
  rows(queue: ((id: NodeId) => MemberQueue) | null = null): MemberStatus[] {
    return [...this.#members.values()].map((member) => ({
      ...(queue === null ? {} : { queue: queue(member.id) }),
      id: member.id,
      name: member.name,
      self: false,
      state: member.state,
      linked: member.linked,
      address: member.endpoints[0] === undefined ? '' : endpointText(member.endpoints[0]),
      version: member.version,
      rttMs: tenths(member.link?.rttMs ?? null),
      sinceMs: member.sinceMs,
      ...(member.link === null || member.link.via === null ? {} : { via: member.link.via }),
    }))
  }

  /** Somebody else has a link with it, so it is not dead: we only cannot reach it. */
  #lives(member: Member): boolean {
    return this.#vouching.for(member.id).some((teller) => {
      const by = this.#members.get(teller)
      // Who is silent himself may be gone, and his word with him.
      return by?.linked === true && by.state === 'alive'
    })
  }

  #seen(member: Member, evidence: Evidence, linkChanged: boolean): void {
    const next = transition(member.state, evidence)
    if (next === member.state) {
      if (linkChanged) this.#changed(member)
      return
    }
    this.#log.info({ member: member.id, name: member.name, was: member.state, now: next, evidence }, 'member state')
    member.state = next
    member.sinceMs = this.#clock.wall()
    this.#changed(member)
  }

  #changed(member: Member): void {
    for (const listener of this.#listeners) listener(member)
  }

  #add(member: Member): Member {
    this.#members.set(member.id, member)
    return member
  }

  /** Whoever was only told of and never came goes first; who is linked never goes. */
  #makeRoom(): boolean {
    if (this.#members.size < limits.members) return true
    const goers = [...this.#members.values()].filter(({ link, everLinked }) => link === null && !everLinked)
    const goer = goers.find(({ state }) => state === 'dead' || state === 'left')
    return goer !== undefined && this.#members.delete(goer.id)
  }
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

const tenths = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 10) / 10)

/** Where a linked member can be reached: where we reached it, where it says, where it came from. */
function endpointsOf(link: Link): readonly Endpoint[] {
  const seen = link.via === null ? [{ address: link.remote.address, port: link.told.clusterPort }] : []
  return merged([...(link.dialled === null ? [] : [link.dialled]), ...link.told.endpoints, ...seen], [])
}

function merged(first: readonly Endpoint[], then: readonly Endpoint[]): readonly Endpoint[] {
  const byText = new Map([...first, ...then].filter(({ port }) => port > 0).map((one) => [endpointText(one), one]))
  return [...byText.values()].slice(0, ENDPOINTS_MAX)
}
