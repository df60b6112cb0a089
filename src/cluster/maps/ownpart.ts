// This node's own part of an OwnedMap: its entries, what changed in this turn, and the last deltas for followers that
// come back.
//
//   set -> dirty (the last change of a key in a turn wins) -> seal: one numbered delta -> log, the oldest out first

import { Deque } from '../../base/deque.ts'
import { limits } from '../../base/limits.ts'
import type { Stamp } from '../../base/stamps.ts'
import { type Change, type Entry, encodeOwned, entryBytes, type Position, type Summary } from '../../wire/link/owned.ts'
import { Digest } from './digest.ts'

/** A delta is sealed before its turn ends when it reaches this, so that it travels in one piece. */
export const DELTA_BYTES = limits.pieceBytes - 1024
const LOG_BYTES_MAX = limits.channelWindowBytes
const LOG_DELTAS_MAX = 4096

export class OwnPart {
  readonly entries = new Map<string, Buffer>()
  readonly #digest = new Digest()
  readonly #run: number
  #incarnation: Stamp
  #sequence = 0
  #dirty = new Map<string, Buffer | null>()
  #dirtyBytes = 0
  readonly #log = new Deque<Buffer>()
  #logBytes = 0

  constructor(incarnation: Stamp, run: number) {
    this.#incarnation = incarnation
    this.#run = run
  }

  /** Where the last sealed delta left it. */
  get position(): Position {
    return { incarnation: this.#incarnation, run: this.#run, sequence: this.#sequence }
  }

  get sequence(): number {
    return this.#sequence
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0
  }

  /** What it looks like at the last sealed delta; not to be asked while it is dirty. */
  get summary(): Summary {
    const { high, low } = this.#digest
    return { sequence: this.#sequence, count: this.entries.size, high, low }
  }

  /** Changes an entry; null removes it. Returns the sequence of the delta that will carry the change. */
  set(key: string, value: Buffer | null): number {
    const before = this.entries.get(key)
    if (before !== undefined) this.#digest.remove(key, before)
    if (value === null) {
      this.entries.delete(key)
    } else {
      this.entries.set(key, value)
      this.#digest.add(key, value)
    }
    const bytes = entryBytes(Buffer.byteLength(key), value?.length ?? 0)
    if (this.#dirty.size > 0 && this.#dirtyBytes + bytes > DELTA_BYTES) this.seal()
    this.#dirty.set(key, value)
    this.#dirtyBytes += bytes
    return this.#sequence + 1
  }

  /** Numbers what changed and keeps it for the followers. */
  seal(): void {
    if (this.#dirty.size === 0) return
    const changes: Change[] = []
    for (const [key, value] of this.#dirty) changes.push({ key, value })
    this.#dirty = new Map()
    this.#dirtyBytes = 0
    const bytes = encodeOwned({ kind: 'delta', sequence: ++this.#sequence, changes })
    this.#log.push(bytes)
    this.#logBytes += bytes.length
    while (this.#log.length > LOG_DELTAS_MAX || (this.#logBytes > LOG_BYTES_MAX && this.#log.length > 1)) {
      this.#logBytes -= this.#log.shift()!.length
    }
  }

  /** As `seal` when nobody follows: later followers take the whole part, so nothing is kept. */
  sealUnheard(): void {
    if (this.#dirty.size === 0) return
    this.#dirty = new Map()
    this.#dirtyBytes = 0
    this.#sequence++
    this.#log.clear()
    this.#logBytes = 0
  }

  /** The delta of that number as it goes on the wire; null: no longer kept. */
  delta(sequence: number): Buffer | null {
    return this.#log.at(this.#log.length - 1 - (this.#sequence - sequence)) ?? null
  }

  /** Whether a follower that holds the part at `place` can be brought up to date by deltas. */
  canResume(place: Position): boolean {
    if (this.compare(place) !== 'past' || place.run !== this.#run) return false
    if (compareIncarnations(place.incarnation, this.#incarnation) !== 0) return false
    return place.sequence === this.#sequence || this.delta(place.sequence + 1) !== null
  }

  /**
   * Whether `place`, told by another node, lies in this part's past, or is one that this run has not been at: then an
   * earlier run of this node was there, with a clock ahead of ours.
   */
  compare(place: Position): 'past' | 'ahead' {
    const order = compareIncarnations(place.incarnation, this.#incarnation)
    if (order !== 0) return order < 0 ? 'past' : 'ahead'
    return place.run === this.#run && place.sequence <= this.#sequence ? 'past' : 'ahead'
  }

  /** Begins a new incarnation with the same entries; sequences go on. */
  rise(incarnation: Stamp): void {
    this.#incarnation = incarnation
  }
}

/** The order of two incarnations of one node. */
export const compareIncarnations = (a: Stamp, b: Stamp): number => a.wallMs - b.wallMs || a.counter - b.counter

/** An incarnation above `heard`: the fresh stamp when that is greater, else the next after what was heard. */
export function incarnationAbove(heard: Stamp, fresh: Stamp): Stamp {
  if (compareIncarnations(fresh, heard) > 0) return fresh
  return { wallMs: heard.wallMs + 1, counter: 0, node: fresh.node }
}

/** Hands out the entries of a part for a snapshot, some at a time, while the part goes on changing. */
export class SnapshotCursor {
  readonly #entries: IterableIterator<[string, Buffer]>
  #done = false

  /**
   * Deltas sealed after the cursor was made must reach the follower in order among the entries: then an entry that is
   * read late carries changes early, which does no harm, and one that is removed before it is read never comes.
   */
  constructor(part: OwnPart) {
    this.#entries = part.entries.entries()
  }

  /** About `bytesMax` bytes of entries; empty: there are no more. */
  next(bytesMax: number): readonly Entry[] {
    const entries: Entry[] = []
    let bytes = 0
    while (!this.#done && bytes < bytesMax) {
      const step = this.#entries.next()
      if (step.done) {
        this.#done = true
      } else {
        const [key, value] = step.value
        entries.push({ key, value })
        bytes += entryBytes(Buffer.byteLength(key), value.length)
      }
    }
    return entries
  }
}
