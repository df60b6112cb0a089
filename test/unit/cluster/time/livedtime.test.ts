import { describe, expect, test } from 'vitest'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { BELIEVED_MS, goOn, LEAP_MS, LivedTime } from '../../../../src/cluster/time/livedtime.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { MemoryFiles } from '../fakes.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOON = Date.UTC(2026, 10, 21, 12)
const FAR = Date.UTC(2099, 0, 1)

test.each([
  ['an hour goes by', NOON, 0, HOUR, NOON + HOUR, false, NOON + HOUR, 0],
  ['a week off', NOON, 0, 0, NOON + LEAP_MS, false, NOON + LEAP_MS, 0],
  ['a leap', NOON, 0, HOUR, FAR, false, NOON + HOUR, HOUR],
  ['a leap by a clock that is right', NOON, 0, HOUR, FAR, true, FAR, 0],
  ['still ahead', NOON, 5 * DAY, HOUR, FAR, false, NOON + HOUR, 5 * DAY + HOUR],
  ['ahead for long enough', NOON, BELIEVED_MS - HOUR, HOUR, FAR, false, FAR, 0],
  ['a leap that is taken back', NOON, 5 * DAY, HOUR, NOON + 2 * HOUR, false, NOON + 2 * HOUR, 0],
  ['time that was ahead all the while', FAR, 0, HOUR, NOON, false, NOON, 0],
  ['1970', NOON, 0, HOUR, 0, false, 0, 0],
])('how it goes on: %s', (_name, livedMs, aheadForMs, passedMs, nowMs, sure, then, ahead) => {
  expect(goOn({ livedMs, aheadForMs }, passedMs, nowMs, sure)).toEqual({ livedMs: then, aheadForMs: ahead })
})

/** One run of a box with this card, whose idea of cluster time is `timeMs`. */
function run(files: MemoryFiles, clock: VirtualClock, timeMs: number, beforeMs = 0) {
  const offsetMs = timeMs - clock.now()
  const time = { now: () => offsetMs + clock.now(), sure: () => false }
  return new LivedTime({ clock, files, log: silentLog }, time, beforeMs)
}

describe('over restarts', () => {
  test('a leap that was there at a start is none the less', () => {
    const clock = new VirtualClock()
    const files = new MemoryFiles(clock)
    const first = run(files, clock, NOON)
    expect(first.now()).toBe(NOON)
    clock.advance(HOUR)
    expect(first.now()).toBe(NOON + HOUR)
    clock.advance(1000)
    // Every ten days it is switched off and on again, with the same wrong clock.
    let runs = 0
    let lived = run(files, clock, FAR)
    while (lived.now() < FAR) {
      for (let hour = 0; hour < 240; hour++) {
        expect(lived.now() < NOON + 31 * DAY || lived.now() >= FAR).toBe(true)
        clock.advance(HOUR)
      }
      lived = run(files, clock, FAR + clock.now())
      expect(++runs).toBeLessThan(5)
    }
    expect(runs).toBe(4)
  })

  test('a card that has not kept it goes by its stamps', () => {
    const clock = new VirtualClock()
    expect(run(new MemoryFiles(clock), clock, FAR, NOON).now()).toBe(NOON)
    expect(run(new MemoryFiles(clock), clock, FAR).now()).toBe(FAR)
  })

  test.each(['', '{', 'null', '{"livedMs":"x"}', '{"livedMs":-1,"aheadForMs":0}'])(
    'a damaged file counts as none: %s',
    (text) => {
      const clock = new VirtualClock()
      const files = new MemoryFiles(clock)
      files.write('lived.json', Buffer.from(text), false, () => {})
      clock.advance(1000)
      expect(run(files, clock, NOON).now()).toBe(NOON)
    },
  )

  test('it is written once an hour, whoever asks', () => {
    const clock = new VirtualClock()
    const files = new MemoryFiles(clock)
    let writes = 0
    const write = files.write.bind(files)
    files.write = (...of) => {
      writes++
      write(...of)
    }
    const lived = run(files, clock, NOON)
    for (let minute = 0; minute < 600; minute++) {
      lived.now()
      clock.advance(60_000)
    }
    expect(writes).toBe(10)
  })
})
