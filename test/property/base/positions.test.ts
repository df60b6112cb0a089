// The line of positions beside a slow and obvious model: a list of everything that is waited for.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Lane, Positions } from '../../../src/base/positions.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const LANES = 5

const step = fc.record({
  lane: fc.nat(LANES - 1),
  kind: fc.constantFrom('stage', 'stage', 'stage', 'settle', 'settle', 'close'),
  /** Which of what waits in the lane is settled; all before it are too. */
  of: fc.nat(),
})

test('safe is the oldest that is waited for, less one, and never goes back', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const clock = new VirtualClock()
      const positions = new Positions(clock)
      const lanes: Lane[] = []
      for (let index = 0; index < LANES; index++) lanes.push(positions.lane(index < 3 ? 'ours' : 'theirs'))
      const closed = new Set<number>()
      let waiting: { lane: number; position: number }[] = []
      const safeOf = (some: typeof waiting) =>
        some.length === 0 ? positions.position : Math.min(...some.map(({ position }) => position)) - 1
      let told: number[] = []
      positions.watch(() => {
        told = [positions.safe, positions.ours]
      })
      let before = [0, 0]
      for (const { lane, kind, of } of steps) {
        const own = waiting.filter((one) => one.lane === lane)
        if (kind === 'stage') {
          const position = lanes[lane]!.staged()
          if (!closed.has(lane)) waiting.push({ lane, position })
        } else if (kind === 'close') {
          lanes[lane]!.close()
          closed.add(lane)
          waiting = waiting.filter((one) => one.lane !== lane)
        } else if (own.length > 0) {
          const at = of % own.length
          // As high as it is true: up to just before the next that waits.
          lanes[lane]!.settled(at + 1 < own.length ? own[at + 1]!.position - 1 : positions.position)
          waiting = waiting.filter((one) => one.lane !== lane || one.position > own[at]!.position)
        }
        const now = [safeOf(waiting), safeOf(waiting.filter((one) => one.lane < 3))]
        expect([positions.safe, positions.ours]).toEqual(now)
        clock.settle()
        if (kind !== 'stage' && now.some((safe, index) => safe > before[index]!)) expect(told).toEqual(now)
        expect(now[0]).toBeGreaterThanOrEqual(before[0]!)
        expect(now[1]).toBeGreaterThanOrEqual(before[1]!)
        before = now
      }
    }),
  )
})
