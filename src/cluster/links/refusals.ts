// Who was refused, by whom and why: the rows of `status` under `refused`. Bounded, the oldest out: strangers can fill the
// table, but not the memory.

import { limits } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import type { RefusedStatus } from '../status.ts'

/** Whoever still tries is refused again long before: the longest pause between two dials is 10 minutes. */
const TOLD_MS = 3_600_000

interface Row {
  readonly address: string
  readonly reason: string
  count: number
  lastMs: number
  /** By the monotonic clock. */
  at: number
}

export class Refusals {
  readonly #clock: Clock
  readonly #log: Log
  readonly #meter: Meter
  /** In the order of the last refusal, the oldest first. */
  readonly #rows = new Map<string, Row>()

  constructor(world: { readonly clock: Clock; readonly log: Log; readonly meter: Meter }) {
    this.#clock = world.clock
    this.#log = world.log
    this.#meter = world.meter
  }

  /** `address` is without a port for those who came to us: their ports change with every attempt. */
  add(address: string, reason: string): void {
    this.#meter.count(`link.refused.${reason}`)
    const key = `${address} ${reason}`
    this.#forget()
    const row = this.#rows.get(key) ?? { address, reason, count: 0, lastMs: 0, at: 0 }
    // One line when it begins; a box that keeps asking must not fill the log.
    if (row.count === 0) this.#log.warn({ address, reason }, 'link refused')
    row.count++
    row.lastMs = this.#clock.wall()
    row.at = this.#clock.now()
    this.#rows.delete(key)
    this.#rows.set(key, row)
    if (this.#rows.size <= limits.refusals) return
    for (const oldest of this.#rows.keys()) {
      this.#rows.delete(oldest)
      break
    }
  }

  /** The address is linked now: what stood against it is history. */
  clear(address: string): void {
    for (const [key, row] of this.#rows) {
      if (row.address === address) this.#rows.delete(key)
    }
  }

  /** The latest first. */
  rows(): readonly RefusedStatus[] {
    this.#forget()
    return [...this.#rows.values()].map(({ at, ...row }) => row).reverse()
  }

  /** What was so long ago is nobody's concern any more. */
  #forget(): void {
    const beforeMs = this.#clock.now() - TOLD_MS
    for (const [key, { at }] of this.#rows) {
      if (at > beforeMs) return
      this.#rows.delete(key)
    }
  }
}
