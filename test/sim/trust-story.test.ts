import { describe, expect, test } from 'vitest'
import { compose } from '../../src/compose.ts'
import { tellTrust } from './trust-story.ts'

/** The last ones once failed: a key handed over while its receiver was cut off, two rotations in one second,
 * a box with the key that was removed before this one had met it. */
const SEEDS = [...Array.from({ length: 40 }, (_, index) => index + 1), 1192, 1622, 2352]

const COMPROMISED = Array.from({ length: 20 }, (_, index) => index + 1)

describe('trust in storms', () => {
  test.each(SEEDS)('seed %i: one CA, its key on two boxes, every pair linked, the removed one with nobody', (seed) => {
    expect(tellTrust(seed).problems).toEqual([])
  })

  test.each(COMPROMISED)(
    'seed %i with a CA in wrong hands: who was away comes back by a code, and all is as above',
    (seed) => {
      expect(tellTrust(seed, compose, true).problems).toEqual([])
    },
  )

  test('the stories are about what they say', () => {
    const told = SEEDS.map((seed) => tellTrust(seed))
    expect(told.reduce((sum, { rotations }) => sum + rotations, 0)).toBeGreaterThan(20)
    expect(told.reduce((sum, { removals }) => sum + removals, 0)).toBeGreaterThan(10)
    const helped = COMPROMISED.slice(0, 3).map((seed) => tellTrust(seed, compose, true).helped)
    expect(helped.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(0)
  })
})
