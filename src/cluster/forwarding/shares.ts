// Which member has consumers of which share group: `name/filter` -> how many, and whether they are connected. This node's
// own groups are its part of an OwnedMap. What a message is forwarded by, this says of shared subscriptions; plain ones
// are routes (routes.ts).

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { StampClock } from '../../base/stamps.ts'
import { FilterTrie } from '../../topic/trie.ts'
import { encodeText } from '../../wire/link/forward.ts'
import { isNodeLocal } from '../../wire/link/routes.ts'
import {
  checkShare,
  decodeShare,
  encodeShare,
  filterOf,
  SHARE_BYTES_MAX,
  type ShareCount,
} from '../../wire/link/shares.ts'
import { isGroup } from '../../wire/link/sharetargets.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { Channels, FeatureWorld, Membership } from '../ports.ts'
import type { SharePolicy } from '../settings.ts'
import { choose, type Holding, isOurs } from './sharechoice.ts'

/** What one member has of one group. */
interface Held extends Holding {
  visible: boolean
  connected: number
  durable: boolean
}

/** A group with consumers on other boxes. */
export class SharedGroup {
  readonly key: string
  /** As it stands among the targets of a message. */
  readonly bytes: Buffer
  readonly holdings = new Map<NodeId, Held>()
  turn = 0

  constructor(key: string) {
    this.key = key
    this.bytes = encodeText(key)
  }

  /** Consumers that are connected on living members. */
  get connected(): number {
    let connected = 0
    for (const one of this.holdings.values()) if (one.visible) connected += one.connected
    return connected
  }
}

export class Shares {
  readonly #meter: Meter
  readonly #policy: () => SharePolicy
  readonly #map: OwnedMap
  readonly #trie = new FilterTrie<SharedGroup>()
  readonly #groups = new Map<string, SharedGroup>()
  /** Dead members for whose sessions others stand in. */
  readonly #hidden = new Set<NodeId>()
  readonly #replaced = new Set<NodeId>()
  /** Changes with every group that appears or goes. */
  generation = 0

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    policy: () => SharePolicy,
  ) {
    this.#meter = world.meter
    this.#policy = policy
    this.#map = new OwnedMap(
      { name: 'shares', valueBytesMax: SHARE_BYTES_MAX, entriesMax: limits.partEntries, check: checkShare },
      world,
      channels,
      membership,
      stamps,
      {
        changed: (owner, key, value) => this.#changed(owner, key, value === null ? null : decodeShare(value)),
        partHidden: (owner) => this.#show(owner, false),
        partShown: (owner) => this.#show(owner, true),
        partDropped: (owner, part) => {
          for (const [key] of part.entries()) this.#changed(owner, key, null)
          this.#hidden.delete(owner)
          this.#replaced.delete(owner)
        },
      },
    )
  }

  /** Groups with consumers on other members. */
  get size(): number {
    return this.#groups.size
  }

  /** What this node has announced. */
  *own(): IterableIterator<readonly [group: string, count: ShareCount]> {
    for (const [key, value] of this.#map.own) yield [key, decodeShare(value)]
  }

  /** The groups of which a member has consumers, as far as this node knows. */
  *of(peer: NodeId): IterableIterator<string> {
    if (this.#hidden.has(peer)) return
    for (const [key] of this.#map.part(peer)?.entries() ?? []) yield key
  }

  /** What this node has of a group; `taken` once every linked, not suspect member knows. */
  grouped(key: string, count: ShareCount | null, taken: () => void): void {
    if (!isGroup(key) || isNodeLocal(filterOf(key))) {
      this.#meter.count('shares.not-forwardable')
      return taken()
    }
    if (count === null && !this.#map.own.has(key)) return taken()
    const sequence = this.#map.set(key, count === null ? null : encodeShare(count))
    if (sequence === null) taken()
    else this.#map.whenTaken(sequence, taken)
  }

  /** The groups for which a member wants messages of the topic. */
  collect(topic: string): readonly SharedGroup[] {
    if (this.#groups.size === 0 || isNodeLocal(topic)) return NO_GROUPS
    const found: SharedGroup[] = []
    this.#trie.match(topic, (group) => found.push(group))
    return found.length === 0 ? NO_GROUPS : found
  }

  /** Whether a message that was published here is for this node's own consumers of the group. */
  ours(key: string, ready: 0 | 1 | 2): boolean {
    const group = this.#groups.get(key)
    if (group === undefined) return true
    return isOurs(this.#policy(), ready, Math.max(1, this.#connectedHere(key)), group.connected, group.turn++)
  }

  /** Consumers of the group that are connected to this node or living members. */
  connected(key: string): number {
    return this.#connectedHere(key) + (this.#groups.get(key)?.connected ?? 0)
  }

  #connectedHere(key: string): number {
    const value = this.#map.own.get(key)
    return value === undefined ? 0 : decodeShare(value).connected
  }

  get(key: string): SharedGroup | undefined {
    return this.#groups.get(key)
  }

  /** The member whose consumers are to get a message of the group; null: there is none. */
  choose(group: SharedGroup, connectedOnly = false): Held | null {
    return choose(this.#able(group), group.turn++, connectedOnly)
  }

  #able({ holdings }: SharedGroup): Held[] {
    return [...holdings.values()].filter(({ visible, peer }) => visible || !this.#replaced.has(peer))
  }

  /** Whether anybody, here or elsewhere, could be given a message of the group. */
  isThere(key: string): boolean {
    if (this.#map.own.has(key)) return true
    const group = this.#groups.get(key)
    return (
      group !== undefined &&
      this.#able(group).some(({ visible, connected, durable }) => durable || (visible && connected > 0))
    )
  }

  /** Whether a session of the group is on a dead box, so that somebody who stands in for it will be heard of. */
  mayCome(key: string): boolean {
    return [...(this.#groups.get(key)?.holdings.values() ?? [])].some(({ visible, durable }) => !visible && durable)
  }

  /** Others stand in for a dead member's persistent sessions. */
  standIn(peer: NodeId): void {
    if (this.#hidden.has(peer)) this.#replaced.add(peer)
  }

  stop(): void {
    this.#map.stop()
  }

  #changed(owner: NodeId, key: string, count: ShareCount | null): void {
    let group = this.#groups.get(key)
    if (count === null) {
      if (group === undefined || !group.holdings.delete(owner) || group.holdings.size > 0) return
      this.#groups.delete(key)
      this.#trie.remove(filterOf(key), key)
      this.generation++
      return
    }
    if (group === undefined) {
      group = new SharedGroup(key)
      this.#groups.set(key, group)
      this.#trie.insert(filterOf(key), key, group)
      this.generation++
    }
    const held = group.holdings.get(owner)
    if (held !== undefined) Object.assign(held, { connected: count.connected, durable: count.durable })
    else {
      const { connected, durable } = count
      group.holdings.set(owner, { peer: owner, visible: !this.#hidden.has(owner), connected, durable })
    }
  }

  #show(owner: NodeId, visible: boolean): void {
    if (visible) this.#hidden.delete(owner)
    else this.#hidden.add(owner)
    this.#replaced.delete(owner)
    for (const [key] of this.#map.part(owner)?.entries() ?? []) {
      const held = this.#groups.get(key)?.holdings.get(owner)
      if (held !== undefined) held.visible = visible
    }
    this.generation++
  }
}

const NO_GROUPS: readonly SharedGroup[] = []
