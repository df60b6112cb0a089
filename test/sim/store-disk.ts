// The simulated disk under the store: a batch is there after its flush took its time; when the box dies during a flush,
// chance says whether the batch got there. A batch is whole or not at all, as the real engine's checksums make it.

import type { HostError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/ports/clock.ts'
import type { OpenedEngine, StoreEngine } from '../../src/base/ports/engine.ts'
import type { Dice } from './random.ts'

/** What survives the process. */
export class StoreDisk {
  readonly batches = new Map<number, Buffer>()
  /** Being flushed when the box died, if it did. */
  torn: { readonly number: number; readonly bytes: Buffer } | null = null
}

/** The disk as one run of a node sees it. */
export class SimEngine implements StoreEngine {
  readonly #disk: StoreDisk
  readonly #clock: Clock
  readonly #dice: Dice

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
    const torn = { number, bytes: Buffer.from(bytes) }
    this.#disk.torn = torn
    this.#after(this.#dice.chance(0.02) ? 200 : 8, () => {
      this.#disk.torn = null
      this.#disk.batches.set(number, torn.bytes)
      done(null)
    })
  }

  drop(below: number): void {
    for (const number of this.#disk.batches.keys()) if (number < below) this.#disk.batches.delete(number)
  }

  close(done: () => void): void {
    this.#after(1, done)
  }

  #after(longestMs: number, run: () => void): void {
    this.#clock.after(this.#dice.between(0.2, longestMs), 'store.flush', run)
  }
}
