// What a receiver has got of each lane (one publisher, one topic): every sequence number from 0, each once, in order.

/** Numbers that were leapt over are remembered so far, to tell a late one from a double one. */
const LEAPT_MAX = 100_000

export class Ledger {
  /** The next number of each lane. */
  readonly #next: Uint32Array
  readonly #leapt = new Set<string>()
  #received = 0
  #doubles = 0
  #late = 0
  #strange = 0
  #forgotten = 0

  constructor(lanes: number) {
    this.#next = new Uint32Array(lanes)
  }

  get received(): number {
    return this.#received
  }

  got(lane: number, sequence: number): void {
    this.#received++
    const next = this.#next[lane]
    if (next === sequence) this.#next[lane] = next + 1
    else this.#unexpected(lane, sequence, next)
  }

  #unexpected(lane: number, sequence: number, next: number | undefined): void {
    if (next === undefined) {
      this.#strange++
      return
    }
    if (sequence < next) {
      if (this.#leapt.delete(`${lane}/${sequence}`)) this.#late++
      else this.#doubles++
      return
    }
    const end = Math.min(sequence, next + LEAPT_MAX - this.#leapt.size)
    for (let leapt = next; leapt < end; leapt++) this.#leapt.add(`${lane}/${leapt}`)
    this.#forgotten += sequence - end
    this.#next[lane] = sequence + 1
  }

  /** One line for each kind of finding; `sent` says how many were sent of a lane that this receiver was to get. */
  problems(who: string, sent: (lane: number) => number): string[] {
    let missing = this.#leapt.size + this.#forgotten
    let unsent = 0
    for (let lane = 0; lane < this.#next.length; lane++) {
      const lacking = sent(lane) - this.#next[lane]!
      if (lacking > 0) missing += lacking
      else unsent -= lacking
    }
    const findings: readonly (readonly [number, string])[] = [
      [missing, 'missing'],
      [this.#doubles, 'received twice'],
      [this.#late, 'out of order'],
      [unsent, 'received that were not sent to it'],
      [this.#strange, 'of an unknown lane'],
    ]
    return findings.filter(([count]) => count > 0).map(([count, what]) => `${who}: ${count} ${what}`)
  }
}
