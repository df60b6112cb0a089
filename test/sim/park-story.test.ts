import { expect, test } from 'vitest'
import { GoingOn } from '../../src/cluster/forwarding/goingon.ts'
import { HeldParked } from '../../src/cluster/forwarding/heldparked.ts'
import { simulateParking } from './park-story.ts'
import { patched } from './plants/planting.ts'

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1)
const ends = new Set<string>()
let takenOver = 0

test.each(SEEDS)('parking %d: what a box has parked outlives it, and comes once', (seed) => {
  const outcome = simulateParking(seed)
  expect(outcome.problems).toEqual([])
  ends.add(outcome.end)
  takenOver += outcome.takenOver
})

test('the box that had parked ended in every way, and another went on', () => {
  expect(ends.size).toBe(3)
  expect(takenOver).toBeGreaterThan(0)
})

test.each([
  ['messages parked on one box alone', () => patched(GoingOn.prototype, 'wanted', () => () => 1)],
  ['a second box that hands nothing over', () => patched(HeldParked.prototype, 'look', () => () => {})],
])('the story finds: %s', (_name, plant) => {
  const remove = plant()
  try {
    const found = SEEDS.find((seed) => simulateParking(seed).problems.some((problem) => /is lost$/.test(problem)))
    expect(found).toBeDefined()
  } finally {
    remove()
  }
})
