// How late it surely is, for what ends after weeks: the memory of removed entries, and the belief in an earlier CA. Cluster
// time may leap: a box whose clock shows 2099 is the larger side, or somebody mistypes a year. What ends by such a leap
// is gone when it turns out to have been a mistake; so a leap counts when it has stood for as long as anything is remembered.
//
//   cluster time    ----+----+----/          a leap of years
//   lived time      ----+----+----+---- ...  30 days of running ... /
//
// The file, `lived.json`: {"livedMs": N, "aheadForMs": M}.

import { HostError } from '../../base/errors.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { ClusterTime } from './clustertime.ts'

const FILE = 'lived.json'
const DAY_MS = 24 * 3600 * 1000
/** So long a box may be switched off, or be wrong, and nobody calls it a leap. */
export const LEAP_MS = 7 * DAY_MS
/** A leap is believed when a box has run with it for so long. */
export const BELIEVED_MS = 30 * DAY_MS
/** It is written again when it has gone on by so much. */
const WRITE_MS = 3600 * 1000

export interface Lived {
  /** How late it surely was. */
  readonly livedMs: number
  /** For how long, while this box ran, cluster time has been a leap further on. */
  readonly aheadForMs: number
}

/** How it goes on when `passedMs` have passed and cluster time is `nowMs`; `sure`: by a clock that is right. */
export function goOn({ livedMs, aheadForMs }: Lived, passedMs: number, nowMs: number, sure: boolean): Lived {
  const goneOnMs = livedMs + passedMs
  if (sure || nowMs <= goneOnMs + LEAP_MS) return { livedMs: nowMs, aheadForMs: 0 }
  const forMs = aheadForMs + passedMs
  return forMs >= BELIEVED_MS ? { livedMs: nowMs, aheadForMs: 0 } : { livedMs: goneOnMs, aheadForMs: forMs }
}

export interface LivedWorld {
  readonly clock: Clock
  readonly files: StateFiles
  readonly log: Log
}

export class LivedTime {
  readonly #world: LivedWorld
  readonly #time: Pick<ClusterTime, 'now' | 'sure'>
  #lived: Lived
  /** By the monotonic clock. */
  #atMs: number
  #writtenMs: number

  /** `beforeMs`: how late it was in an earlier run, for a box that has not kept this; 0: there was none. */
  constructor(world: LivedWorld, time: Pick<ClusterTime, 'now' | 'sure'>, beforeMs: number) {
    this.#world = world
    this.#time = time
    this.#lived = readLived(world) ?? { livedMs: beforeMs > 0 ? beforeMs : time.now(), aheadForMs: 0 }
    this.#atMs = world.clock.now()
    this.#writtenMs = Number.NEGATIVE_INFINITY
  }

  /** Milliseconds since 1970; not later than cluster time. */
  now(): number {
    const { clock, files, log } = this.#world
    const nowMs = clock.now()
    const leapt = this.#lived.aheadForMs > 0
    this.#lived = goOn(this.#lived, nowMs - this.#atMs, this.#time.now(), this.#time.sure())
    this.#atMs = nowMs
    const leaps = this.#lived.aheadForMs > 0
    if (leaps && !leapt) log.warn({ ...this.#lived }, 'cluster time has leapt: nothing is forgotten by it for 30 days')
    if (nowMs - this.#writtenMs >= WRITE_MS) {
      this.#writtenMs = nowMs
      // What is not written is lost to the next run alone, which then waits for longer.
      files.write(FILE, Buffer.from(`${JSON.stringify(this.#lived)}\n`), false, () => {})
    }
    return this.#lived.livedMs
  }
}

/** A damaged file counts as none. */
function readLived({ files, log }: LivedWorld): Lived | null {
  try {
    const bytes = files.read(FILE)
    if (bytes === null) return null
    const { livedMs, aheadForMs } = (JSON.parse(bytes.toString('utf8')) ?? {}) as Record<string, unknown>
    if (isTime(livedMs) && isTime(aheadForMs)) return { livedMs, aheadForMs }
    log.warn({ file: FILE }, 'how late it surely was cannot be read')
  } catch (error) {
    if (!(error instanceof HostError || error instanceof SyntaxError)) throw error
    log.warn({ file: FILE, why: error.message }, 'how late it surely was cannot be read')
  }
  return null
}

const isTime = (value: unknown): value is number => Number.isFinite(value) && (value as number) >= 0
