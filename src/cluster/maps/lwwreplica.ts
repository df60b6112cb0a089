// One map in which the latest write wins, made alike on all boxes: what was written here goes to the others at once,
// what others wrote is taken when it is later, and a hash tree finds what either side has missed. The values are kept
// by whoever uses them (base/shared.ts).

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Replica, SharedEntry, SharedTable } from '../../base/shared.ts'
import { compareStamps, STAMP_AHEAD_MAX_MS, type Stamp, type StampClock } from '../../base/stamps.ts'
import { decodeLww, encodeLww, itemBytes, type LwwItem, type LwwKnown, type LwwMessage } from '../../wire/link/lww.ts'
import type { Channel, Channels, FeatureWorld } from '../ports.ts'
import type { TimeStep } from '../time/clustertime.ts'
import { HashTree, hashOf, LEAVES, leafIn } from './hashtree.ts'
import { broughtStamp, isOldest, LwwBrought } from './lwwbrought.ts'
import { LwwComparing } from './lwwcomparing.ts'
import { LwwForgetting } from './lwwforgetting.ts'
import { LwwRoots } from './lwwroots.ts'
import { LwwServing } from './lwwserving.ts'
import { judge, later } from './lwwverdict.ts'

export interface LwwBounds {
  /** Names the channels (`lww.name`, `lww.name.sync`), counters and log lines. */
  readonly name: string
  readonly keyBytesMax: number
  readonly valueBytesMax: number
  /** Tombstones among them. */
  readonly entriesMax: number
  /** What differs when a link comes up is asked for at once, though some of it may be on its way. */
  readonly atOnce?: boolean
}

/** How long a box with a wrong clock is told of after its last word. */
const AHEAD_TOLD_MS = 5 * 60 * 1000
/** Changes of one turn travel in messages of at most this. */
export const ITEMS_BYTES = limits.pieceBytes - 1024
const CHANGES_QUEUE_BYTES = limits.channelWindowBytes
const SYNC_QUEUE_BYTES = 256 * 1024

export class LwwReplica implements Replica {
  readonly name: string
  readonly tree = new HashTree()
  readonly #bounds: LwwBounds
  readonly #world: FeatureWorld
  readonly #stamps: StampClock
  readonly #table: SharedTable
  readonly #forgetting: LwwForgetting
  readonly #brought: LwwBrought
  #horizon: Stamp | null = null
  /** Written here in this turn, and not told to the others yet. */
  readonly #dirty = new Set<SharedEntry>()
  #turnArmed = false
  #attached: Attached | null = null
  /** The last writer whose clock was too far ahead, and until when `problems` tells of it. */
  #ahead: { readonly node: NodeId; readonly untilMs: number } | null = null

  /** `livedMs`: how late it surely is, by which removals are forgotten. */
  constructor(
    bounds: LwwBounds,
    world: FeatureWorld,
    stamps: StampClock,
    table: SharedTable,
    livedMs: () => number = () => stamps.timeMs,
  ) {
    this.name = `lww.${bounds.name}`
    this.#bounds = bounds
    this.#world = { ...world, log: world.log.child({ map: bounds.name }) }
    this.#stamps = stamps
    this.#table = table
    this.#forgetting = new LwwForgetting(
      { name: this.name, world: this.#world, tree: this.tree, table, livedMs },
      bounds.entriesMax,
      (stamp) => this.#raise(stamp),
    )
    this.#brought = new LwwBrought({
      ...{ name: this.name, world: this.#world, tree: this.tree },
      self: () => stamps.node,
      asked: () => this.#allAsked(),
      renew: (entry) => this.#renew(entry),
    })
  }

  get horizon(): Stamp | null {
    return this.#horizon
  }

  get full(): boolean {
    return this.tree.size >= this.#bounds.entriesMax
  }

  stamp(): Stamp {
    return this.#stamps.next()
  }

  wrote(entry: SharedEntry, before: Stamp | null, tell: boolean): void {
    if (before === null) this.tree.add(entry)
    else this.tree.restamped(entry, before)
    if (!tell || this.#attached === null) return
    this.#dirty.add(entry)
    if (this.#turnArmed) return
    this.#turnArmed = true
    this.#world.clock.soon(this.#turn)
  }

  takes(before: Stamp | null, stamp: Stamp): boolean {
    return this.#observe(stamp) && judge(before, stamp, this.#horizon) === 'take'
  }

  drop(key: string): void {
    const entry = this.#table.get(key)
    if (entry === undefined) return
    this.tree.sweep(leafIn(hashOf(key)), (other) => other === entry)
    this.#dirty.delete(entry)
    this.#table.forget(entry)
  }

  recall(stamp: Stamp): void {
    this.#brought.found(stamp)
    this.#stamps.recall(stamp)
  }

  restore(horizon: Stamp): void {
    this.#horizon = later(this.#horizon, horizon)
    this.#stamps.recall(horizon)
  }

  /**
   * This box leaves its cluster for another: what it holds goes along as the oldest there is, so that anything written
   * there wins, and what it remembers as removed says nothing of what the others hold.
   */
  renounce(node: NodeId): void {
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      for (const entry of this.tree.entries(leaf)) {
        const before = entry.stamp
        if (this.#table.isGone(entry)) this.drop(entry.key)
        // Older already: what every box makes alike at its first start.
        else if (!isOldest(before)) {
          this.#table.restamp(entry, broughtStamp(node))
          this.tree.restamped(entry, before)
        }
      }
    }
    this.#brought.begin()
    if (this.#horizon === null) return
    this.#horizon = null
    this.#table.horizonMoved(null)
  }

  /**
   * Cluster time was moved, by more than clocks may differ. What this run wrote by a clock that was late, and what anybody
   * wrote by one that was ahead, was written as long ago as before, but by the time that counts now: its own stamp would
   * make it forgotten, or refused. No other box has taken what is too far ahead. What is from an earlier run (up to
   * `runsBeforeMs`), whose clock was another, comes to stand no earlier than it was written: it is later than all that
   * its box knew then.
   */
  timeMoved({ byMs, sinceMs, leaptMs }: TimeStep, runsBeforeMs: number): void {
    const { timeMs, node } = this.#stamps
    const ahead = (stamp: Stamp) => stamp.wallMs > timeMs + STAMP_AHEAD_MAX_MS
    const ofEarlier = (stamp: Stamp) => stamp.wallMs <= runsBeforeMs
    const moved = (stamp: Stamp) => {
      const wallMs = stamp.wallMs + byMs + (ofEarlier(stamp) ? leaptMs : 0)
      return { ...stamp, wallMs: Math.max(0, Math.min(timeMs, wallMs)) }
    }
    this.#ahead = null
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      for (const entry of this.tree.entries(leaf)) {
        const before = entry.stamp
        const late = byMs > 0 && before.node === node && before.wallMs >= sinceMs && !ofEarlier(before)
        if (late || ahead(before)) {
          this.#table.restamp(entry, moved(before))
          this.wrote(entry, before, true)
          this.#world.meter.count(`${this.name}.restamped`)
        }
        this.#stamps.recall(entry.stamp)
      }
    }
    if (this.#horizon === null || !ahead(this.#horizon)) return
    this.#horizon = moved(this.#horizon)
    this.#table.horizonMoved(this.#horizon)
  }

  /** `name`: of a node, for people. */
  problems(name: (node: NodeId) => string): readonly string[] {
    if (this.#ahead === null || this.#ahead.untilMs < this.#world.clock.now()) return []
    return [`${this.#bounds.name}: what ${name(this.#ahead.node)} wrote is refused: its clock is more than a day ahead`]
  }

  /** Shares the map over these channels, until `detach`. */
  attach(channels: Channels): void {
    this.detach()
    const { valueBytesMax, keyBytesMax } = this.#bounds
    const messageBytes = 2 * limits.frameBytes + itemBytes(keyBytesMax, valueBytesMax)
    const received = (peer: NodeId, bytes: Buffer) => this.#received(peer, bytes)
    const changes = channels.open(
      this.name,
      { priority: 'normal', queueBytes: CHANGES_QUEUE_BYTES, messageBytes },
      { linked: () => {}, unlinked: () => {}, received },
    )
    const sync = channels.open(
      `${this.name}.sync`,
      { priority: 'bulk', queueBytes: SYNC_QUEUE_BYTES, messageBytes },
      {
        linked: (peer) => {
          this.#attached?.roots.linked(peer)
          this.#brought.linked()
        },
        unlinked: (peer) => {
          this.#attached?.roots.unlinked(peer)
          this.#attached?.serving.unlinked(peer)
          this.#attached?.comparing.unlinked(peer)
        },
        received,
        room: (peer) => {
          this.#attached?.serving.pump(peer)
          this.#attached?.comparing.room(peer)
        },
      },
    )
    const around = {
      name: this.name,
      world: this.#world,
      tree: this.tree,
      atOnce: this.#bounds.atOnce === true,
      horizon: () => this.#horizon,
      send: (peer: NodeId, message: LwwMessage) => sync.send(peer, encodeLww(message)),
    }
    const comparing = new LwwComparing(around, () => roots.tell())
    const roots = new LwwRoots(this.name, this.#world, this.tree, (peer, hash) => {
      around.send(peer, { kind: 'root', busy: comparing.isBusy, horizon: this.#horizon, hash })
    })
    const serving = new LwwServing(around, this.#table, () => comparing.isBusy)
    this.#attached = { changes, serving, comparing, roots }
  }

  /** The identity that it was shared under ends; what is known stays. */
  detach(): void {
    this.#brought.stop()
    this.#attached?.roots.stop()
    this.#attached?.comparing.stop()
    this.#attached = null
    this.#dirty.clear()
  }

  /** Stops its timers; the node is about to end. */
  stop(): void {
    this.detach()
    this.#forgetting.stop()
  }

  /** The end of a turn: what was written in it goes to all. A member that has no room for it will find it missing. */
  readonly #turn = (): void => {
    this.#turnArmed = false
    let items: LwwItem[] = []
    let bytes = 0
    for (const entry of this.#dirty) {
      const { key, stamp } = entry
      const value = this.#table.read(entry)
      const length = itemBytes(Buffer.byteLength(key), value?.length ?? 0)
      if (items.length > 0 && bytes + length > ITEMS_BYTES) {
        this.#tell(items)
        items = []
        bytes = 0
      }
      items.push({ key, stamp, value })
      bytes += length
    }
    this.#dirty.clear()
    if (items.length > 0) this.#tell(items)
  }

  #tell(items: readonly LwwItem[]): void {
    if (this.#attached === null) return
    const bytes = encodeLww({ kind: 'change', items })
    const { changes } = this.#attached
    for (const peer of changes.peers()) {
      if (changes.send(peer, bytes) === 'full') this.#world.meter.count(`${this.name}.lagged`)
    }
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeLww(bytes)
    if (message === null) return this.#world.meter.count(`${this.name}.unknown`)
    const attached = this.#attached
    if (attached === null) return
    switch (message.kind) {
      case 'change':
        for (const item of message.items) this.#merge(item, peer)
        return
      case 'entries':
        for (const item of message.items) this.#merge(item, peer)
        this.#world.meter.count(`${this.name}.repaired`, message.items.length)
        return attached.comparing.progressed(peer)
      case 'gone':
        for (const known of message.have) this.#gone(known, message.horizon)
        return attached.comparing.progressed(peer)
      case 'root': {
        const { horizon } = message
        // What is written here from now on is later than all that the peer has forgotten.
        const known = horizon !== null && this.#observe(horizon)
        const same = attached.comparing.rootOf(peer, message.hash, message.busy)
        // Knowing all that the peer knows, we may answer for what it has forgotten; any earlier we would take what we
        // have not heard of yet for removed.
        if (same && known) this.#raise(horizon)
        return
      }
      case 'ask':
      case 'compare':
        return attached.serving.asked(peer, message)
      case 'branches':
      case 'leaves':
      case 'done':
        return attached.comparing.answered(peer, message)
    }
  }

  #merge({ key, stamp, value }: LwwItem, peer: NodeId): void {
    const { keyBytesMax, valueBytesMax } = this.#bounds
    if (key.length > keyBytesMax || Buffer.byteLength(key) > keyBytesMax)
      throw new PeerError('shared map: key too long')
    if (value !== null && value.length > valueBytesMax) throw new PeerError('shared map: value too long')
    const table = this.#table
    const before = table.get(key)?.stamp ?? null
    if (!this.takes(before, stamp)) return
    if (before === null && this.full) return this.refused()
    const entry = table.write(key, value, stamp, peer)
    if (entry === null) return this.refused()
    this.wrote(entry, before, false)
    this.#dirty.delete(entry)
  }

  /** There was no room for an entry. */
  refused(): void {
    this.#world.meter.count(`${this.name}.full`)
    this.#forgetting.soon()
  }

  /** What the peer has forgotten: it was removed there, unless it was written anew here. */
  #gone({ key, stamp }: LwwKnown, horizon: Stamp | null): void {
    const entry = this.#table.get(key)
    if (entry === undefined || compareStamps(entry.stamp, stamp) !== 0) return
    if (horizon === null || compareStamps(stamp, horizon) > 0) {
      throw new PeerError('shared map: said to be removed, and later than what was forgotten')
    }
    if (this.#brought.keeps(stamp)) return
    this.drop(key)
    this.#world.meter.count(`${this.name}.gone`)
  }

  /** Whether all who are linked have given what they had. */
  get isUpToDate(): boolean {
    return this.#attached === null || this.#attached.roots.peers().length === 0 || this.#allAsked()
  }

  /** Whether somebody is linked, and all who are have given what they had. */
  #allAsked(): boolean {
    if (this.#attached === null) return false
    const { roots, comparing } = this.#attached
    const peers = roots.peers()
    return peers.length > 0 && peers.every((peer) => comparing.hasGiven(peer))
  }

  #renew(entry: SharedEntry): void {
    if (this.#table.isGone(entry)) return
    const before = entry.stamp
    this.#table.restamp(entry, this.stamp())
    this.wrote(entry, before, true)
  }

  /** False: it is further ahead of our time than clocks may differ. */
  #observe(stamp: Stamp): boolean {
    if (this.#stamps.observe(stamp)) return true
    this.#ahead = { node: stamp.node, untilMs: this.#world.clock.now() + AHEAD_TOLD_MS }
    this.#world.meter.count('clock-ahead')
    return false
  }

  #raise(horizon: Stamp): void {
    if (this.#horizon !== null && compareStamps(horizon, this.#horizon) <= 0) return
    this.#horizon = horizon
    this.#table.horizonMoved(horizon)
  }
}

interface Attached {
  readonly changes: Channel
  readonly serving: LwwServing
  readonly comparing: LwwComparing
  readonly roots: LwwRoots
}
