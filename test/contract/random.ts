// What every Random must do.

import { describe, expect, test } from 'vitest'
import type { Random } from '../../src/base/ports/random.ts'

export function randomContract(name: string, make: () => Random): void {
  describe(`Random of ${name}`, () => {
    test('bytes are as many as asked for, and not the same ones again', () => {
      const random = make()
      for (const length of [0, 1, 8, 16, 32, 257, 5000]) expect(random.bytes(length).length).toBe(length)
      const seen = new Set(Array.from({ length: 1000 }, () => random.bytes(8).toString('hex')))
      expect(seen.size).toBe(1000)
    })

    test('what was given stays as it was', () => {
      const random = make()
      const first = random.bytes(8)
      const text = first.toString('hex')
      first.fill(0)
      const second = random.bytes(8)
      const kept = second.toString('hex')
      for (let index = 0; index < 1000; index++) random.bytes(8)
      expect(second.toString('hex')).toBe(kept)
      expect(kept).not.toBe(text)
    })

    test('fractions lie in [0, 1) and spread over it', () => {
      const random = make()
      const buckets = new Array<number>(10).fill(0)
      for (let index = 0; index < 10_000; index++) {
        const fraction = random.fraction()
        expect(fraction >= 0 && fraction < 1).toBe(true)
        buckets[Math.floor(fraction * 10)]!++
      }
      // 1000 each on average, with a standard deviation of 30.
      for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(300)
    })
  })
}
