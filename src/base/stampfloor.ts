// How far this node's stamps have gone, kept on disk ahead of them: after a restart they go on above all that were given,
// whatever the clock says then (CLUSTER 3).
//
//   kept ...... last given ......... kept on disk            every minute is one small write
//
// The file, `stamps.json`: {"floorMs": N, "aheadMs": M, "timeMs": T}: the greatest wall part that may have been given; how
// far ahead of a synchronised clock all of them were at most, null when there was none; and how late it was. Such a clock
// says itself how far they had gone: a box that is back a second later does not write a minute ahead of the others. Nor
// is it a minute later for a box whose clock is not synchronised: stamps stand above the floor, time goes on from T.

import { HostError } from './errors.ts'
import type { Meter } from './meter.ts'
import { type Clock, every, type Timer } from './ports/clock.ts'
import type { StateFiles } from './ports/files.ts'
import type { Log } from './ports/log.ts'
import type { Floor } from './stamps.ts'

const FILE = 'stamps.json'
const STEP_MS = 60_000
/** The next step is taken so long before it is needed: longer than a write takes, and than `LOOK_MS`. */
const ROOM_MS = 10_000
/** How often it is to be looked whether a step is due: a floor that falls behind would hold the next stamp back. */
const LOOK_MS = 5000
/** So far ahead of a synchronised clock stamps may always be, and so far at most when they are said to keep to it. */
const LEAD_MS = 500
const LEAD_MS_MAX = 10_000
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

export interface FloorWorld {
  readonly clock: Clock
  /** Whether this machine's wall clock is known to be right. */
  readonly synchronised: () => boolean
  readonly files: StateFiles
  readonly log: Log
  readonly meter: Meter
}

export class StampFloor implements Floor {
  #beforeMs: number
  readonly #world: FloorWorld
  readonly #timeMs: () => number
  /** How late it was in an earlier run, to a minute; 0: there was none. */
  readonly wasMs: number
  /** What the last write says, and the next run may rely on. */
  #aheadMs: number | null = null
  /** On disk. */
  #keptMs: number
  /** On its way there, or there; after a failure, what makes the next try due. */
  #askedMs: number
  #writing = 0
  #looking: Timer | null = null
  readonly #waiting: (() => void)[] = []

  /** `timeMs`: cluster time, once this is made. */
  constructor(world: FloorWorld, timeMs: () => number) {
    this.#world = world
    this.#timeMs = timeMs
    const left = readFloor(world)
    this.wasMs = left.timeMs
    this.#beforeMs = startAbove(left, this.#rightMs())
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
    if (this.#strays(wallMs) || needsRaise(wallMs, this.#askedMs, this.beforeMs)) {
      this.#write(wallMs, floorAbove(wallMs, this.beforeMs))
    }
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

  /** From now on `look` is called in time for each step, also while nobody wants a stamp. */
  keep(clock: Clock, look: () => void): void {
    this.#looking = every(clock, LOOK_MS, 'stamps.look', look)
  }

  /** The run ends, and gave nothing above `lastMs`: the next one need not stand on more. */
  end(lastMs: number, done: () => void): void {
    this.#looking?.cancel()
    this.#waiting.push(done)
    this.#write(lastMs, lastMs)
  }

  /** This machine's wall clock while it is known to be right. */
  #rightMs(): number | null {
    return this.#world.synchronised() ? this.#world.clock.wall() : null
  }

  /** Further ahead of the right time than what is written says. */
  #strays(wallMs: number): boolean {
    if (this.#aheadMs === null) return false
    const rightMs = this.#rightMs()
    return rightMs === null || wallMs > rightMs + this.#aheadMs
  }

  #write(lastMs: number, floorMs: number): void {
    this.#askedMs = floorMs
    this.#aheadMs = leadOf(lastMs, this.#rightMs())
    this.#writing++
    const left: Left = { floorMs, aheadMs: this.#aheadMs, timeMs: this.#timeMs() }
    const text = `${JSON.stringify(left)}\n`
    this.#world.files.write(FILE, Buffer.from(text), false, (error) => {
      this.#writing--
      if (error === null) this.#keptMs = floorMs
      else this.#failed(error, lastMs)
      if (this.#writing > 0) return
      for (const done of this.#waiting.splice(0)) done()
    })
  }

  #failed(error: HostError, lastMs: number): void {
    const { log, meter } = this.#world
    meter.count('stamps.floor-failed')
    log.warn({ file: FILE, why: error.message }, 'how far stamps have gone is not kept')
    this.#askedMs = lastMs + RETRY_MS + ROOM_MS
  }
}

interface Left {
  readonly floorMs: number
  readonly aheadMs: number | null
  readonly timeMs: number
}

const NOTHING_LEFT: Left = { floorMs: 0, aheadMs: null, timeMs: 0 }

/** What may be said of stamps that go as far as `lastMs`; `rightMs`: a clock that is known to be right, if there is one. */
export function leadOf(lastMs: number, rightMs: number | null): number | null {
  if (rightMs === null || lastMs > rightMs + LEAD_MS_MAX) return null
  return Math.max(LEAD_MS, Math.ceil(lastMs - rightMs))
}

/** What a run has to stay above. */
export const startAbove = ({ floorMs, aheadMs }: Omit<Left, 'timeMs'>, rightMs: number | null): number =>
  aheadMs === null || rightMs === null ? floorMs : Math.min(floorMs, Math.floor(rightMs) + aheadMs)

/** A damaged file costs the promise, not the start: stamps then follow the clock. */
function readFloor({ files, log }: FloorWorld): Left {
  try {
    const bytes = files.read(FILE)
    if (bytes === null) return NOTHING_LEFT
    const found: unknown = JSON.parse(bytes.toString('utf8'))
    const { floorMs, aheadMs, timeMs } = (found ?? {}) as Record<string, unknown>
    if (isWithin(floorMs, FLOOR_MAX)) {
      return {
        floorMs,
        aheadMs: isWithin(aheadMs, LEAD_MS_MAX) ? aheadMs : null,
        // Files of before have no time: the floor is at most a minute ahead of it.
        timeMs: isWithin(timeMs, FLOOR_MAX) ? timeMs : floorMs,
      }
    }
    log.error({ file: FILE }, 'how far stamps had gone cannot be read: they follow the clock')
  } catch (error) {
    if (!(error instanceof HostError || error instanceof SyntaxError)) throw error
    log.error({ file: FILE, why: error.message }, 'how far stamps had gone cannot be read: they follow the clock')
  }
  return NOTHING_LEFT
}

/** The wall part of a stamp has 6 bytes. */
const FLOOR_MAX = 2 ** 47 - 1

const isWithin = (value: unknown, max: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
