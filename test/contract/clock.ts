// What every Clock must do.

import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/base/ports/clock.ts'
import type { World } from './world.ts'

export interface ClockWorld extends World {
  readonly clock: Clock
}

export function clockContract(name: string, make: () => ClockWorld): void {
  describe(`Clock of ${name}`, () => {
    let world: ClockWorld
    afterEach(() => world.close())

    test('timers run once each, the shorter first, not before their time', async () => {
      world = make()
      const { clock } = world
      const start = clock.now()
      const ran: string[] = []
      clock.after(20, 'test.late', () => ran.push('late'))
      clock.after(5, 'test.early', () => ran.push('early'))
      await world.until(() => ran.length === 2, 'both timers')
      expect(ran).toEqual(['early', 'late'])
      // Timers of the event loop count in whole milliseconds and may be a fraction early.
      expect(clock.now() - start).toBeGreaterThanOrEqual(19)
    })

    test('a cancelled timer does not run; cancelling again, or after it has run, is harmless', async () => {
      world = make()
      const ran: string[] = []
      const cancelled = world.clock.after(1, 'test.cancelled', () => ran.push('cancelled'))
      const kept = world.clock.after(10, 'test.kept', () => ran.push('kept'))
      cancelled.cancel()
      cancelled.cancel()
      await world.until(() => ran.length === 1, 'the timer that was kept')
      kept.cancel()
      expect(ran).toEqual(['kept'])
    })

    test('a delay longer than a native timer can count does not run at once', async () => {
      world = make()
      let early = 0
      const timer = world.clock.after(40 * 86_400_000, 'test.month', () => early++)
      let passed = false
      world.clock.after(10, 'test.short', () => {
        passed = true
      })
      await world.until(() => passed, 'a short timer')
      timer.cancel()
      expect(early).toBe(0)
    })

    test('soon runs after what is running now, in order, before time passes', async () => {
      world = make()
      const ran: string[] = []
      world.clock.after(0, 'test.turn', () => {
        world.clock.soon(() => ran.push('first'))
        world.clock.soon(() => ran.push('second'))
        ran.push('turn')
      })
      await world.until(() => ran.length === 3, 'the end of the turn')
      expect(ran).toEqual(['turn', 'first', 'second'])
    })

    test('the monotonic clock never goes back, the wall clock counts from 1970', () => {
      world = make()
      let last = world.clock.now()
      for (let index = 0; index < 1000; index++) {
        const now = world.clock.now()
        expect(now).toBeGreaterThanOrEqual(last)
        last = now
      }
      expect(Number.isFinite(world.clock.wall())).toBe(true)
    })
  })
}
