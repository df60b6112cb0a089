// How far this node's stamps have gone, kept on disk ahead of them: after a restart they go on above all that were given,
// whatever the clock says then (CLUSTER 3).
//
//   kept ...... last given ......... kept on disk            every minute of stamps is one small write
//
// The file, `stamps.json`: {"floorMs": N}, the greatest wall part that may have been given.

import { HostError } from './errors.ts'
import type { Meter } from './meter.ts'
import type { StateFiles } from './ports/files.ts'
import type { Log } from './ports/log.ts'
import type { Floor } from './stamps.ts'

const FILE = 'stamps.json'
const STEP_MS = 60_000
/** The next step is taken so long before it is needed: longer than a write takes. */
const ROOM_MS = 5000
/** The step while stamps stand on what an earlier run left: a box that dies again and again must not run away in time. */
const FIRST_STEP_MS = 1000
/** After a failure the next write waits for stamps to have gone so far. */
const RETRY_MS = 10_000

/** What is kept when stamps go as far as `lastMs`; `beforeMs`: what an earlier run left. */
export const floorAbove = (lastMs: number, beforeMs: number): number =>
  lastMs + (lastMs <= beforeMs + FIRST_STEP_MS ? FIRST_STEP_MS : STEP_MS)

/** When it is time for that, with `keptMs` kept. */
export const needsRaise = (lastMs: number, keptMs: number, beforeMs: number): boolean =>
  lastMs > keptMs - (lastMs <= beforeMs + FIRST_STEP_MS ? 0 : ROOM_MS)

export class StampFloor implements Floor {
  #beforeMs: number
  readonly #files: StateFiles
  readonly #log: Log
  readonly #meter: Meter
  /** On disk. */
  #keptMs: number
  /** On its way there, or there; after a failure, what makes the next try due. */
  #askedMs: number
  #writing = 0
  readonly #waiting: (() => void)[] = []

  constructor(files: StateFiles, log: Log, meter: Meter) {
    this.#files = files
    this.#log = log
    this.#meter = meter
    this.#beforeMs = readFloor(files, log)
    this.#keptMs = this.#beforeMs
    this.#askedMs = this.#beforeMs
  }

  get beforeMs(): number {
    return this.#beforeMs
  }

  lower(wallMs: number): void {
    this.#beforeMs = Math.min(this.#beforeMs, wallMs)
    this.#write(wallMs, floorAbove(wallMs, this.#beforeMs))
  }

  within(wallMs: number): number {
    if (needsRaise(wallMs, this.#askedMs, this.beforeMs)) this.#write(wallMs, floorAbove(wallMs, this.beforeMs))
    // When the clock leaps, stamps follow it as soon as that is kept. A first run has nothing to stay below, and what
    // cannot be kept stops nobody.
    return this.#writing === 0 || this.#keptMs === 0 ? Number.POSITIVE_INFINITY : this.#keptMs
  }

  /** A run begins at `wallMs`: `done` when what it may give is on disk, or cannot be. */
  begin(wallMs: number, done: () => void): void {
    // Above what an earlier run left goes the first stamp in any case.
    this.within(Math.max(Math.floor(wallMs), this.beforeMs + 1))
    if (this.#writing === 0) done()
    else this.#waiting.push(done)
  }

  /** The run ends, and gave nothing above `lastMs`: the next one need not stand on more. */
  end(lastMs: number, done: () => void): void {
    this.#waiting.push(done)
    this.#write(lastMs, lastMs)
  }

  #write(lastMs: number, floorMs: number): void {
    this.#askedMs = floorMs
    this.#writing++
    this.#files.write(FILE, Buffer.from(`{"floorMs":${floorMs}}\n`), false, (error) => {
      this.#writing--
      if (error === null) this.#keptMs = floorMs
      else this.#failed(error, lastMs)
      if (this.#writing > 0) return
      for (const done of this.#waiting.splice(0)) done()
    })
  }

  #failed(error: HostError, lastMs: number): void {
    this.#meter.count('stamps.floor-failed')
    this.#log.warn({ file: FILE, why: error.message }, 'how far stamps have gone is not kept')
    this.#askedMs = lastMs + RETRY_MS + ROOM_MS
  }
}

/** A damaged file costs the promise, not the start: stamps then follow the clock. */
function readFloor(files: StateFiles, log: Log): number {
  try {
    const bytes = files.read(FILE)
    if (bytes === null) return 0
    const found: unknown = JSON.parse(bytes.toString('utf8'))
    const floorMs = (found as { floorMs?: unknown } | null)?.floorMs
    if (Number.isSafeInteger(floorMs) && (floorMs as number) >= 0 && (floorMs as number) < FLOOR_MAX) {
      return floorMs as number
    }
    log.error({ file: FILE }, 'how far stamps had gone cannot be read: they follow the clock')
  } catch (error) {
    if (!(error instanceof HostError || error instanceof SyntaxError)) throw error
    log.error({ file: FILE, why: error.message }, 'how far stamps had gone cannot be read: they follow the clock')
  }
  return 0
}

/** The wall part of a stamp has 6 bytes. */
const FLOOR_MAX = 2 ** 47
