// Letting boxes in, as one member does it: its invites, those who talk to it, and the list of all who wait.

import { HostError } from '../../base/errors.ts'
import type { ClusterId, NodeId } from '../../base/ids.ts'
import { type ByteStream, endpointText } from '../../base/ports/streams.ts'
import type { StampClock } from '../../base/stamps.ts'
import type { Hellos } from '../links/greeting.ts'
import type { LinksSelf } from '../links/links.ts'
import type { Refusals } from '../links/refusals.ts'
import type { SharedSettings } from '../maps/sharedsettings.ts'
import type { Member, Members } from '../members/members.ts'
import type { Channels } from '../ports.ts'
import type { Papers } from '../trust/custody.ts'
import type { Issuing } from '../trust/issuing.ts'
import type { KnownKeys } from '../trust/keys.ts'
import type { Admission } from './admission.ts'
import { Admissions, type AdmissionsWorld, type Replaceable } from './admissions.ts'
import { Invites, type InviteWish, type MadeInvite } from './invites.ts'
import { WaitingList } from './waitinglist.ts'

export interface LettingInParts {
  readonly channels: Channels
  readonly members: Members
  readonly stamps: StampClock
  readonly issuing: Issuing
  readonly refusals: Refusals
  readonly keys: KnownKeys
  readonly shared: SharedSettings
  papers(): Papers | null
  about: LinksSelf['about']
  password(): string | null
  asks(cluster: ClusterId): boolean
  remove(node: NodeId, done: (why: string | null) => void): void
}

export class LettingIn {
  readonly waiting: WaitingList
  readonly invites: Invites
  readonly #admissions: Admissions
  readonly #parts: LettingInParts

  constructor(world: AdmissionsWorld, parts: LettingInParts) {
    this.#parts = parts
    const { channels, members, stamps, shared, issuing, refusals, keys } = parts
    const { random, trust } = world
    this.invites = new Invites({ random, trust, now: () => stamps.timeMs }, shared)
    this.#admissions = new Admissions(world, {
      invites: this.invites,
      issuing,
      refusals,
      papers: () => parts.papers(),
      about: () => parts.about(),
      password: () => parts.password(),
      member: (id) => members.member(id),
      replaceable: (name) =>
        name === parts.about().name
          ? { wrong: `${name} is this member, and alive` }
          : replaceable([...members.values()], name),
      remove: (node, done) => parts.remove(node, done),
      asks: (cluster) => parts.asks(cluster),
      letIn: (node, key) => void keys.agrees(node, key),
      waitingChanged: () => this.waiting.tell(),
    })
    this.waiting = new WaitingList(world, channels, members, stamps, this.#admissions)
  }

  /** This box is a member, or `cluster.password` has changed. */
  prepare(): void {
    this.#admissions.prepare()
  }

  welcome(stream: ByteStream, hellos: Hellos, leave: () => void): void {
    this.#admissions.welcome(stream, hellos, leave)
  }

  invite(wish: InviteWish): MadeInvite | HostError {
    const papers = this.#parts.papers()
    if (papers === null)
      return new HostError('unavailable', 'this box is not a member of a cluster: it can let nobody in')
    return this.invites.make(wish, papers.authority.clusterId, this.#parts.members.self)
  }

  /** Those who wait for people and talk to this member. */
  get own(): readonly Admission[] {
    return this.#admissions.waiting()
  }

  stop(): void {
    this.#admissions.stop()
    this.waiting.stop()
  }
}

/** Nobody takes the place of a box that lives. */
export function replaceable(
  members: readonly Pick<Member, 'id' | 'name' | 'state' | 'linked' | 'endpoints'>[],
  name: string,
): Replaceable {
  const named = members.filter((member) => member.name === name && member.state !== 'left')
  const [first] = named
  if (first === undefined) {
    if (members.some((member) => member.name === name)) return { id: null }
    return { wrong: `no member has the name ${JSON.stringify(name)}` }
  }
  const living = named.find(({ linked, state }) => linked || state === 'alive')
  if (living !== undefined) {
    const where = living.endpoints[0] === undefined ? '' : ` at ${endpointText(living.endpoints[0])}`
    return { wrong: `${name} (${living.id})${where} is alive: switch it off first, or take another name` }
  }
  if (named.length > 1) {
    const ids = named.map(({ id }) => id).join(', ')
    return {
      wrong: `${named.length} members have the name ${JSON.stringify(name)} (${ids}): edge-mqtt cluster remove ID first`,
    }
  }
  return { id: first.id }
}
