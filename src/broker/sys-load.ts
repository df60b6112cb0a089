// How much happens in a minute, averaged over the last 1, 5 and 15 minutes as mosquitto does: each look takes a part of
// what was and adds what came since.

const MINUTE_MS = 60_000
const SPANS = [1, 5, 15] as const

export class Load {
  readonly #averages = new Map<string, { last: number; readonly perMinute: [number, number, number] }>()
  #lookedMs: number

  constructor(nowMs: number) {
    this.#lookedMs = nowMs
  }

  /** `counts` are cumulative, by name. */
  look(nowMs: number, counts: Readonly<Record<string, number>>): void {
    const passedMs = nowMs - this.#lookedMs
    if (passedMs <= 0) return
    this.#lookedMs = nowMs
    for (const [name, count] of Object.entries(counts)) {
      let average = this.#averages.get(name)
      if (average === undefined) {
        average = { last: 0, perMinute: [0, 0, 0] }
        this.#averages.set(name, average)
      }
      const perMinute = ((count - average.last) * MINUTE_MS) / passedMs
      average.last = count
      for (const [index, minutes] of SPANS.entries()) {
        const kept = Math.exp(-passedMs / (minutes * MINUTE_MS))
        average.perMinute[index] = perMinute * (1 - kept) + average.perMinute[index]! * kept
      }
    }
  }

  /** `NAME/1min` and so on, with two decimals. */
  *facts(): IterableIterator<readonly [string, string]> {
    for (const [name, { perMinute }] of this.#averages) {
      for (const [index, minutes] of SPANS.entries()) yield [`${name}/${minutes}min`, perMinute[index]!.toFixed(2)]
    }
  }
}
