// Messages per second over the last few seconds, from cumulative counts sampled now and then.

import { Deque } from '../base/deque.ts'

const SAMPLES_MAX = 6

interface Sample {
  readonly atMs: number
  readonly messagesIn: number
  readonly messagesOut: number
}

export class Rates {
  readonly #samples = new Deque<Sample>()

  /** `atMs` is monotonic; counts only grow. */
  sample(atMs: number, messagesIn: number, messagesOut: number): void {
    this.#samples.push({ atMs, messagesIn, messagesOut })
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift()
  }

  /** From the oldest sample kept until now. */
  now(atMs: number, messagesIn: number, messagesOut: number): { inPerSecond: number; outPerSecond: number } {
    const oldest = this.#samples.peek()
    const seconds = oldest === undefined ? 0 : (atMs - oldest.atMs) / 1000
    if (oldest === undefined || seconds <= 0) return { inPerSecond: 0, outPerSecond: 0 }
    return {
      inPerSecond: Math.round((messagesIn - oldest.messagesIn) / seconds),
      outPerSecond: Math.round((messagesOut - oldest.messagesOut) / seconds),
    }
  }
}
