// Runs seeds in batches, each a test of its own, and prints how quickly it went.

import { afterAll, expect, test } from 'vitest'
import { replay, simulate } from './simulate.ts'

const BATCH = 25

/** `count` seeds from `from` on. */
export function runSeeds(name: string, from: number, count: number): void {
  const millis: number[] = []
  for (let first = from; first < from + count; first += BATCH) {
    const last = Math.min(first + BATCH, from + count) - 1
    test(`${name}: seeds ${first} to ${last} settle without a problem`, () => {
      const failed: string[] = []
      for (let seed = first; seed <= last; seed++) {
        const began = performance.now()
        const { problems } = simulate(seed)
        millis.push(performance.now() - began)
        if (problems.length > 0) failed.push(`seed ${seed} (${replay(seed)}): ${problems.join('; ')}`)
      }
      expect(failed).toEqual([])
    }, 120_000)
  }

  afterAll(() => {
    const total = millis.reduce((sum, one) => sum + one, 0)
    const median = [...millis].sort((a, b) => a - b)[Math.floor(millis.length / 2)] ?? 0
    const perSecond = (millis.length / total) * 1000
    console.log(
      `${name}: ${millis.length} seeds from ${from}, ${perSecond.toFixed(1)} seeds per second, ` +
        `median ${median.toFixed(1)} ms`,
    )
  })
}
