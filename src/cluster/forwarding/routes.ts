// Which member wants which filters. This node's own filters are its part of an OwnedMap; everybody's visible routes
// stand in one trie. How often a filter is subscribed to on this node is the broker's business.

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { StampClock } from '../../base/stamps.ts'
import type { Kept } from '../../broker/ports.ts'
import { FilterTrie } from '../../topic/trie.ts'
import {
  checkRoute,
  decodeRoute,
  encodeRoute,
  isForwardable,
  isNodeLocal,
  ROUTE_BYTES_MAX,
} from '../../wire/link/routes.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { PeerPart } from '../maps/peerpart.ts'
import { LEFT_MS } from '../members/memberstate.ts'
import type { Channels, FeatureWorld, Membership } from '../ports.ts'
import { type KeptOf, KeptRoutes } from './keptroutes.ts'
import type { Safekeeping } from './parking.ts'

/** Routes of a dropped member taken out of the trie per turn. */
const CLEANUP_ROUTES = 2000

/** One membership of a peer, from its first route until it is dropped. */
class RouteMember {
  readonly peer: NodeId
  /** Its key in the trie: one that comes again while its old routes are being cleaned up has another. */
  readonly key: string
  /** It is not dead. */
  visible = true
  /** It is dead, and others stand in for its persistent sessions. */
  replaced = false
  /** Routes in the trie. */
  count = 0
  /** The durable ones, as this node's store keeps them. */
  readonly kept: KeptOf = new Map()
  /** What stands for it there. */
  readonly plain: MemberRoute = { member: this, durable: false }
  readonly durable: MemberRoute = { member: this, durable: true }

  constructor(peer: NodeId, key: string) {
    this.peer = peer
    this.key = key
  }
}

/** A route in the trie. One of the two values that each member has. */
interface MemberRoute {
  readonly member: RouteMember
  /** Some persistent session wants it. */
  readonly durable: boolean
}

export class Routes {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #map: OwnedMap
  readonly #kept: KeptRoutes | null
  readonly #trie = new FilterTrie<MemberRoute>()
  readonly #members = new Map<NodeId, RouteMember>()
  #memberships = 0
  /** Changes with every change of what `collect` may answer. */
  generation = 0

  /** `keeping`: where the durable routes of members are kept over a restart; null: nowhere. */
  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    keeping: Safekeeping | null = null,
  ) {
    this.#clock = world.clock
    this.#meter = world.meter
    const moved = () => this.#map.keptMoved()
    this.#kept = keeping === null ? null : new KeptRoutes(keeping, world.meter, (...of) => this.#recalled(...of), moved)
    this.#map = new OwnedMap(
      {
        name: 'routes',
        valueBytesMax: ROUTE_BYTES_MAX,
        entriesMax: limits.partEntries,
        check: checkRoute,
        ...(this.#kept === null ? {} : { keeping: this.#kept }),
        leftMs: LEFT_MS,
      },
      world,
      channels,
      membership,
      stamps,
      {
        changed: (owner, filter, value) =>
          this.#changed(owner, filter, value === null ? null : decodeRoute(value).durable),
        partHidden: (owner) => this.#show(owner, false),
        partShown: (owner) => this.#show(owner, true),
        partDropped: (owner, part) => this.#dropped(owner, part),
      },
    )
  }

  /** Visible routes of members; what this node itself wants is not counted. */
  get size(): number {
    let size = 0
    for (const member of this.#members.values()) if (member.visible) size += member.count
    return size
  }

  /** Whether all that the member wants is known. */
  knows(peer: NodeId): boolean {
    return this.#map.part(peer)?.whole ?? false
  }

  /** Whether what the member wants is known as it is now. */
  isCurrent(peer: NodeId): boolean {
    return this.#map.part(peer)?.state === 'current'
  }

  /** Filters that this node has announced, and whether they are durable. */
  *own(): IterableIterator<readonly [filter: string, durable: boolean]> {
    for (const [filter, value] of this.#map.own) yield [filter, decodeRoute(value).durable]
  }

  /** Filters that a member wants as far as this node knows; none while it is dead. */
  *of(peer: NodeId): IterableIterator<string> {
    if (this.#members.get(peer)?.visible !== true) return
    for (const [filter] of this.#map.part(peer)?.entries() ?? []) yield filter
  }

  /**
   * The first subscription to `filter` on this node, or the first or last of a persistent session; `taken` once every
   * linked, not suspect member knows.
   */
  wanted(filter: string, durable: boolean, taken: () => void): void {
    if (isNodeLocal(filter)) return taken()
    if (!isForwardable(filter)) {
      this.#meter.count('routes.not-forwardable')
      return taken()
    }
    const sequence = this.#map.set(filter, encodeRoute({ durable }))
    if (sequence === null) taken()
    else this.#map.whenTaken(sequence, taken)
  }

  unwanted(filter: string): void {
    if (this.#map.own.has(filter)) this.#map.set(filter, null)
  }

  /**
   * Adds to `peers` each member that has a route for `topic`, once: first those in which a persistent session wants it,
   * whose number is returned. They count though they are dead, until others have announced that they stand in.
   */
  collect(topic: string, peers: NodeId[]): number {
    if (this.#trie.size === 0 || isNodeLocal(topic)) return 0
    this.#durable = peers
    this.#trie.match(topic, this.#collect)
    this.#durable = NOBODY
    const durable = peers.length
    const plain = this.#plain
    for (let index = 0; index < plain.length; index++) {
      if (!peers.includes(plain[index]!)) peers.push(plain[index]!)
    }
    plain.length = 0
    return durable
  }

  /** Others stand in for a dead member's persistent sessions, and have announced their routes. */
  standIn(peer: NodeId): void {
    const member = this.#members.get(peer)
    if (member === undefined || member.visible) return
    member.replaced = true
    this.generation++
  }

  /** Looks for members that wait for this node's store longer than `longestMs`. */
  look(nowMs: number, longestMs: number): void {
    this.#map.look(nowMs, longestMs)
  }

  /** It was removed from the cluster, and has not been heard of in this run. */
  removed(peer: NodeId): void {
    this.#map.forget(peer)
  }

  /** This node is none of these members' any more: a later run is to know nothing of them. */
  forgetAll(): void {
    for (const { kept } of this.#members.values())
      for (const filter of [...kept.keys()]) this.#kept?.remove(kept, filter)
  }

  stop(): void {
    this.#map.stop()
  }

  #durable: NodeId[] = NOBODY
  readonly #plain: NodeId[] = []
  readonly #collect = ({ member, durable }: MemberRoute): void => {
    if (durable) {
      if (!member.replaced && !this.#durable.includes(member.peer)) this.#durable.push(member.peer)
    } else if (member.visible) {
      this.#plain.push(member.peer)
    }
  }

  /** `durable`: null: the route is gone. */
  #changed(owner: NodeId, filter: string, durable: boolean | null): void {
    const member = this.#member(owner)
    if (durable !== null) {
      const route = durable ? member.durable : member.plain
      if (this.#trie.insert(filter, member.key, route) === undefined) member.count++
    } else if (this.#trie.remove(filter, member.key) !== undefined) {
      member.count--
    }
    if (durable === true) this.#kept?.put(member.kept, owner, filter)
    else this.#kept?.remove(member.kept, filter)
    this.generation++
  }

  /** Of an earlier run: what is published for it now is parked, though nobody has heard of the member yet. */
  #recalled(owner: NodeId, filter: string, kept: Kept): void {
    this.#member(owner).kept.set(filter, kept)
    this.#map.recall(owner, filter, encodeRoute({ durable: true }))
  }

  #member(peer: NodeId): RouteMember {
    let member = this.#members.get(peer)
    if (member === undefined) {
      member = new RouteMember(peer, `${peer}.${++this.#memberships}`)
      this.#members.set(peer, member)
    }
    return member
  }

  /** Hiding is one bit, so that a dead member with a million routes is out of the way at once. */
  #show(peer: NodeId, visible: boolean): void {
    const member = this.#member(peer)
    member.visible = visible
    member.replaced = false
    this.generation++
  }

  #dropped(peer: NodeId, part: PeerPart): void {
    const member = this.#members.get(peer)
    if (member === undefined) return
    this.#members.delete(peer)
    member.visible = false
    member.replaced = true
    this.generation++
    const entries = part.entries()
    const cleanUp = () => {
      for (let left = CLEANUP_ROUTES; left > 0; left--) {
        const step = entries.next()
        if (step.done) return
        this.#trie.remove(step.value[0], member.key)
        this.#kept?.remove(member.kept, step.value[0])
      }
      this.#clock.soon(cleanUp)
    }
    cleanUp()
  }
}

const NOBODY: NodeId[] = []
