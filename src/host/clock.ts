// Time on a real box: the monotonic clock of the process, the machine's wall clock, and the timers of the event loop.

import type { Clock, Timer } from '../base/ports/clock.ts'

/** setTimeout turns longer delays into one millisecond; they are waited for in parts. */
const LONGEST_MS = 2 ** 31 - 1

class HostTimer implements Timer {
  #timeout: NodeJS.Timeout | null = null
  #run: (() => void) | null

  constructor(delayMs: number, run: () => void) {
    this.#run = run
    this.#arm(delayMs)
  }

  cancel(): void {
    this.#run = null
    if (this.#timeout === null) return
    clearTimeout(this.#timeout)
    this.#timeout = null
  }

  #arm(delayMs: number): void {
    if (delayMs > LONGEST_MS) {
      this.#timeout = setTimeout(() => this.#arm(delayMs - LONGEST_MS), LONGEST_MS)
    } else {
      this.#timeout = setTimeout(this.#fire, delayMs)
    }
  }

  readonly #fire = (): void => {
    const run = this.#run
    this.#run = null
    this.#timeout = null
    run?.()
  }
}

export class HostClock implements Clock {
  now(): number {
    return performance.now()
  }

  wall(): number {
    return Date.now()
  }

  after(delayMs: number, _name: string, run: () => void): Timer {
    return new HostTimer(delayMs, run)
  }

  /** setImmediate runs after the poll phase: whatever the kernel had ready in this turn has then been handled. */
  soon(run: () => void): void {
    setImmediate(run)
  }
}
