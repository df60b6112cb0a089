// Whether this machine's wall clock is set by a time service. Asked of systemd, off the main thread: at start, now and then,
// and when the clock has jumped. Until it has answered, and where there is none to ask, it counts as not synchronised.

import { execFile } from 'node:child_process'

const AGAIN_MS = 60_000
const ANSWER_MS = 5000
const FIRST_MS = 500
/** More than a time service moves a clock at once that it has set before. */
const JUMP_MS = 1000

/** Asks the machine; `done` is called once, later. */
export type AskMachine = (done: (synchronised: boolean) => void) => void

const askSystemd: AskMachine = (done) => {
  const options = { timeout: ANSWER_MS, encoding: 'utf8' } as const
  const child = execFile('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], options, (error, answer) => {
    done(error === null && answer.trim() === 'yes')
  })
  child.unref()
}

export class Synchronised {
  readonly #ask: AskMachine
  readonly #monotonic: () => number
  readonly #wall: () => number
  #known = false
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  /** The wall clock less the monotonic one, when it was last looked. */
  #offsetMs: number
  #answered: () => void = () => {}
  readonly #first: Promise<void>

  constructor(ask = askSystemd, monotonic = () => performance.now(), wall = () => Date.now()) {
    this.#ask = ask
    this.#monotonic = monotonic
    this.#wall = wall
    this.#offsetMs = wall() - monotonic()
    this.#first = new Promise((resolve) => {
      this.#answered = resolve
    })
    this.#again()
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
    const offsetMs = this.#wall() - this.#monotonic()
    const jumped = Math.abs(offsetMs - this.#offsetMs) > JUMP_MS
    this.#offsetMs = offsetMs
    // Somebody has set it: what was known of the time before says nothing of the time now.
    if (jumped) this.#known = false
    if (jumped || this.#monotonic() - this.#askedAt > AGAIN_MS) this.#again()
    return this.#known
  }

  #again(): void {
    this.#askedAt = this.#monotonic()
    if (this.#asking) return
    this.#asking = true
    const offsetMs = this.#offsetMs
    this.#ask((synchronised) => {
      this.#asking = false
      // An answer to what was asked before the clock jumped.
      if (Math.abs(this.#offsetMs - offsetMs) > JUMP_MS) return this.#again()
      this.#known = synchronised
      this.#answered()
    })
  }
}
