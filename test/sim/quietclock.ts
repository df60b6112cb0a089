// A clock for months in which little happens: what a node does every few seconds it does every half hour while it is
// quiet. Deadlines, pauses and everything that is asked for once keep their time, so that what happens goes as ever.

import type { Clock, Timer } from '../../src/base/ports/clock.ts'

/** So long after it was quiet the last of it is over. */
export const QUIET_MS = 1_800_000

export class QuietClock implements Clock {
  readonly #clock: Clock
  readonly #isQuiet: () => boolean
  #running: string | null = null

  constructor(clock: Clock, isQuiet: () => boolean) {
    this.#clock = clock
    this.#isQuiet = isQuiet
  }

  now(): number {
    return this.#clock.now()
  }

  wall(): number {
    return this.#clock.wall()
  }

  /** A timer that asks for itself again while it runs is one of those that go on for ever. */
  after(delayMs: number, name: string, run: () => void): Timer {
    const slow = this.#running === name && this.#isQuiet()
    return this.#clock.after(slow ? Math.max(QUIET_MS, delayMs) : delayMs, name, () => {
      this.#running = name
      try {
        run()
      } finally {
        this.#running = null
      }
    })
  }

  soon(run: () => void): void {
    this.#clock.soon(run)
  }
}
