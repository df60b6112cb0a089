// Whether this machine's wall clock is set by a time service. Asked of systemd, off the main thread, at start and now and
// then; until it has answered, and where there is none to ask, the clock counts as not synchronised.

import { execFile } from 'node:child_process'

const AGAIN_MS = 5 * 60_000
const ANSWER_MS = 5000
const FIRST_MS = 500

export class Synchronised {
  #known = false
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  #answered: () => void = () => {}
  readonly #first: Promise<void>

  constructor() {
    this.#first = new Promise((resolve) => {
      this.#answered = resolve
    })
    this.#ask()
  }

  /** Until it is known for the first time, but not for long: how stamps begin depends on it. */
  async first(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_MS)
    })
    await Promise.race([this.#first, late])
    clearTimeout(timer)
  }

  now(): boolean {
    if (performance.now() - this.#askedAt > AGAIN_MS) this.#ask()
    return this.#known
  }

  #ask(): void {
    if (this.#asking) return
    this.#asking = true
    this.#askedAt = performance.now()
    const options = { timeout: ANSWER_MS, encoding: 'utf8' } as const
    const child = execFile('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], options, (error, answer) => {
      this.#asking = false
      this.#known = error === null && answer.trim() === 'yes'
      this.#answered()
    })
    child.unref()
  }
}
