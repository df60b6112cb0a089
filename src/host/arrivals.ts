// Connections that the kernel has handed over, taken a few in a turn: when thousands come at once, those who are connected
// already get their turns in between.

/** So many cost a turn as long as a few hundred messages. */
const PER_TURN = 8
/** So many may wait: each holds a file descriptor. Beyond, they are taken at once. */
export const WAITING_MAX = 4096

/** What we use of an accepted handle. */
export interface Arrival {
  close(): void
}

export class Arrivals<A extends Arrival> {
  readonly #take: (arrival: A) => void
  #waiting: A[] = []
  /** How many of them are taken. */
  #taken = 0
  #turn: NodeJS.Immediate | null = null

  constructor(take: (arrival: A) => void) {
    this.#take = take
  }

  add(arrival: A): void {
    if (this.#waiting.length - this.#taken >= WAITING_MAX) return this.#take(arrival)
    this.#waiting.push(arrival)
    this.#turn ??= setImmediate(this.#next)
  }

  /** Nobody listens any more: those who wait are not taken. */
  close(): void {
    if (this.#turn !== null) clearImmediate(this.#turn)
    this.#turn = null
    for (const arrival of this.#waiting.slice(this.#taken)) arrival.close()
    this.#waiting = []
    this.#taken = 0
  }

  readonly #next = (): void => {
    this.#turn = null
    const until = Math.min(this.#taken + PER_TURN, this.#waiting.length)
    while (this.#taken < until) this.#take(this.#waiting[this.#taken++]!)
    if (this.#taken < this.#waiting.length) {
      this.#turn = setImmediate(this.#next)
    } else {
      this.#waiting = []
      this.#taken = 0
    }
  }
}
