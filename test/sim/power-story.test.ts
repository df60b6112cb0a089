import { expect, test } from 'vitest'
import { KeptRoutes } from '../../src/cluster/forwarding/keptroutes.ts'
import { patched } from './plants/planting.ts'
import { simulatePowerCut } from './power-story.ts'

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1)

test.each(SEEDS)('power cut %d: the box that is back first, and alone, parks what the others are to have', (seed) => {
  const { problems, due } = simulatePowerCut(seed)
  expect(problems).toEqual([])
  expect(due).toBeGreaterThan(0)
})

test.each([
  ['routes that are not kept', () => patched(KeptRoutes.prototype, 'put', () => () => {})],
  [
    'a route that counts as taken before it is on the disk',
    () => patched(KeptRoutes.prototype, 'isSafe', () => () => true),
  ],
])('the story finds: %s', (_name, plant) => {
  const remove = plant()
  try {
    const found = SEEDS.find((seed) =>
      simulatePowerCut(seed).problems.some((problem) => /are lost to sub/.test(problem)),
    )
    expect(found).toBeDefined()
  } finally {
    remove()
  }
})
