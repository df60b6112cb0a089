// The simulated disk under the store: a batch is there after its flush took its time; when the box dies during a flush,
// chance says whether the batch got there. A batch is whole or not at all, as the real engine's checksums make it.

import { HostError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/ports/clock.ts'
import type { OpenedEngine, StoreEngine } from '../../src/base/ports/engine.ts'
import type { Dice } from './random.ts'

/** A flush takes at least this long. */
const FLUSH_MS_MIN = 0.2
/** One flush in so many is this much slower: the card is tidying up. */
const SLOW_CHANCE = 0.02
const SLOW_TIMES = 25

/** What survives the process, and how good the disk is. */
export class StoreDisk {
  readonly batches = new Map<number, Buffer>()
  /** Being flushed when the box died, if it did. */
  torn: { readonly number: number; readonly bytes: Buffer } | null = null
  /** How long a flush takes at most, on an ordinary day. */
  flushMs = 8
  /** Batches that are not needed any more and stay for a while: room is given back in larger pieces. */
  lingering = 0
  /** Nothing more fits. */
  full = false
}

/** The disk as one run of a node sees it. */
export class SimEngine implements StoreEngine {
  readonly #disk: StoreDisk
  readonly #clock: Clock
  readonly #dice: Dice
  /** Of flushes that are over; and since when there is one under way. */
  #flushedMs = 0
  #flushingSinceMs: number | null = null

  constructor(disk: StoreDisk, clock: Clock, dice: Dice) {
    this.#disk = disk
    this.#clock = clock
    this.#dice = dice
  }

  get bytes(): number {
    let bytes = 0
    for (const batch of this.#disk.batches.values()) bytes += batch.length
    return bytes
  }

  /** For how long in all there has been a flush under way. */
  get busyMs(): number {
    return this.#flushedMs + (this.#flushingSinceMs === null ? 0 : this.#clock.now() - this.#flushingSinceMs)
  }

  open(batch: (number: number, bytes: Buffer) => void, done: (result: OpenedEngine | HostError) => void): void {
    const { torn, batches } = this.#disk
    if (torn !== null && this.#dice.chance(0.5)) batches.set(torn.number, torn.bytes)
    this.#disk.torn = null
    this.#after(2, () => {
      let lastBatch = 0
      for (const number of [...batches.keys()].sort((a, b) => a - b)) {
        batch(number, Buffer.from(batches.get(number)!))
        lastBatch = number
      }
      done({ lastBatch, damaged: [] })
    })
  }

  append(number: number, bytes: Buffer, done: (error: HostError | null) => void): void {
    const disk = this.#disk
    const torn = { number, bytes: Buffer.from(bytes) }
    if (disk.full) {
      // Nobody knows after an error whether the batch is there.
      if (this.#dice.chance(0.3)) disk.batches.set(number, torn.bytes)
      return this.#after(2, () => done(new HostError('failed', 'no space left on device')))
    }
    disk.torn = torn
    this.#flushingSinceMs = this.#clock.now()
    this.#after(this.#dice.chance(SLOW_CHANCE) ? disk.flushMs * SLOW_TIMES : disk.flushMs, () => {
      this.#flushedMs = this.busyMs
      this.#flushingSinceMs = null
      disk.torn = null
      disk.batches.set(number, torn.bytes)
      done(null)
    })
  }

  /** From the oldest on, and never one before an older one. */
  drop(below: number): void {
    const { batches, lingering } = this.#disk
    for (const number of batches.keys()) if (number < below - lingering) batches.delete(number)
  }

  close(done: () => void): void {
    this.#after(1, done)
  }

  #after(longestMs: number, run: () => void): void {
    this.#clock.after(this.#dice.between(FLUSH_MS_MIN, longestMs), 'store.flush', run)
  }
}
