// The line of positions beside a slow and obvious model: a list of everything that is waited for.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Lane, type LaneKind, Positions } from '../../../src/base/positions.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const KINDS: readonly LaneKind[] = ['store', 'store', 'copies', 'copies', 'theirs', 'theirs']
const LANES = KINDS.length

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
      for (const kind of KINDS) lanes.push(positions.lane(kind))
      const closed = new Set<number>()
      let waiting: { lane: number; position: number }[] = []
      const safeOf = (some: typeof waiting) =>
        some.length === 0 ? positions.position : Math.min(...some.map(({ position }) => position)) - 1
      let told: number[] = []
      positions.watch(() => {
        told = [positions.safe, positions.ours, positions.stored]
      })
      let before = [0, 0, 0]
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
        const ours = waiting.filter((one) => KINDS[one.lane] !== 'theirs')
        const stored = waiting.filter((one) => KINDS[one.lane] === 'store')
        const now = [safeOf(waiting), safeOf(ours), safeOf(stored)]
        expect([positions.safe, positions.ours, positions.stored]).toEqual(now)
        clock.settle()
        if (kind !== 'stage' && now.some((safe, index) => safe > before[index]!)) expect(told).toEqual(now)
        for (const [index, safe] of now.entries()) expect(safe).toBeGreaterThanOrEqual(before[index]!)
        before = now
      }
    }),
  )
})
