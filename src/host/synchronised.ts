// Whether this machine's wall clock is set by a time service. Asked of systemd, off the main thread, at start and now and
// then; until it has answered, and where there is none to ask, the clock counts as not synchronised.

import { execFile } from 'node:child_process'

const AGAIN_MS = 5 * 60_000
const ANSWER_MS = 5000

export class Synchronised {
  #known = false
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY

  constructor() {
    this.#ask()
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
    })
    child.unref()
  }
}
