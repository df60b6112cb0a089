import { describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import type { StateFiles } from '../../../src/base/ports/files.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { floorAbove, leadOf, needsRaise, StampFloor, startAbove } from '../../../src/base/stampfloor.ts'
import { compareStamps, type Stamp, StampClock } from '../../../src/base/stamps.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const NODE = '00000000000000aa' as NodeId
const DAY_MS = 24 * 3600 * 1000
const NOON = 1_790_000_000_000

/** A disk that writes when it is told to. */
class HandFiles implements StateFiles {
  onDisk: string | null = null
  failing = false
  writes = 0
  readonly #writing: (() => void)[] = []

  read(): Buffer | null {
    return this.onDisk === null ? null : Buffer.from(this.onDisk)
  }

  write(_name: string, bytes: Buffer, _secret: boolean, done: (error: HostError | null) => void): void {
    const text = bytes.toString()
    this.#writing.push(() => {
      this.writes++
      if (!this.failing) this.onDisk = text
      done(this.failing ? new HostError('failed', 'no space left on the disk') : null)
    })
  }

  finish(): void {
    for (const write of this.#writing.splice(0)) write()
  }
}

/** One run of a node. */
class Run {
  readonly files: HandFiles
  readonly meter = new Meter()
  readonly floor: StampFloor
  readonly stamps: StampClock
  wallMs: number
  synchronised: boolean

  constructor(files: HandFiles, wallMs: number, synchronised = false) {
    this.files = files
    this.wallMs = wallMs
    this.synchronised = synchronised
    const clock = Object.assign(new VirtualClock(), { wall: () => this.wallMs })
    const world = { clock, synchronised: () => this.synchronised, files, log: silentLog, meter: this.meter }
    this.floor = new StampFloor(world, () => this.wallMs)
    this.stamps = new StampClock(NODE, () => this.wallMs, this.floor)
  }

  begin(): this {
    let begun = false
    this.floor.begin(this.wallMs, () => {
      begun = true
    })
    expect(begun).toBe(false)
    this.files.finish()
    expect(begun).toBe(true)
    return this
  }
}

test.each([
  ['the clock is not known to be right', NOON + 60_000, 500, null, NOON + 60_000],
  ['it is, and all stamps kept to it', NOON + 60_000, 500, NOON + 3000.5, NOON + 3500],
  ['it is, but some were ahead of it', NOON + 60_000, null, NOON + 3000, NOON + 60_000],
  ['it is, long after', NOON + 60_000, 500, NOON + DAY_MS, NOON + 60_000],
])('where a run begins: %s', (_name, floorMs, aheadMs, rightMs, beforeMs) => {
  expect(startAbove({ floorMs, aheadMs }, rightMs)).toBe(beforeMs)
})

test.each([
  ['behind the right time', NOON - 5, NOON, 500],
  ['a little ahead of it', NOON + 700, NOON + 0.5, 700],
  ['far ahead of it', NOON + 11_000, NOON, null],
  ['nobody knows the right time', NOON, null, null],
])('what the next run may rely on: %s', (_name, lastMs, rightMs, aheadMs) => {
  expect(leadOf(lastMs, rightMs)).toBe(aheadMs)
})

test.each([
  ['a first run', NOON, 0, NOON + 60_000],
  ['long after an earlier one', NOON, NOON - DAY_MS, NOON + 60_000],
  ['a clock that is behind: as little as may be', NOON + 1, NOON, NOON + 1001],
])('the next step: %s', (_name, lastMs, beforeMs, floorMs) => {
  expect(floorAbove(lastMs, beforeMs)).toBe(floorMs)
  expect(needsRaise(lastMs, floorMs, beforeMs)).toBe(false)
  expect(needsRaise(floorMs + 1, floorMs, beforeMs)).toBe(true)
})

describe('a run', () => {
  test('begins when what it may give is on disk', () => {
    const run = new Run(new HandFiles(), NOON).begin()
    expect(run.files.onDisk).toBe(`{"floorMs":${NOON + 60_000},"aheadMs":null,"timeMs":${NOON}}\n`)
    expect(run.stamps.next().wallMs).toBe(NOON)
  })

  test('writes once in a minute of stamps, before it is needed', () => {
    const run = new Run(new HandFiles(), NOON).begin()
    for (let second = 0; second < 600; second++) {
      run.wallMs += 1000
      expect(run.stamps.next().wallMs).toBe(run.wallMs)
      run.files.finish()
    }
    expect(run.files.writes).toBe(12)
  })

  test('does not follow a clock that leaps before that is on disk', () => {
    const run = new Run(new HandFiles(), 5000).begin()
    run.wallMs = NOON
    const early = [run.stamps.next(), run.stamps.next()]
    expect(early.map(({ wallMs }) => wallMs)).toEqual([65_000, 65_000])
    run.files.finish()
    expect(run.stamps.next().wallMs).toBe(NOON)
  })

  test('has its floor above it while nobody wants a stamp, so that the next one is not held back', () => {
    const run = new Run(new HandFiles(), NOON).begin()
    const clock = new VirtualClock()
    run.floor.keep(clock, () => run.stamps.look())
    for (let second = 0; second < 3600; second++) {
      run.wallMs += 1000
      clock.advance(1000)
      run.files.finish()
    }
    expect(run.files.writes).toBeLessThan(80)
    expect(run.stamps.next().wallMs).toBe(run.wallMs)
    run.floor.end(run.stamps.lastMs, () => {})
    run.files.finish()
    const { writes } = run.files
    clock.advance(3_600_000)
    run.files.finish()
    expect(run.files.writes).toBe(writes)
  })

  test('goes on where nothing can be written, and tries again now and then', () => {
    const files = new HandFiles()
    const run = new Run(files, NOON).begin()
    files.failing = true
    const before = files.writes
    let last = run.stamps.next()
    for (let second = 0; second < 120; second++) {
      run.wallMs += 1000
      // One that meets a write under way may be a little behind the clock.
      const stamps = [run.stamps.next(), run.stamps.next()]
      files.finish()
      stamps.push(run.stamps.next())
      for (const stamp of stamps) {
        expect(compareStamps(stamp, last)).toBeGreaterThan(0)
        last = stamp
      }
      expect(last.wallMs).toBe(run.wallMs)
    }
    expect(files.writes - before).toBe(7)
    expect(run.meter.get('stamps.floor-failed')).toBe(7)
    files.failing = false
    run.wallMs += 15_000
    run.stamps.next()
    files.finish()
    expect(files.onDisk).toBe(`{"floorMs":${run.wallMs + 60_000},"aheadMs":null,"timeMs":${run.wallMs}}\n`)
  })

  test('keeps how far others have gone', () => {
    const run = new Run(new HandFiles(), NOON).begin()
    run.stamps.observe({ wallMs: NOON + 3_600_000, counter: 3, node: NODE })
    run.files.finish()
    expect(run.files.onDisk).toBe(`{"floorMs":${NOON + 3_660_000},"aheadMs":null,"timeMs":${NOON}}\n`)
  })
})

describe('time was a mistake, and is moved back', () => {
  test('stamps follow it again, in this run and in the next', () => {
    const files = new HandFiles()
    const first = new Run(files, NOON + 9000 * DAY_MS).begin()
    first.stamps.next()
    files.finish()
    const run = new Run(files, NOON).begin()
    expect(run.stamps.next().wallMs).toBeGreaterThan(NOON + 8000 * DAY_MS)
    run.stamps.rebase()
    expect(run.stamps.next()).toMatchObject({ wallMs: NOON + 1, counter: 0 })
    expect(run.stamps.observe({ wallMs: NOON + 2 * DAY_MS, counter: 0, node: NODE })).toBe(false)
    files.finish()
    expect(new Run(files, NOON + 1000).begin().stamps.next().wallMs).toBeLessThan(NOON + 100_000)
  })

  test('by less than stamps may be ahead, they stay where they are', () => {
    const run = new Run(new HandFiles(), NOON).begin()
    const last = run.stamps.next()
    run.wallMs -= DAY_MS - 1000
    run.stamps.rebase()
    expect(compareStamps(run.stamps.next(), last)).toBeGreaterThan(0)
  })
})

describe('the next run', () => {
  test.each([
    ['an hour later', 3_600_000],
    ['at the same moment', 0],
    ['a year earlier', -365 * DAY_MS],
    ['in 1970', -NOON],
  ])('%s gives only greater stamps', (_name, byMs) => {
    const files = new HandFiles()
    const first = new Run(files, NOON).begin()
    let last: Stamp = first.stamps.next()
    for (let second = 0; second < 100; second++) {
      first.wallMs += 1000
      last = first.stamps.next()
      files.finish()
    }
    const again = new Run(files, first.wallMs + byMs).begin()
    expect(compareStamps(again.stamps.next(), last)).toBeGreaterThan(0)
  })

  test('keeps to a clock that is synchronised, as the one before did, and is above it all the same', () => {
    const files = new HandFiles()
    let wallMs = NOON
    let last: Stamp | null = null
    for (let run = 0; run < 20; run++) {
      const each = new Run(files, wallMs, true).begin()
      for (let second = 0; second < 7; second++) {
        const next = each.stamps.next()
        expect(last === null || compareStamps(next, last) > 0).toBe(true)
        expect(next.wallMs - each.wallMs).toBeLessThanOrEqual(500 + run)
        last = next
        each.wallMs += run % 3 === 0 ? 0 : 1000
        files.finish()
      }
      wallMs = each.wallMs
    }
  })

  test.each([
    ['was not synchronised any more', (run: Run) => Object.assign(run, { synchronised: false })],
    [
      'was behind the stamps of others',
      (run: Run) => run.stamps.observe({ wallMs: NOON + 19_000, counter: 0, node: NODE }),
    ],
    ['was set back', (run: Run) => Object.assign(run, { wallMs: NOON - 19_000 })],
  ])('does not keep to a clock that %s', (_name, happens) => {
    const files = new HandFiles()
    const first = new Run(files, NOON, true).begin()
    first.stamps.next()
    expect(files.onDisk).toContain('"aheadMs":500')
    happens(first)
    const last = first.stamps.next()
    files.finish()
    expect(files.onDisk).toContain('"aheadMs":null')
    const again = new Run(files, NOON - 18_000, true).begin()
    expect(compareStamps(again.stamps.next(), last)).toBeGreaterThan(0)
  })

  test('goes on where the last one was, when that has ended by itself', () => {
    const files = new HandFiles()
    const first = new Run(files, NOON).begin()
    const last = first.stamps.next()
    let ended = false
    first.floor.end(first.stamps.lastMs, () => {
      ended = true
    })
    files.finish()
    expect(ended).toBe(true)
    expect(new Run(files, NOON + 10).begin().stamps.next().wallMs).toBe(NOON + 10)
    expect(compareStamps(new Run(files, NOON).stamps.next(), last)).toBeGreaterThan(0)
  })

  test('of a box that dies two hundred times in a minute is not hours ahead', () => {
    const files = new HandFiles()
    const given: Stamp[] = []
    let wallMs = NOON
    for (let run = 0; run < 200; run++) {
      wallMs += 300
      given.push(new Run(files, wallMs).begin().stamps.next())
    }
    for (let run = 1; run < 200; run++) expect(compareStamps(given[run]!, given[run - 1]!)).toBeGreaterThan(0)
    expect(given.at(-1)!.wallMs - wallMs).toBeLessThan(5 * 60_000)
  })

  test.each([
    ['what the last one knew, and not the minute that stamps may have gone ahead', '', NOON],
    ['the floor, where the file is of before there was a time in it', ',"timeMs":"x"', NOON + 60_000],
  ])('knows how late it was: %s', (_name, more, wasMs) => {
    const files = new HandFiles()
    new Run(files, NOON).begin()
    if (more !== '') files.onDisk = `{"floorMs":${NOON + 60_000},"aheadMs":null${more}}\n`
    expect(new Run(files, 0).floor.wasMs).toBe(wasMs)
  })

  test('follows the clock when the file is damaged', () => {
    for (const damage of ['', '{', 'null', '{"floorMs":"7"}', '{"floorMs":-1}', '{"floorMs":1e300}']) {
      const files = new HandFiles()
      files.onDisk = damage
      expect(new Run(files, NOON).begin().stamps.next().wallMs).toBe(NOON)
    }
  })
})
