// When the next commit begins: what is staged waits a while for more to come and for its receivers to acknowledge (a
// message that all have acknowledged by then is never written). The slower the disk flushes, the longer: a card that
// takes 20 ms to flush is not flushed more often than every 50.

/** Shortest and longest wait of what was staged first. */
const WAIT_MS_MIN = 25
const WAIT_MS_MAX = 50
/** The wait is this many times what a flush takes. */
const FLUSHES = 4
/** Weight of the last flush in the running figure. */
const WEIGHT = 0.25

export class Pace {
  #flushMs = 0

  flushed(tookMs: number): void {
    this.#flushMs += (tookMs - this.#flushMs) * WEIGHT
  }

  get waitMs(): number {
    return Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, this.#flushMs * FLUSHES))
  }
}
