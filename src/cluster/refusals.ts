// Who was refused, by whom and why: the rows of `status` under `refused`. Bounded, the oldest out: strangers can fill the
// table, but not the memory.

import { limits } from '../base/limits.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { RefusedStatus } from './status.ts'

export class Refusals {
  readonly #clock: Clock
  readonly #log: Log
  readonly #meter: Meter
  /** In the order of the last refusal, the oldest first. */
  readonly #rows = new Map<string, { address: string; reason: string; count: number; lastMs: number }>()

  constructor(world: { readonly clock: Clock; readonly log: Log; readonly meter: Meter }) {
    this.#clock = world.clock
    this.#log = world.log
    this.#meter = world.meter
  }

  /** `address` is without a port for those who came to us: their ports change with every attempt. */
  add(address: string, reason: string): void {
    this.#meter.count(`link.refused.${reason}`)
    const key = `${address} ${reason}`
    const row = this.#rows.get(key) ?? { address, reason, count: 0, lastMs: 0 }
    // One line when it begins; a box that keeps asking must not fill the log.
    if (row.count === 0) this.#log.warn({ address, reason }, 'link refused')
    row.count++
    row.lastMs = this.#clock.wall()
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
    return [...this.#rows.values()].map((row) => ({ ...row })).reverse()
  }
}
