// A word that others can provoke as often as they like, and that is said now and then.

import type { Clock } from './ports/clock.ts'

export class Seldom {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #atOnce: number
  #until = Number.NEGATIVE_INFINITY
  #unsaid = 0

  /** `atOnce` words may come together, after that one in `everyMs`. */
  constructor(clock: Clock, everyMs: number, atOnce: number) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#atOnce = atOnce
  }

  /** Whether to say it now: how many were left unsaid since the last one; null: not now. */
  now(): number | null {
    const nowMs = this.#clock.now()
    const until = Math.max(this.#until, nowMs)
    if (until - nowMs > this.#everyMs * (this.#atOnce - 1)) {
      this.#unsaid++
      return null
    }
    this.#until = until + this.#everyMs
    const unsaid = this.#unsaid
    this.#unsaid = 0
    return unsaid
  }
}
