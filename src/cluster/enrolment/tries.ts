// How often somebody at one address may try a code or the password: each wrong one makes the next wait longer. An address
// costs nobody much on a LAN, so all of them together have a bound as well - for the password, which people have thought of:
// 80 random bits need none, and whoever tries at random must not keep those out who have a code.

const FIRST_MS = 1000
const LAST_MS = 60_000
/** Slips of the fingers cost nothing. */
const FREE = 2
/** After so long without a try an address is a new one. */
const FORGET_MS = 600_000
const ADDRESSES_MAX = 256
/** Wrong passwords of all addresses in a minute. */
const ALL_MAX = 60
const ALL_MS = 60_000

interface Record {
  wrong: number
  lastMs: number
}

/** How long an address waits after so many wrong tries. */
export const waitMs = (wrong: number): number =>
  wrong <= FREE ? 0 : Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(wrong - FREE - 1, 30))

export class Tries {
  /** In the order of the last wrong try, the oldest first. */
  readonly #records = new Map<string, Record>()
  #all = { sinceMs: Number.NEGATIVE_INFINITY, wrong: 0 }

  /** Milliseconds until this address may try; 0: now. */
  waitMs(address: string, nowMs: number): number {
    const record = this.#records.get(address)
    return record === undefined ? 0 : Math.max(0, record.lastMs + waitMs(record.wrong) - nowMs)
  }

  /** Milliseconds until anybody may try the password; 0: now. */
  passwordWaitMs(nowMs: number): number {
    return this.#all.wrong < ALL_MAX ? 0 : Math.max(0, this.#all.sinceMs + ALL_MS - nowMs)
  }

  wrong(address: string, what: 'code' | 'password', nowMs: number): void {
    if (nowMs - this.#all.sinceMs >= ALL_MS) this.#all = { sinceMs: nowMs, wrong: 0 }
    if (what === 'password') this.#all.wrong++
    const before = this.#records.get(address)
    const wrong = before === undefined || nowMs - before.lastMs > FORGET_MS ? 1 : before.wrong + 1
    this.#records.delete(address)
    this.#records.set(address, { wrong, lastMs: nowMs })
    if (this.#records.size <= ADDRESSES_MAX) return
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest)
      break
    }
  }

  right(address: string): void {
    this.#records.delete(address)
  }
}
