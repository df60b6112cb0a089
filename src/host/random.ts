// Chance on a real box: cryptographic bytes, fetched in blocks because most wishes are for eight bytes.

import { randomFillSync } from 'node:crypto'
import type { Random } from '../base/ports/random.ts'

const BLOCK_BYTES = 1024

export class HostRandom implements Random {
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  #at = BLOCK_BYTES

  bytes(length: number): Buffer {
    if (length > BLOCK_BYTES / 4) return randomFillSync(Buffer.alloc(length))
    if (this.#at + length > BLOCK_BYTES) {
      randomFillSync(this.#block)
      this.#at = 0
    }
    const taken = Buffer.from(this.#block.subarray(this.#at, this.#at + length))
    // What was given away must not lie around here a second time.
    this.#block.fill(0, this.#at, this.#at + length)
    this.#at += length
    return taken
  }

  fraction(): number {
    return Math.random()
  }
}
