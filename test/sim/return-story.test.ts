import { expect, test } from 'vitest'
import { simulateReturn } from './return-story.ts'

const SEEDS = Array.from({ length: 10 }, (_, index) => index + 1)
const seen = new Set<string>()

test.each(SEEDS)(
  'month %d: what was removed while a box was away does not rise again, and nothing else is gone',
  (seed) => {
    const { problems, absence, forgotten } = simulateReturn(seed)
    expect(problems).toEqual([])
    // Else there was nothing to rise.
    expect(forgotten).toBeGreaterThan(0)
    seen.add(absence)
  },
)

test('boxes were away in every way', () => {
  expect([...seen].sort()).toEqual(['blank card', 'off', 'old card'])
})
