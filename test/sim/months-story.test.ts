import { describe, expect, test } from 'vitest'
import { LwwReplica } from '../../src/cluster/maps/lwwreplica.ts'
import { LivedTime } from '../../src/cluster/time/livedtime.ts'
import { compose } from '../../src/compose.ts'
import { trustOf } from './guests.ts'
import { away, Months } from './months-story.ts'
import { patched } from './plants/planting.ts'
import type { SimNode } from './world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

describe('a box that was away, while the CA was replaced and others removed what it holds', () => {
  test.each([20, 42, 85])(
    'finds back on day %i; what was removed stays so, what it wrote alone is there',
    (day) => {
      expect(away(day)).toEqual([])
    },
    60_000,
  )

  test.each([
    ['horizon ignored', 42, /^gone: .*10/, () => patched(LwwReplica.prototype, 'restore', () => () => {})],
    [
      'a tombstone dropped early',
      20,
      /^alone: |before its time/,
      () =>
        patched(LivedTime.prototype, 'now', (original) => {
          return function (this: LivedTime) {
            return original.call(this) + 25 * DAY_MS
          }
        }),
    ],
  ] as const)(
    'the checkers find: %s',
    (_name, day, found, plant) => {
      const remove = plant()
      try {
        expect(away(day, compose).some((problem) => found.test(problem))).toBe(true)
      } finally {
        remove()
      }
    },
    60_000,
  )
})

test('certificates of listeners are renewed when two thirds of their life are over', () => {
  const months = new Months('renewal', 2)
  months.on(...months.nodes)
  const before = months.certificates()
  expect(before.every((each) => /n\d from \d+ until \d+/.test(each))).toBe(true)
  months.sleepUntil(550)
  months.on(...months.nodes)
  expect(months.certificates()).toEqual(before)
  months.sleepUntil(570)
  months.on(...months.nodes)
  for (const [index, each] of months.certificates().entries()) {
    expect(each).toMatch(/n\d from \d+ until \d+/)
    expect(each).not.toBe(before[index])
  }
  expect([months.linked(), months.problems]).toEqual([true, []])
})

describe('the CA replaced, and clocks that are years off', () => {
  const FAR_MS = 70 * 365 * DAY_MS
  const PAST_MS = 1.789e12

  /** Three boxes that have nobody to ask for the time; the third is off when the CA is replaced. */
  function begun(name: string): { months: Months; all: [SimNode, SimNode, SimNode] } {
    const months = new Months(name, 3)
    const all = months.nodes as [SimNode, SimNode, SimNode]
    for (const node of all) node.wallOffsetMs = 5000
    months.on(...all)
    months.write(all[0], 'kept', 10)
    return { months, all }
  }

  const set = (months: Months, node: SimNode, byMs: number): void => {
    months.world.timeline.after(0, node.run!.clock, 'people.time', () => {
      const { time } = node.run!.node.operator
      expect(time.set(time.now() + byMs)).toBeNull()
    })
    months.world.run(30_000)
  }

  const whole = (months: Months): void => {
    months.world.run(3 * 60_000)
    expect([months.linked(), new Set(months.authorities()).size]).toEqual([true, 1])
    expect([months.bytesAt('kept'), months.problems]).toEqual([[10, 10, 10], []])
    expect(months.certificates()).not.toContain('')
  }

  test.each([
    ['to 2096, and stays there', FAR_MS, 0],
    ['to 2096, and is set back', FAR_MS, -FAR_MS],
    ['to 1970, and stays there', -PAST_MS, 0],
    ['to 1970, and is set right', -PAST_MS, PAST_MS],
  ])('while a box is away, cluster time leaps %s: it finds back', (name, byMs, backMs) => {
    const { months, all } = begun(name)
    const [a, b, c] = all
    months.off(c)
    months.rotate(a)
    set(months, b, byMs)
    months.world.run(HOUR_MS + 60_000)
    expect(months.linked()).toBe(false)
    if (backMs !== 0) set(months, a, backMs)
    months.on(c)
    whole(months)
  })

  test('a CA that is replaced in the middle of a leap is believed as long as any', () => {
    const { months, all } = begun('in the middle')
    const [a, b, c] = all
    months.off(c)
    set(months, a, FAR_MS)
    months.rotate(b)
    set(months, b, -FAR_MS)
    months.sleepUntil(85)
    months.on(...all)
    whole(months)
    months.sleepUntil(95)
    // Else it might be one more leap.
    for (const node of all) node.wallOffsetMs = 0
    months.on(...all)
    months.world.run(HOUR_MS)
    expect(all.map((node) => trustOf(node)?.custody.papers?.earlier)).toEqual([[], [], []])
    whole(months)
  })

  test('a box whose own clock leaps replaces the CA: the others follow it as ever', () => {
    const { months, all } = begun('by one clock')
    const [a, , c] = all
    months.off(a, c)
    a.wallOffsetMs += FAR_MS
    months.on(a)
    months.rotate(a)
    months.on(c)
    whole(months)
  })
})

describe('who starts again with another clock', () => {
  const [OLD, NEW, LAST] = [11, 22, 33] as const

  /** Two linked boxes with clocks that are not synchronised, the first cut off from the second. */
  function apart(name: string, offMs: number): { months: Months; a: SimNode; b: SimNode } {
    const months = new Months(name, 2)
    const [a, b] = months.nodes as [SimNode, SimNode]
    for (const node of months.nodes) node.wallOffsetMs = offMs
    months.on(a, b)
    months.write(a, 'topic', OLD)
    expect(months.bytesAt('topic')).toEqual([OLD, OLD])
    months.cut(a, b, true)
    return { months, a, b }
  }

  function together(months: Months, a: SimNode, b: SimNode): void {
    months.cut(a, b, false)
    months.world.run(90_000)
    expect([months.linked(), months.problems]).toEqual([true, []])
  }

  test.each([
    ['an hour late', -HOUR_MS],
    ['in 1970', -1.79e12],
    ['as before', 0],
  ])('%s: what it writes then is later than what it wrote before', (name, byMs) => {
    const { months, a, b } = apart(name, 5000)
    months.write(a, 'topic', NEW)
    // Not on its disk any more: only others may have it.
    a.powerCut()
    a.wallOffsetMs += byMs
    months.on(a)
    months.write(a, 'topic', LAST)
    together(months, a, b)
    expect(months.bytesAt('topic')).toEqual([LAST, LAST])
  })

  test('with a synchronised one: what others write seconds later is later', () => {
    const { months, a, b } = apart('synchronised', 0)
    a.kill()
    months.world.run(1000)
    a.start()
    months.world.run(1000)
    months.write(a, 'topic', NEW)
    months.world.run(3000)
    months.write(b, 'topic', LAST)
    together(months, a, b)
    expect(months.bytesAt('topic')).toEqual([LAST, LAST])
  })

  test('after a quiet hour: what it writes then is later than what others wrote within that hour', () => {
    const { months, a, b } = apart('quiet', 5000)
    months.world.run(HOUR_MS)
    months.write(b, 'topic', NEW)
    months.world.run(60_000)
    months.write(a, 'topic', LAST)
    together(months, a, b)
    expect(months.bytesAt('topic')).toEqual([LAST, LAST])
  })
})
