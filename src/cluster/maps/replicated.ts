// All maps that this node holds alike with the other boxes. They outlive the identity they are shared under: a box that
// gives way to a living copy of its card keeps what it knows.

import type { NodeId } from '../../base/ids.ts'
import type { SharedTable } from '../../base/shared.ts'
import { STAMP_AHEAD_MAX_MS, type StampClock } from '../../base/stamps.ts'
import type { Found, FoundRecord, Keeper } from '../../broker/ports.ts'
import { RecordKind } from '../../wire/record/batch.ts'
import { readHorizon, readShared } from '../../wire/record/shared.ts'
import type { Channels, FeatureWorld } from '../ports.ts'
import type { TimeStep } from '../time/clustertime.ts'
import { LwwMap, type LwwMapEvents, type LwwMapOptions } from './lwwmap.ts'
import { type LwwBounds, LwwReplica } from './lwwreplica.ts'

type Shared = Pick<LwwReplica, 'attach' | 'detach' | 'stop' | 'problems' | 'renounce' | 'timeMoved'>

export class Replicated {
  readonly #world: FeatureWorld
  readonly #stamps: StampClock
  readonly #keeper: Keeper
  readonly #livedMs: () => number
  readonly #maps = new Map<string, LwwMap>()
  readonly #all: Shared[] = []
  #channels: Channels | null = null

  /** `livedMs`: how late it surely is, by which removals are forgotten. */
  constructor(world: FeatureWorld, stamps: StampClock, keeper: Keeper, livedMs: () => number = () => stamps.timeMs) {
    this.#world = world
    this.#stamps = stamps
    this.#keeper = keeper
    this.#livedMs = livedMs
  }

  /** A map of its own; to be opened before anything is read from the store. */
  open(options: LwwMapOptions, events: LwwMapEvents): LwwMap {
    const map = new LwwMap(options, this.#world, this.#stamps, events, this.#keeper, this.#livedMs)
    this.#maps.set(map.name, map)
    this.#share(map)
    return map
  }

  /** A table whose values somebody else keeps. */
  share(bounds: LwwBounds, table: SharedTable): LwwReplica {
    const replica = new LwwReplica(bounds, this.#world, this.#stamps, table, this.#livedMs)
    this.#share(replica)
    return replica
  }

  attach(channels: Channels): void {
    this.#channels = channels
    for (const shared of this.#all) shared.attach(channels)
  }

  detach(): void {
    this.#channels = null
    for (const shared of this.#all) shared.detach()
  }

  /** This box leaves its cluster for another: what it holds goes along as the oldest there is. */
  renounce(node: NodeId): void {
    for (const shared of this.#all) shared.renounce(node)
  }

  timeMoved(step: TimeStep): void {
    if (Math.abs(step.byMs) < STAMP_AHEAD_MAX_MS) return
    const { beforeMs } = this.#stamps
    this.#stamps.rebase()
    for (const shared of this.#all) shared.timeMoved(step, beforeMs)
  }

  stop(): void {
    for (const shared of this.#all) shared.stop()
  }

  /** `name`: of a node, for people. */
  problems(name: (node: NodeId) => string): readonly string[] {
    return this.#all.flatMap((shared) => shared.problems(name))
  }

  /** Takes a record found at start, when it is one of these maps'; false: it is somebody else's. */
  found(record: FoundRecord, found: Found): boolean {
    if (record.kind === RecordKind.shared) {
      const stored = readShared(record.body)
      const map = stored === null ? undefined : this.#maps.get(stored.map)
      if (stored === null || map === undefined) found.remove(record.kept)
      else map.found(stored, record, found)
      return true
    }
    if (record.kind !== RecordKind.horizon) return false
    const stored = readHorizon(record.body)
    const map = stored === null ? undefined : this.#maps.get(stored.map)
    if (stored === null || map === undefined) found.remove(record.kept)
    else map.foundHorizon(stored.horizon, record, found)
    return true
  }

  #share(shared: Shared): void {
    this.#all.push(shared)
    if (this.#channels !== null) shared.attach(this.#channels)
  }
}
