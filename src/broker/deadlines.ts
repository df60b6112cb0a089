// Everything that has a deadline - CONNECT, keep alive, session expiry, will delay, retained expiry - behind one timer.
//
// Many that are due at once, such as the sessions of a whole site, are served over several turns.
//
// A heap of deadlines, each with its place in it. Moving one later costs nothing: it comes up at the old time, is found
// early and goes back. So a connection that is heard a thousand times a second touches the heap once per keep alive.

import type { Clock, Timer } from '../base/ports/clock.ts'
import { bounds } from './bounds.ts'

/** The timer is never armed further ahead: hosts count delays in 31 bits. */
const AHEAD_MAX_MS = 24 * 3600 * 1000
const NEVER = Number.POSITIVE_INFINITY
const NOWHERE = -1

export class Deadline {
  /** Monotonic milliseconds; Infinity: none. */
  at = NEVER
  /** When it comes up in the heap: at `at` or earlier. */
  upAt = NEVER
  place = NOWHERE
  readonly due: () => void

  constructor(due: () => void) {
    this.due = due
  }
}

export class Deadlines {
  readonly #clock: Clock
  readonly #heap: Deadline[] = []
  #timer: Timer | null = null
  #armedFor = NEVER
  #firing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#heap.length
  }

  /** Moves the deadline, earlier or later. */
  set(deadline: Deadline, at: number): void {
    if (at === NEVER) return this.clear(deadline)
    deadline.at = at
    if (deadline.place === NOWHERE) {
      deadline.upAt = at
      this.#heap.push(deadline)
      this.#rise(deadline, this.#heap.length - 1)
    } else if (at < deadline.upAt) {
      deadline.upAt = at
      this.#rise(deadline, deadline.place)
    } else {
      return
    }
    this.#arm()
  }

  clear(deadline: Deadline): void {
    deadline.at = NEVER
    if (deadline.place !== NOWHERE) this.#take(deadline)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#armedFor = NEVER
    for (const deadline of this.#heap) deadline.place = NOWHERE
    this.#heap.length = 0
  }

  readonly #fire = (): void => {
    this.#timer = null
    this.#armedFor = NEVER
    this.#firing = true
    const now = this.#clock.now()
    let left: number = bounds.deadlinesPerTurn
    for (let head = this.#heap[0]; head !== undefined && head.upAt <= now && left > 0; head = this.#heap[0]) {
      left--
      if (head.at > now) {
        head.upAt = head.at
        this.#sink(head, 0)
      } else {
        this.clear(head)
        head.due()
      }
    }
    this.#firing = false
    this.#arm()
  }

  #arm(): void {
    const head = this.#heap[0]
    if (head === undefined || this.#firing || head.upAt >= this.#armedFor) return
    this.#timer?.cancel()
    this.#armedFor = head.upAt
    const delayMs = Math.min(Math.max(0, head.upAt - this.#clock.now()), AHEAD_MAX_MS)
    this.#timer = this.#clock.after(delayMs, 'broker.deadlines', this.#fire)
  }

  #take(deadline: Deadline): void {
    const place = deadline.place
    deadline.place = NOWHERE
    const last = this.#heap.pop()!
    if (last === deadline) return
    this.#rise(last, place)
    if (last.place === place) this.#sink(last, place)
  }

  #rise(deadline: Deadline, place: number): void {
    const heap = this.#heap
    let at = place
    while (at > 0) {
      const above = heap[(at - 1) >> 1]!
      if (above.upAt <= deadline.upAt) break
      heap[at] = above
      above.place = at
      at = (at - 1) >> 1
    }
    heap[at] = deadline
    deadline.place = at
  }

  #sink(deadline: Deadline, place: number): void {
    const heap = this.#heap
    let at = place
    for (;;) {
      let below = at * 2 + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1]!.upAt < heap[below]!.upAt) below++
      if (heap[below]!.upAt >= deadline.upAt) break
      heap[at] = heap[below]!
      heap[at]!.place = at
      at = below
    }
    heap[at] = deadline
    deadline.place = at
  }
}
