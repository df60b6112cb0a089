// Slow checks wait in lanes, one for each address: the addresses take turns, one check runs at a time, and an address
// whose checks have failed waits longer before its next one.

import type { Clock, Timer } from '../../base/ports/clock.ts'

/** Checks that wait, of one address and of all. */
const LANE_MAX = 64
const WAITING_MAX = 4096
/** Addresses whose failures are remembered. */
const REMEMBERED_MAX = 1024
const FIRST_PAUSE_MS = 100
/** Well below the time a client has for its CONNECT. */
const PAUSE_MAX_MS = 2000
/** After this long without a failure an address is as good as new. */
const FORGIVEN_MS = 300_000

/** Calls `done` once, at any time; `failed` counts against the address. */
export type Check = (done: (failed: boolean) => void) => void

interface Failures {
  count: number
  lastMs: number
}

export class Lanes {
  readonly #clock: Clock
  /** In the order of their turns. */
  readonly #lanes = new Map<string, Check[]>()
  readonly #failures = new Map<string, Failures>()
  #waiting = 0
  #running = false
  #timer: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether there is room for the check; it runs when it is its turn. */
  enter(address: string, check: Check): boolean {
    const key = laneOf(address)
    const lane = this.#lanes.get(key)
    if ((lane?.length ?? 0) >= LANE_MAX || this.#waiting >= WAITING_MAX) return false
    if (lane === undefined) this.#lanes.set(key, [check])
    else lane.push(check)
    this.#waiting++
    this.#next()
    return true
  }

  #next(): void {
    if (this.#running) return
    this.#timer?.cancel()
    this.#timer = null
    const nowMs = this.#clock.now()
    let soonestMs = Number.POSITIVE_INFINITY
    for (const [key, lane] of this.#lanes) {
      const atMs = this.#notBefore(key)
      if (atMs <= nowMs) return this.#run(key, lane)
      soonestMs = Math.min(soonestMs, atMs)
    }
    if (soonestMs !== Number.POSITIVE_INFINITY) {
      this.#timer = this.#clock.after(soonestMs - nowMs, 'auth.lanes', () => this.#next())
    }
  }

  #run(key: string, lane: Check[]): void {
    const check = lane.shift()!
    this.#waiting--
    // To the end of the row, if it has more.
    this.#lanes.delete(key)
    if (lane.length > 0) this.#lanes.set(key, lane)
    this.#running = true
    check((failed) => {
      this.#running = false
      if (failed) this.#failed(key)
      this.#next()
    })
  }

  #notBefore(key: string): number {
    const failures = this.#failures.get(key)
    if (failures === undefined) return Number.NEGATIVE_INFINITY
    return failures.lastMs + Math.min(PAUSE_MAX_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures.count - 1, 10))
  }

  #failed(key: string): void {
    const nowMs = this.#clock.now()
    const before = this.#failures.get(key)
    const count = before === undefined || nowMs - before.lastMs > FORGIVEN_MS ? 1 : before.count + 1
    // Those that failed last are at the end; the longest ago is forgotten first.
    this.#failures.delete(key)
    this.#failures.set(key, { count, lastMs: nowMs })
    if (this.#failures.size <= REMEMBERED_MAX) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      return
    }
  }
}

/** An IPv6 network gives its machines as many addresses as they like: what counts is the network. */
const laneOf = (address: string): string =>
  address.includes(':') && !/^::ffff:\d/i.test(address) ? address.split(':', 4).join(':') : address
