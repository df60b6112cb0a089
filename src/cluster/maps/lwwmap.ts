// A map that all boxes write and hold alike: the latest write of a key counts, whichever box it was made on
// (CLUSTER 4). Entries are kept in the store, those of removed keys too.

import type { ByteWriter } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { SharedEntry, SharedTable } from '../../base/shared.ts'
import { compareStamps, type Stamp, type StampClock } from '../../base/stamps.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../../broker/ports.ts'
import { type Recordable, RecordKind } from '../../wire/record/batch.ts'
import { HorizonRecord, type StoredShared, writeShared } from '../../wire/record/shared.ts'
import type { Channels, FeatureWorld } from '../ports.ts'
import type { TimeStep } from '../time/clustertime.ts'
import { type LwwBounds, LwwReplica } from './lwwreplica.ts'

export interface LwwMapOptions extends LwwBounds {
  /** Throws PeerError for an entry that no member may write; null: it is removed. */
  check?(key: string, value: Buffer | null): void
}

export interface LwwMapEvents {
  /** The entry has another value, or none; `from`: the member that told of it, null: it was written here. */
  changed(key: string, value: Buffer | null, stamp: Stamp, from: NodeId | null): void
}

export interface LwwValue {
  readonly key: string
  readonly value: Buffer
  readonly stamp: Stamp
}

class MapEntry implements SharedEntry, Recordable {
  readonly kind = RecordKind.shared
  readonly map: string
  readonly key: string
  stamp: Stamp
  value: Buffer | null
  hash = 0
  next: SharedEntry | null = null
  kept: Kept | null = null

  constructor({ map, key, stamp, value }: StoredShared) {
    this.map = map
    this.key = key
    this.stamp = stamp
    this.value = value
  }

  write(into: ByteWriter): void {
    writeShared(into, this)
  }
}

export class LwwMap implements SharedTable<MapEntry> {
  readonly name: string
  readonly #options: LwwMapOptions
  readonly #events: LwwMapEvents
  readonly #keeper: Keeper
  readonly #entries = new Map<string, MapEntry>()
  readonly #replica: LwwReplica
  #horizon: HorizonRecord | null = null
  #horizonKept: Kept | null = null
  #living = 0

  constructor(
    options: LwwMapOptions,
    world: FeatureWorld,
    stamps: StampClock,
    events: LwwMapEvents,
    keeper: Keeper,
    livedMs: () => number = () => stamps.timeMs,
  ) {
    this.name = options.name
    this.#options = options
    this.#events = events
    this.#keeper = keeper
    this.#replica = new LwwReplica(options, world, stamps, this, livedMs)
  }

  /** Whether all who are linked have given what they had. */
  get isUpToDate(): boolean {
    return this.#replica.isUpToDate
  }

  /** Keys with a value. */
  get size(): number {
    return this.#living
  }

  /** The value of a key and when it was written; null: it has none. */
  value(key: string): LwwValue | null {
    const entry = this.#entries.get(key)
    return entry === undefined || entry.value === null ? null : { key, value: entry.value, stamp: entry.stamp }
  }

  /** When the key was last written or removed; null: never, as far as is remembered. */
  stampOf(key: string): Stamp | null {
    return this.#entries.get(key)?.stamp ?? null
  }

  /** Entries with a stamp up to here that nobody knows any more were removed; null: nothing was forgotten yet. */
  get horizon(): Stamp | null {
    return this.#replica.horizon
  }

  /** All that have a value. */
  *entries(): IterableIterator<LwwValue> {
    for (const { key, value, stamp } of this.#entries.values()) if (value !== null) yield { key, value, stamp }
  }

  /**
   * Writes the key, null: removes it, unless what stands there is as late as `stamp`; without one it is written now.
   * Returns the stamp that stands then; null when there is no room for another key. The value must not be changed
   * afterwards. It is safe when the keeper's present position is.
   */
  set(key: string, value: Buffer | null, stamp: Stamp = this.#replica.stamp()): Stamp | null {
    const { keyBytesMax, valueBytesMax } = this.#options
    assert(Buffer.byteLength(key) <= keyBytesMax, `${this.name}: key too long`)
    assert(value === null || value.length <= valueBytesMax, `${this.name}: value too long`)
    const before = this.stampOf(key)
    if (before !== null && compareStamps(stamp, before) <= 0) return before
    if (before === null && this.#replica.full) {
      this.#replica.refused()
      return null
    }
    const entry = this.#put(key, value, stamp)
    this.#replica.wrote(entry, before, true)
    this.#events.changed(key, value, stamp, null)
    return stamp
  }

  renounce(node: NodeId): void {
    this.#replica.renounce(node)
  }

  attach(channels: Channels): void {
    this.#replica.attach(channels)
  }

  detach(): void {
    this.#replica.detach()
  }

  timeMoved(step: TimeStep, beforeMs: number): void {
    this.#replica.timeMoved(step, beforeMs)
  }

  stop(): void {
    this.#replica.stop()
  }

  problems(name: (node: NodeId) => string): readonly string[] {
    return this.#replica.problems(name)
  }

  // What was found in the store at start:

  found(stored: StoredShared, record: FoundRecord, found: Found): void {
    if (this.#entries.has(stored.key)) return found.remove(record.kept)
    this.#replica.recall(stored.stamp)
    const entry = new MapEntry(stored)
    entry.kept = record.kept
    found.adopt(record.kept, entry)
    this.#add(entry)
    this.#replica.wrote(entry, null, false)
  }

  foundHorizon(horizon: Stamp, record: FoundRecord, found: Found): void {
    this.#horizon = new HorizonRecord(this.name, horizon)
    this.#horizonKept = record.kept
    found.adopt(record.kept, this.#horizon)
    this.#replica.restore(horizon)
  }

  // What the replica asks:

  get(key: string): MapEntry | undefined {
    return this.#entries.get(key)
  }

  isGone({ value }: MapEntry): boolean {
    return value === null
  }

  read({ value }: MapEntry): Buffer | null {
    return value
  }

  write(key: string, value: Buffer | null, stamp: Stamp, from: NodeId): MapEntry {
    this.#options.check?.(key, value)
    const own = value === null ? null : Buffer.from(value)
    const entry = this.#put(key, own, stamp)
    this.#events.changed(key, own, stamp, from)
    return entry
  }

  restamp(entry: MapEntry, stamp: Stamp): void {
    entry.stamp = stamp
    this.#keeper.changed(entry.kept!)
  }

  forget(entry: MapEntry): void {
    const { key, value, stamp, kept } = entry
    this.#entries.delete(key)
    if (kept !== null) this.#keeper.remove(kept)
    if (value === null) return
    this.#living--
    this.#events.changed(key, null, stamp, null)
  }

  horizonMoved(horizon: Stamp | null): void {
    if (horizon === null) {
      if (this.#horizonKept !== null) this.#keeper.remove(this.#horizonKept)
      this.#horizon = null
      this.#horizonKept = null
    } else if (this.#horizon === null) {
      this.#horizon = new HorizonRecord(this.name, horizon)
      this.#horizonKept = this.#keeper.put(this.#horizon)
    } else {
      this.#horizon.horizon = horizon
      this.#keeper.changed(this.#horizonKept!)
    }
  }

  #put(key: string, value: Buffer | null, stamp: Stamp): MapEntry {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = new MapEntry({ map: this.name, key, stamp, value })
      this.#add(entry)
      entry.kept = this.#keeper.put(entry)
      return entry
    }
    this.#living += (value === null ? 0 : 1) - (entry.value === null ? 0 : 1)
    entry.stamp = stamp
    entry.value = value
    this.#keeper.changed(entry.kept!)
    return entry
  }

  #add(entry: MapEntry): void {
    this.#entries.set(entry.key, entry)
    if (entry.value !== null) this.#living++
  }
}
