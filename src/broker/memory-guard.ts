// The whole process and its memory: who gives way first when it becomes short, so that the box goes on serving.
//
//   ample -> tight: new clients are refused, and QoS 0 waits for no slow reader
//   tight -> full:  QoS 1 and 2 are refused too, 0x97, and nothing more is retained
//
// Back again at lower marks, so that it does not flutter. Clients that have a session here may always come back: what
// waits for them is what fills the memory, and they take it away.

import { type Clock, every, type Timer } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { Memory } from '../base/ports/memory.ts'
import { bounds } from './bounds.ts'
import type { Tally } from './tally.ts'

export type MemoryState = 'ample' | 'tight' | 'full'

/** Shares of the memory that this process may have. */
const MARKS = { tight: { from: 0.8, until: 0.7 }, full: { from: 0.9, until: 0.82 } } as const
const LOOK_MS = 250

/** Pure: what follows for a process that uses this share of its memory. */
export function nextState(state: MemoryState, used: number): MemoryState {
  if (used >= MARKS.full.from || (state === 'full' && used >= MARKS.full.until)) return 'full'
  if (used >= MARKS.tight.from || (state !== 'ample' && used >= MARKS.tight.until)) return 'tight'
  return 'ample'
}

export class MemoryGuard {
  readonly #memory: Memory
  readonly #log: Log
  readonly #tally: Tally
  readonly #looking: Timer
  #state: MemoryState = 'ample'
  #used = 0

  constructor(clock: Clock, memory: Memory, log: Log, tally: Tally) {
    this.#memory = memory
    this.#log = log
    this.#tally = tally
    this.#looking = every(clock, LOOK_MS, 'broker.memory', () => this.#look())
  }

  /** Nothing is to wait that may be dropped, and nobody new is let in. */
  get tight(): boolean {
    return this.#state !== 'ample'
  }

  /** Nothing new is taken on. */
  get full(): boolean {
    return this.#state === 'full'
  }

  /** Output of one connection over which nothing more is delivered to it. */
  get outputBytes(): number {
    return this.#state === 'ample' ? bounds.outputBytes : bounds.tightOutputBytes
  }

  problem(): string | null {
    if (this.#state === 'ample') return null
    const givesWay = this.full
      ? 'new clients, QoS 1 and 2 and retained messages are refused'
      : 'new clients are refused'
    return `memory is short, ${percent(this.#used)} of what there is: ${givesWay}, and slow readers get no QoS 0`
  }

  stop(): void {
    this.#looking.cancel()
  }

  #look(): void {
    this.#used = this.#memory.used()
    const next = nextState(this.#state, this.#used)
    if (next === this.#state) return
    const fields = { was: this.#state, now: next, used: percent(this.#used) }
    if (next === 'ample') this.#log.info(fields, 'memory')
    else this.#log.warn(fields, 'memory')
    this.#tally.count(`mqtt.memory.${next}`)
    this.#state = next
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
