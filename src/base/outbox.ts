// Output of one stream, gathered for a turn of the event loop and written once (DESIGN 7). Used by MQTT connections and
// by links: many small packets become one system call.
//
//   append -> chunk (taken from the pool at the first byte of a turn) -> end of turn: one write -> chunk back to the
//   pool when the kernel took it all, else left to the stream until `drained`

import { assert } from './errors.ts'
import type { Clock } from './ports/clock.ts'
import type { ByteStream } from './ports/streams.ts'

const SIZES = [4 * 1024, 16 * 1024, 64 * 1024] as const
const CHUNK_MAX = SIZES[SIZES.length - 1]!
/** Chunks kept for reuse, per size: enough for a busy turn, little for an idle box. */
const POOLED_MAX = [64, 64, 16] as const

class ChunkPool {
  readonly #free: Buffer[][] = SIZES.map(() => [])

  take(size: number): Buffer {
    return this.#free[size]!.pop() ?? Buffer.allocUnsafeSlow(SIZES[size]!)
  }

  give(chunk: Buffer): void {
    const size = SIZES.indexOf(chunk.length as (typeof SIZES)[number])
    if (size >= 0 && this.#free[size]!.length < POOLED_MAX[size]!) this.#free[size]!.push(chunk)
  }
}

const pool = new ChunkPool()

/** The outboxes that have something to send in this turn; one per node, flushed by one `clock.soon`. */
export class Turn {
  readonly #clock: Clock
  #waiting: Outbox[] = []
  #spare: Outbox[] = []
  #armed = false
  /** Bytes that all of them have handed to their streams. */
  bytesOut = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  enlist(outbox: Outbox): void {
    this.#waiting.push(outbox)
    if (this.#armed) return
    this.#armed = true
    this.#clock.soon(this.#flush)
  }

  readonly #flush = (): void => {
    this.#armed = false
    const flushing = this.#waiting
    this.#waiting = this.#spare
    this.#spare = flushing
    for (let index = 0; index < flushing.length; index++) flushing[index]!.flush()
    flushing.length = 0
  }
}

export class Outbox {
  readonly #turn: Turn
  readonly #stream: ByteStream
  #enlisted = false
  #closed = false
  /** Where the next byte goes; valid between `room` and the next call of anything else. */
  chunk: Buffer | null = null
  at = 0
  /** Bytes handed to the stream so far, for meters. */
  bytesOut = 0

  constructor(turn: Turn, stream: ByteStream) {
    this.#turn = turn
    this.#stream = stream
  }

  /** Bytes that have not reached the kernel: gathered in this turn, and held by the stream. */
  get pendingBytes(): number {
    return this.at + this.#stream.pendingBytes
  }

  /**
   * Makes room for `length` bytes and returns the chunk to write into, from `this.at` on; the caller then advances
   * `this.at`. For packets that are written in place; `length` is at most 64 KiB.
   */
  room(length: number): Buffer {
    const chunk = this.chunk
    if (chunk !== null && this.at + length <= chunk.length) return chunk
    return this.#grow(length)
  }

  /** Copies bytes [start, end) behind what was gathered. */
  append(bytes: Buffer, start = 0, end = bytes.length): void {
    const length = end - start
    if (length > CHUNK_MAX) return this.#large(bytes, start, end)
    const chunk = this.room(length)
    if (length < 32) {
      let at = this.at
      for (let index = start; index < end; index++) chunk[at++] = bytes[index]!
    } else {
      bytes.copy(chunk, this.at, start, end)
    }
    this.at += length
  }

  /** Writes what was gathered now; called at the end of the turn, and before closing. */
  flush(): void {
    this.#enlisted = false
    const chunk = this.chunk
    if (chunk === null) return
    const length = this.at
    this.chunk = null
    this.at = 0
    if (this.#closed || length === 0) return pool.give(chunk)
    this.bytesOut += length
    this.#turn.bytesOut += length
    if (this.#stream.write(chunk.subarray(0, length))) pool.give(chunk)
  }

  /** Drops what was gathered and everything that comes after. */
  close(): void {
    this.#closed = true
    this.at = 0
  }

  #grow(length: number): Buffer {
    assert(length <= CHUNK_MAX, 'room for more than a chunk holds')
    const old = this.chunk
    const wanted = Math.min(this.at + length, CHUNK_MAX)
    if (old !== null && this.at + length <= CHUNK_MAX) {
      let size = 0
      while (SIZES[size]! < wanted) size++
      const grown = pool.take(size)
      old.copy(grown, 0, 0, this.at)
      pool.give(old)
      this.chunk = grown
      return grown
    }
    if (old !== null) {
      const again = this.#enlisted
      this.flush()
      this.#enlisted = again
    }
    let size = 0
    while (SIZES[size]! < length) size++
    const chunk = pool.take(old === null ? size : SIZES.length - 1)
    this.chunk = chunk
    if (!this.#enlisted) {
      this.#enlisted = true
      this.#turn.enlist(this)
    }
    return chunk
  }

  /** A packet larger than any chunk: what was gathered first, then a copy that belongs to the stream. */
  #large(bytes: Buffer, start: number, end: number): void {
    if (this.#closed) return
    const again = this.#enlisted
    this.flush()
    this.#enlisted = again
    this.bytesOut += end - start
    this.#turn.bytesOut += end - start
    this.#stream.write(Buffer.from(bytes.subarray(start, end)))
  }
}
