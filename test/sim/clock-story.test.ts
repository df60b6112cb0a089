import { expect, test } from 'vitest'
import { tellClock } from './clock-story.ts'

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS

test.each([
  ['right', 0, 0],
  ['in 1970', -1.79e12, 0],
  ['in 2099', 73 * YEAR_MS, 0],
  ['a day ahead', 25 * 3_600_000, 0],
  ['a day late', -25 * 3_600_000, 0],
  ['going back by years, while it runs and again while it is off', 40 * YEAR_MS, -20 * YEAR_MS],
  ['going back by days', 0, -2 * DAY_MS],
  ['going ahead by years', 0, 20 * YEAR_MS],
])(
  'a box whose clock is %s joins: all agree, and what is to last for an hour lasts for an hour',
  (name, offMs, jumpsMs) => {
    expect(tellClock(name, { offMs, jumpsMs })).toEqual([])
  },
  60_000,
)
