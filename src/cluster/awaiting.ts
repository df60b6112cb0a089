// Waits until the members have said what is hoped for, or for a while.

import type { Clock, Timer } from '../base/ports/clock.ts'

interface Awaited {
  readonly over: () => boolean
  readonly done: () => void
  readonly timer: Timer
}

export class Awaiting {
  readonly #clock: Clock
  readonly #withinMs: number
  readonly #name: string
  readonly #awaited = new Set<Awaited>()

  constructor(clock: Clock, withinMs: number, name: string) {
    this.#clock = clock
    this.#withinMs = withinMs
    this.#name = name
  }

  /** `done` is called once: when `over` says so, which is asked now and at each `look`, or when the time is up. */
  until(over: () => boolean, done: () => void): void {
    const timer = this.#clock.after(this.#withinMs, this.#name, () => this.#end(awaited))
    const awaited: Awaited = { over, done, timer }
    this.#awaited.add(awaited)
    this.look()
  }

  /** A member has said something. */
  look(): void {
    for (const awaited of [...this.#awaited]) if (awaited.over()) this.#end(awaited)
  }

  /** Nobody will say anything any more. */
  stop(): void {
    for (const awaited of [...this.#awaited]) this.#end(awaited)
  }

  #end(awaited: Awaited): void {
    if (!this.#awaited.delete(awaited)) return
    awaited.timer.cancel()
    awaited.done()
  }
}
