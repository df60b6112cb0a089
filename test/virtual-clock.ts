// Time that stands still until a test moves it, for tests of one file. Timers fire in order of their time, then of their
// making; what `soon` was given runs at the end of the turn that asked for it.

import type { Clock, Timer } from '../src/base/ports/clock.ts'

interface Waiting {
  readonly atMs: number
  readonly name: string
  readonly run: () => void
}

export class VirtualClock implements Clock {
  #nowMs: number
  /** What the wall clock shows at monotonic time 0. */
  wallOffsetMs: number
  #waiting: Waiting[] = []
  #soon: (() => void)[] = []

  constructor(nowMs = 1000, wallOffsetMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs
    this.wallOffsetMs = wallOffsetMs
  }

  now(): number {
    return this.#nowMs
  }

  wall(): number {
    return this.wallOffsetMs + this.#nowMs
  }

  after(delayMs: number, name: string, run: () => void): Timer {
    const waiting: Waiting = { atMs: this.#nowMs + Math.max(0, delayMs), name, run }
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]!.atMs > waiting.atMs) at--
    this.#waiting.splice(at, 0, waiting)
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
      },
    }
  }

  soon(run: () => void): void {
    this.#soon.push(run)
  }

  /** Names of the timers that are set, soonest first. */
  get timers(): readonly string[] {
    return this.#waiting.map((waiting) => waiting.name)
  }

  /** Ends the turn: runs what `soon` was given, and what that gives. */
  settle(): void {
    for (let run = this.#soon.shift(); run !== undefined; run = this.#soon.shift()) run()
  }

  /** Moves time on, firing what falls due on the way. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs
    this.settle()
    for (let next = this.#waiting[0]; next !== undefined && next.atMs <= untilMs; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#nowMs = next.atMs
      next.run()
      this.settle()
    }
    this.#nowMs = untilMs
  }
}
