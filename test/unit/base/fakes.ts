// A clock and a stream that do what the test says, for the parts of base that need one.

import type { Clock, Timer } from '../../../src/base/ports/clock.ts'
import type { ByteStream, Endpoint } from '../../../src/base/ports/streams.ts'

export class HandClock implements Clock {
  nowMs = 0
  #timers: { at: number; run: () => void }[] = []
  #soon: (() => void)[] = []

  now(): number {
    return this.nowMs
  }

  wall(): number {
    return this.nowMs
  }

  after(delayMs: number, _name: string, run: () => void): Timer {
    const timer = { at: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  soon(run: () => void): void {
    this.#soon.push(run)
  }

  /** Ends the turn; returns how many asked for it. */
  endTurn(): number {
    const waiting = this.#soon
    this.#soon = []
    for (const run of waiting) run()
    return waiting.length
  }

  advance(ms: number): void {
    const until = this.nowMs + ms
    for (;;) {
      const next = this.#timers.sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > until) break
      this.#timers.shift()
      this.nowMs = next.at
      next.run()
    }
    this.nowMs = until
  }
}

const here: Endpoint = { address: '127.0.0.1', port: 1 }

/** Keeps what is written. A stream that is not `taking` holds on to the buffers, as a full socket does. */
export class HeldStream implements ByteStream {
  readonly local = here
  readonly remote = here
  taking = true
  pendingBytes = 0
  readonly written: Buffer[] = []
  /** Buffers that still belong to the stream, with what they held when they were written. */
  readonly held: { buffer: Buffer; copy: Buffer }[] = []
  onWrite: () => void = () => {}

  open(): void {}

  write(bytes: Buffer): boolean {
    const copy = Buffer.from(bytes)
    this.written.push(copy)
    this.onWrite()
    if (this.taking) {
      // The caller may reuse it now, and does.
      return true
    }
    this.pendingBytes += bytes.length
    this.held.push({ buffer: bytes, copy })
    return false
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  get text(): string {
    return Buffer.concat(this.written).toString('latin1')
  }
}
