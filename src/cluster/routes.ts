// Which member wants which filters. This node's own filters are its part of an OwnedMap; everybody's visible routes
// stand in one trie. How often a filter is subscribed to on this node is the broker's business.

import type { NodeId } from '../base/ids.ts'
import { limits } from '../base/limits.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { StampClock } from '../base/stamps.ts'
import { FilterTrie } from '../topic/trie.ts'
import { checkRoute, encodeRoute, isForwardable, isNodeLocal, ROUTE_BYTES_MAX } from '../wire/link/routes.ts'
import { OwnedMap } from './ownedmap.ts'
import type { PeerPart } from './peerpart.ts'
import type { Channels, FeatureWorld, Membership } from './ports.ts'

/** Routes of a dropped member taken out of the trie per turn. */
const CLEANUP_ROUTES = 2000

/** One membership of a peer, from its first route until it is dropped. */
interface RouteMember {
  readonly peer: NodeId
  /** Its key in the trie: one that comes again while its old routes are being cleaned up has another. */
  readonly key: string
  visible: boolean
  /** Routes in the trie. */
  count: number
}

export class Routes {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #map: OwnedMap
  readonly #trie = new FilterTrie<RouteMember>()
  readonly #members = new Map<NodeId, RouteMember>()
  #memberships = 0
  /** Changes with every change of what `collect` may answer. */
  generation = 0

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, stamps: StampClock) {
    this.#clock = world.clock
    this.#meter = world.meter
    this.#map = new OwnedMap(
      {
        name: 'routes',
        valueBytesMax: ROUTE_BYTES_MAX,
        entriesMax: limits.partEntries,
        check: checkRoute,
      },
      world,
      channels,
      membership,
      stamps,
      {
        changed: (owner, filter, value) => this.#changed(owner, filter, value !== null),
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

  /** Filters that this node has announced. */
  own(): IterableIterator<string> {
    return this.#map.own.keys()
  }

  /** Filters that a member wants as far as this node knows; none while it is dead. */
  *of(peer: NodeId): IterableIterator<string> {
    if (this.#members.get(peer)?.visible !== true) return
    for (const [filter] of this.#map.part(peer)?.entries() ?? []) yield filter
  }

  /** The first subscription to `filter` on this node; `taken` once every linked, not suspect member knows. */
  wanted(filter: string, taken: () => void): void {
    if (isNodeLocal(filter)) return taken()
    if (!isForwardable(filter)) {
      this.#meter.count('routes.not-forwardable')
      return taken()
    }
    const sequence = this.#map.set(filter, encodeRoute({ durable: false }))
    if (sequence === null) taken()
    else this.#map.whenTaken(sequence, taken)
  }

  unwanted(filter: string): void {
    if (this.#map.own.has(filter)) this.#map.set(filter, null)
  }

  /** Adds to `peers` each member that has a visible route for `topic`, once. */
  collect(topic: string, peers: NodeId[]): void {
    if (this.#trie.size === 0 || isNodeLocal(topic)) return
    this.#collecting = peers
    this.#trie.match(topic, this.#collect)
    this.#collecting = NOBODY
  }

  stop(): void {
    this.#map.stop()
  }

  #collecting: NodeId[] = NOBODY
  readonly #collect = (member: RouteMember): void => {
    if (member.visible && !this.#collecting.includes(member.peer)) this.#collecting.push(member.peer)
  }

  #changed(owner: NodeId, filter: string, wanted: boolean): void {
    const member = this.#member(owner)
    if (wanted) {
      if (this.#trie.insert(filter, member.key, member) === undefined) member.count++
    } else if (this.#trie.remove(filter, member.key) !== undefined) {
      member.count--
    }
    if (member.visible) this.generation++
  }

  #member(peer: NodeId): RouteMember {
    let member = this.#members.get(peer)
    if (member === undefined) {
      member = { peer, key: `${peer}.${++this.#memberships}`, visible: true, count: 0 }
      this.#members.set(peer, member)
    }
    return member
  }

  /** Hiding is one bit, so that a dead member with a million routes is out of the way at once. */
  #show(peer: NodeId, visible: boolean): void {
    this.#member(peer).visible = visible
    this.generation++
  }

  #dropped(peer: NodeId, part: PeerPart): void {
    const member = this.#members.get(peer)
    if (member === undefined) return
    this.#members.delete(peer)
    member.visible = false
    this.generation++
    const entries = part.entries()
    const cleanUp = () => {
      for (let left = CLEANUP_ROUTES; left > 0; left--) {
        const step = entries.next()
        if (step.done) return
        this.#trie.remove(step.value[0], member.key)
      }
      this.#clock.soon(cleanUp)
    }
    cleanUp()
  }
}

const NOBODY: NodeId[] = []
