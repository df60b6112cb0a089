// Tombstones are forgotten after 30 days of cluster time, some at a time; and the oldest of them earlier when there are
// too many, because a box has only so much memory.

import { every, type Timer } from '../../base/ports/clock.ts'
import type { SharedEntry, SharedTable } from '../../base/shared.ts'
import { compareStamps, type Stamp } from '../../base/stamps.ts'
import type { FeatureWorld } from '../ports.ts'
import { type HashTree, LEAVES } from './hashtree.ts'
import { REMEMBERED_MS } from './lwwverdict.ts'

/** How often a pass over all entries begins, and how many entries one turn looks at. */
const PASS_EVERY_MS = 6 * 3600 * 1000
/** From the start: a box that is switched off every evening forgets, too. */
const FIRST_PASS_MS = 10 * 60 * 1000
const ENTRIES_PER_TURN = 4096
/** What must be remembered of removed entries in any case. */
const GONE_MAX = 100_000
/** Too many: so much of the bound is left. */
const KEPT_PART = 0.9

export interface Forgetful {
  readonly name: string
  readonly world: FeatureWorld
  readonly tree: HashTree
  readonly table: SharedTable
  /** How late it surely is (livedtime.ts). */
  livedMs(): number
}

export class LwwForgetting {
  readonly #of: Forgetful
  readonly #goneMax: number
  readonly #raise: (horizon: Stamp) => void
  readonly #passes: Timer
  readonly #first: Timer
  /** The leaf that is next; null: no pass is going on. */
  #at: number | null = null
  #cutMs = 0
  /** Wall parts of the tombstones that this pass has left. */
  #left: number[] = []
  #stopped = false

  constructor(of: Forgetful, entriesMax: number, raise: (horizon: Stamp) => void) {
    this.#of = of
    this.#goneMax = Math.min(GONE_MAX, Math.floor(entriesMax / 2))
    this.#raise = raise
    const { clock, random } = of.world
    const jitter = () => random.fraction() * 0.1
    this.#first = clock.after(FIRST_PASS_MS * (1 - jitter()), `${of.name}.forget`, () => this.soon())
    this.#passes = every(clock, PASS_EVERY_MS, `${of.name}.forget`, () => this.soon(), jitter)
  }

  stop(): void {
    this.#stopped = true
    this.#first.cancel()
    this.#passes.cancel()
  }

  /** Begins a pass, unless one is going on. */
  soon(): void {
    if (this.#at === null) this.#begin(this.#of.livedMs() - REMEMBERED_MS)
  }

  #begin(cutMs: number): void {
    this.#cutMs = cutMs
    this.#left = []
    this.#at = 0
    this.#of.world.clock.soon(this.#step)
  }

  readonly #step = (): void => {
    if (this.#at === null || this.#stopped) return
    for (let left = ENTRIES_PER_TURN; this.#at < LEAVES && left > 0; this.#at++) left -= this.#look(this.#at)
    if (this.#at < LEAVES) return this.#of.world.clock.soon(this.#step)
    this.#at = null
    const left = this.#left
    this.#left = []
    if (left.length <= this.#goneMax) return
    // A second pass takes the oldest.
    left.sort((a, b) => a - b)
    const cutMs = left[left.length - Math.floor(this.#goneMax * KEPT_PART)]!
    this.#of.world.meter.count(`${this.#of.name}.forgotten-early`, left.length)
    this.#begin(cutMs)
  }

  /** Returns how many entries it looked at. */
  #look(leaf: number): number {
    if (this.#of.tree.isEmpty(leaf)) return 0
    let count = 0
    let newest: Stamp | null = null
    const dropped: SharedEntry[] = []
    this.#of.tree.sweep(leaf, (entry) => {
      count++
      if (!this.#of.table.isGone(entry)) return false
      const { stamp } = entry
      if (stamp.wallMs >= this.#cutMs) {
        this.#left.push(stamp.wallMs)
        return false
      }
      if (newest === null || compareStamps(stamp, newest) > 0) newest = stamp
      dropped.push(entry)
      return true
    })
    if (newest === null) return count
    // The horizon first: a box that ends between the two must not have forgotten that it forgot.
    this.#raise(newest)
    for (const entry of dropped) this.#of.table.forget(entry)
    this.#of.world.meter.count(`${this.#of.name}.forgotten`, dropped.length)
    return count
  }
}
