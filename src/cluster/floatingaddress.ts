// The floating address (`cluster.address`), as one box sees it: who is to hold it, and what came of holding it here. Who
// may take it is agreed over links; whether it is free is asked of the network itself, by ARP: so an address that a box
// still has is not taken from it, whatever we think of that box, and a box that is silent need not be declared dead first.
//
//   free --ours to hold--> asked --held--> held --not ours any more, unit or interface gone--> free
//                            \--answered, failed--> pausing --pause over--> free      held --taken by others--> pausing

import { unreachable } from '../base/errors.ts'
import type { NodeId } from '../base/ids.ts'
import type { AddressUnit } from '../base/ports/addressunit.ts'
import type { NetInterface } from '../base/ports/datagrams.ts'
import { ADDRESS_BYTES_MAX, type AddressClaim, decodeAddress, encodeAddress } from '../wire/link/address.ts'
import { onLink, wantsInterface } from './discovery/interfaces.ts'
import { type Claimant, holderOf } from './holder.ts'
import type { Channel, Channels, FeatureWorld, Membership } from './ports.ts'
import type { ClusterSettings } from './settings.ts'

/** The unit is started behind the daemon: until then its absence is nothing to tell. */
const UNIT_MS = 10_000
/** One of ours had it, or asked at the same time: by chance, so that two do not ask together again. */
const SETTLE_MIN_MS = 500
const SETTLE_SPREAD_MS = 1000
/** A stranger has it: asked again after growing pauses. */
const STRANGER_MIN_MS = 2000
const STRANGER_MAX_MS = 60_000
const FAILED_MS = 10_000
/** Who is contradicted twice within this time lets go (RFC 5227 2.4). */
const DEFEND_MS = 10_000

export interface AddressHome {
  readonly unit: AddressUnit | null
  settings(): Pick<ClusterSettings, 'address' | 'deadAfterMs' | 'heartbeatMs' | 'interfaces'>
  /** Of this machine, without the floating address. */
  interfaces(): readonly NetInterface[]
  /** Whether this box stands for the cluster: not while it waits to be let in, nor when it was removed. */
  member(): boolean
  nameOf(member: NodeId): string
}

export interface AddressStatus {
  readonly address: string
  /** Id of the member that holds it as far as this box knows. */
  readonly holder: string | null
}

type Holding =
  | { readonly at: 'free' }
  | { readonly at: 'asked'; readonly on: string }
  | { readonly at: 'held'; readonly on: string; readonly mac: string }
  | { readonly at: 'pausing'; readonly untilMs: number }

export class FloatingAddress {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #home: AddressHome
  readonly #channel: Channel
  readonly #startedMs: number
  #holding: Holding = { at: 'free' }
  #unitThere = false
  #opened = false
  #stopped = false
  /** The address that is asked for or held; a reload may name another. */
  #address: string | null
  #renewedMs = 0
  /** Why it cannot be held here, for people; null while nothing is wrong. */
  #trouble: string | null = null
  #strangers = 0
  #defendedMs = Number.NEGATIVE_INFINITY
  /** What members have said last; of those without a link only the MAC counts. */
  readonly #claims = new Map<NodeId, AddressClaim>()
  #told = ''
  #toldMs = 0

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, home: AddressHome) {
    this.#world = world
    this.#membership = membership
    this.#home = home
    this.#startedMs = world.clock.now()
    this.#address = home.settings().address
    const options = { priority: 'urgent', queueBytes: 4096, messageBytes: ADDRESS_BYTES_MAX } as const
    this.#channel = channels.open('address', options, {
      linked: (peer) => this.#tell([peer]),
      unlinked: () => {},
      received: (peer, message) => this.#received(peer, decodeAddress(message)),
    })
    // At the end of the turn: a member may change while its link is being replaced.
    membership.onChange(() => {
      if (this.#opened) world.clock.soon(() => this.look(world.clock.now()))
    })
  }

  stop(): void {
    this.#stopped = true
    this.#letGo()
  }

  /** Looks, several times in a heartbeat, whether it is ours to hold. */
  look(nowMs: number): void {
    if (this.#stopped) return
    const { address } = this.#home.settings()
    if (address !== this.#address) {
      this.#letGo()
      this.#address = address
      this.#trouble = null
      this.#become({ at: 'free' })
    }
    if (address === null) return
    if (!this.#opened) this.#open()
    if (this.#late(nowMs)) return this.#lapsed()
    this.#forgetSilent()
    if (this.#holding.at === 'pausing' && nowMs >= this.#holding.untilMs) this.#become({ at: 'free' })
    const on = this.#interface()
    const holding = this.#holding
    // Who has begun to take it goes on, unless another was faster: it may be ours before we hear of it.
    const claimants = this.#claimants()
    const begun = holding.at === 'asked' && !claimants.some(({ holds }) => holds)
    const ours = on !== null && (begun || holderOf(address, claimants) === this.#membership.self)
    switch (holding.at) {
      case 'free':
        if (ours) {
          this.#become({ at: 'asked', on })
          this.#hold(on, nowMs)
        }
        break
      case 'asked':
      case 'held':
        if (!ours || on !== holding.on) {
          this.#letGo()
          this.#become({ at: 'free' })
        } else if (nowMs - this.#renewedMs >= this.#home.settings().heartbeatMs) {
          this.#hold(on, nowMs)
        }
        break
      case 'pausing':
        break
      default:
        return unreachable(holding)
    }
    // Now and then what has been said already: who took us for silent has forgotten it.
    const again = nowMs - this.#toldMs >= this.#home.settings().deadAfterMs
    if (again) this.#toldMs = nowMs
    this.#tell(this.#channel.peers(), again)
  }

  status(): AddressStatus | null {
    if (this.#address === null) return null
    const holder = this.#claimants().find(({ holds }) => holds)
    return { address: this.#address, holder: holder?.node ?? null }
  }

  problems(): readonly string[] {
    const found: string[] = []
    const own = this.#address
    if (own === null) return found
    const key = `cluster.address ${own}`
    const late = this.#world.clock.now() - this.#startedMs > UNIT_MS
    if (this.#home.member() && late && !this.#unitThere) {
      const why = this.#home.unit?.problem() ?? 'edge-mqtt-address.service is not running here'
      found.push(`${key}: this box cannot hold it: ${why} (edge-mqtt.local goes on)`)
    } else if (this.#unitThere && this.#interface(true) === null) {
      found.push(`${key}: this box cannot hold it: none of its interfaces is in that network`)
    }
    if (this.#trouble !== null && this.status()?.holder === null) found.push(`${key}: ${this.#trouble}`)
    for (const [member, { address }] of this.#claims) {
      if (address !== own && this.#counts(member)) {
        found.push(`${key}: ${this.#home.nameOf(member)} has cluster.address ${address}: one address for all boxes`)
      }
    }
    return found
  }

  #open(): void {
    this.#opened = true
    this.#home.unit?.open({
      present: (there) => {
        this.#unitThere = there
        if (!there && this.#holding.at !== 'pausing') this.#become({ at: 'free' })
      },
      held: (mac) => this.#held(mac),
      answered: (mac) => this.#answered(mac),
      conflict: (mac) => this.#conflict(mac),
      // While it is asked for anew, this is an old word.
      lapsed: () => this.#holding.at === 'held' && this.#lapsed(),
      failed: (why) => this.#failed(why),
    })
  }

  #claimants(): readonly Claimant[] {
    const self: Claimant = {
      node: this.#membership.self,
      able: this.#interface() !== null && this.#holding.at !== 'pausing',
      holds: this.#holding.at === 'held',
    }
    const others = [...this.#claims]
      .filter(([member, { address }]) => address === this.#address && this.#counts(member))
      .map(([node, { able, holds }]) => ({ node, able, holds }))
    return [self, ...others]
  }

  /** Only who lives and can speak for itself: whoever is silent has to be asked by ARP. */
  #counts(member: NodeId): boolean {
    const view = this.#membership.member(member)
    return view?.linked === true && view.state === 'alive'
  }

  /** We hung, and it was let go behind our back: what we still think must not be told to anybody. */
  #late(nowMs: number): boolean {
    const { at } = this.#holding
    return (at === 'asked' || at === 'held') && nowMs - this.#renewedMs >= this.#leaseMs()
  }

  #lapsed(): void {
    this.#world.meter.count('address.lapsed')
    this.#letGo()
    this.#become({ at: 'free' })
  }

  /** Before the others take this box for dead it must have let go, even when it hangs. */
  #leaseMs(): number {
    return this.#home.settings().deadAfterMs / 2
  }

  /** What a member said before it fell silent says nothing about now; the MAC is known again when it answers. */
  #forgetSilent(): void {
    for (const [member, claim] of this.#claims) {
      if (claim.holds && !this.#counts(member)) this.#claims.set(member, { ...claim, holds: false })
    }
  }

  /** Where it would be held here; null: it cannot be. */
  #interface(able = this.#unitThere && this.#home.member()): string | null {
    if (!able || this.#address === null) return null
    const wanted = this.#address.slice(0, this.#address.indexOf('/'))
    const { interfaces } = this.#home.settings()
    const fits = (face: NetInterface) =>
      !face.loopback && wantsInterface(face.name, interfaces) && onLink(wanted, [face])
    return this.#home.interfaces().find(fits)?.name ?? null
  }

  #hold(on: string, nowMs: number): void {
    this.#renewedMs = nowMs
    this.#home.unit?.hold(on, this.#address!, this.#leaseMs())
  }

  #letGo(): void {
    if (this.#holding.at === 'asked' || this.#holding.at === 'held') this.#home.unit?.release()
  }

  #held(mac: string): void {
    const holding = this.#holding
    if (holding.at !== 'asked' && holding.at !== 'held') return this.#home.unit?.release()
    this.#strangers = 0
    this.#trouble = null
    this.#become({ at: 'held', on: holding.on, mac })
  }

  #answered(mac: string): void {
    if (this.#holding.at !== 'asked') return
    this.#world.meter.count('address.answered')
    const [member, claim] = [...this.#claims].find(([node, told]) => told.mac === mac && this.#counts(node)) ?? []
    if (member === undefined || claim === undefined) return this.#yield(mac)
    // It was only slow: it holds the address, as the network knows.
    this.#claims.set(member, { ...claim, holds: true })
    this.#become({ at: 'free' })
  }

  #conflict(mac: string): void {
    if (this.#holding.at !== 'held') return
    this.#world.meter.count('address.conflicts')
    // Ours on the other side of a heal: as soon as there is a link both know which of them goes on.
    if (this.#isMember(mac)) return
    const nowMs = this.#world.clock.now()
    const again = nowMs - this.#defendedMs < DEFEND_MS
    this.#defendedMs = nowMs
    this.#world.log.warn({ address: this.#address ?? '', mac, again }, 'somebody else uses the floating address')
    if (!again) return this.#home.unit?.announce()
    this.#letGo()
    this.#yield(mac)
  }

  #failed(why: string): void {
    if (this.#holding.at !== 'asked' && this.#holding.at !== 'held') return
    this.#world.meter.count('address.failed')
    this.#trouble = `it could not be taken here: ${why}`
    this.#become({ at: 'pausing', untilMs: this.#world.clock.now() + FAILED_MS })
  }

  /** Somebody has it, and it stays with him. */
  #yield(mac: string): void {
    const { clock, random } = this.#world
    let pauseMs = SETTLE_MIN_MS + random.fraction() * SETTLE_SPREAD_MS
    if (!this.#isMember(mac)) {
      pauseMs = Math.max(pauseMs, Math.min(STRANGER_MAX_MS, STRANGER_MIN_MS * 2 ** this.#strangers))
      this.#strangers = Math.min(this.#strangers + 1, 16)
      this.#trouble = `${mac}, which is none of our boxes, has it: left alone`
    }
    this.#become({ at: 'pausing', untilMs: clock.now() + pauseMs })
  }

  #isMember(mac: string): boolean {
    return [...this.#claims.values()].some((claim) => claim.mac === mac)
  }

  #received(peer: NodeId, claim: AddressClaim): void {
    const before = this.#claims.get(peer)
    // The MAC of who held it is kept: it may answer for it once more.
    this.#claims.set(peer, claim.mac === '' && before !== undefined ? { ...claim, mac: before.mac } : claim)
    // The neighbours of who has just let go still look for it there.
    if (before?.holds === true && !claim.holds && this.#holding.at === 'held') this.#home.unit?.announce()
  }

  /** `anew`: also what was told already. */
  #tell(peers: readonly NodeId[], anew = true): void {
    const address = this.#address
    if (address === null) return
    const { able, holds } = this.#claimants()[0]!
    const claim: AddressClaim = { able, holds, address, mac: this.#holding.at === 'held' ? this.#holding.mac : '' }
    const bytes = encodeAddress(claim)
    const text = bytes.toString('hex')
    if (!anew && text === this.#told) return
    if (!anew) this.#told = text
    for (const peer of peers) {
      if (this.#channel.send(peer, bytes) === 'full') this.#world.meter.count('address.full')
    }
  }

  #become(next: Holding): void {
    const before = this.#holding
    this.#holding = next
    if (before.at === next.at) return
    this.#world.log.info({ address: this.#address ?? '', was: before.at, now: next.at }, 'floating address')
  }
}
