import { expect, test } from 'vitest'
import type { Plant } from './plants/planting.ts'
import { demanded, plants } from './plants.ts'
import { simulate } from './simulate.ts'
import type { Build } from './world.ts'

/** Seeds within which a planted bug must be found; the first is the same for all, so that a run can be repeated. */
const SEEDS = 200
const FIRST = 1

function seedsUntilFound({ plant, found, promises = [], story }: Plant): number {
  const tell = story ?? ((seed: number, build: Build) => simulate(seed, { build, promises }))
  for (let tried = 0; tried < SEEDS; tried++) {
    const { build, remove } = plant()
    try {
      if (tell(FIRST + tried, build).problems.some((problem) => found.test(problem))) return tried + 1
    } finally {
      remove()
    }
  }
  return Number.POSITIVE_INFINITY
}

test.each(plants.map((plant) => [plant.name, plant] as const))(
  'the checkers find: %s',
  (name, plant) => {
    const seeds = seedsUntilFound(plant)
    console.log(`${name}: found with seed ${seeds}`)
    expect(seeds).toBeLessThanOrEqual(SEEDS)
  },
  120_000,
)

test('what was planted is taken out again', () => {
  for (const { plant } of plants) plant().remove()
  expect(simulate(FIRST).problems).toEqual([])
})

/** Of the bugs that CLUSTER 8 demands. This number only shrinks. */
const MISSING = 3

test('each bug of CLUSTER 8 is planted, but for those still to come', () => {
  const names = plants.map(({ name }) => name)
  for (const name of Object.values(demanded).flat()) expect(names).toContain(name)
  expect(Object.keys(demanded)).toHaveLength(16)
  expect(Object.values(demanded).filter((planted) => planted.length === 0)).toHaveLength(MISSING)
})
