import { describe, expect, test } from 'vitest'
import { bounds } from '../../../src/broker/bounds.ts'
import { Deadline, Deadlines } from '../../../src/broker/deadlines.ts'
import { plainRandom, VirtualClock } from '../../conformance/lab.ts'

function setUp() {
  const clock = new VirtualClock()
  const fired: string[] = []
  const deadlines = new Deadlines(clock)
  const make = (name: string) => new Deadline(() => fired.push(`${name}@${clock.now() - 1000}`))
  return { clock, fired, deadlines, make }
}

describe('Deadlines', () => {
  test('come due in order of time, each once, behind one timer', () => {
    const { clock, fired, deadlines, make } = setUp()
    for (const [name, at] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
    ] as const)
      deadlines.set(make(name), 1000 + at)
    expect(clock.timers).toBe(1)
    clock.advance(25)
    expect(fired).toEqual(['a@10', 'b@20'])
    clock.advance(1000)
    expect(fired).toEqual(['a@10', 'b@20', 'c@30'])
    expect(clock.timers).toBe(0)
  })

  test('many at once come due over several turns: others get theirs between', () => {
    const { clock, fired, deadlines, make } = setUp()
    for (let index = 0; index < 1000; index++) deadlines.set(make(`${index}`), 1010)
    let between = 0
    clock.after(10, 'test', () => {
      between = fired.length
    })
    clock.advance(10)
    expect(between).toBe(bounds.deadlinesPerTurn)
    expect(fired).toHaveLength(1000)
    expect(new Set(fired).size).toBe(1000)
  })

  test('moved later: found early once, then due at the new time', () => {
    const { clock, fired, deadlines, make } = setUp()
    const a = make('a')
    deadlines.set(a, 1010)
    for (let at = 1020; at <= 1100; at += 10) deadlines.set(a, at)
    expect(deadlines.size).toBe(1)
    clock.advance(99)
    expect(fired).toEqual([])
    clock.advance(1)
    expect(fired).toEqual(['a@100'])
  })

  test('moved earlier, cleared, and set again', () => {
    const { clock, fired, deadlines, make } = setUp()
    const [a, b] = [make('a'), make('b')]
    deadlines.set(a, 1100)
    deadlines.set(a, 1010)
    deadlines.set(b, 1020)
    deadlines.clear(b)
    clock.advance(50)
    expect(fired).toEqual(['a@10'])
    deadlines.set(b, 1060)
    deadlines.set(b, Number.POSITIVE_INFINITY)
    expect(deadlines.size).toBe(0)
    clock.advance(50)
    expect(fired).toEqual(['a@10'])
  })

  test('one that comes due may set itself and others', () => {
    const { clock, fired, deadlines, make } = setUp()
    const other = make('other')
    let rounds = 0
    const self = new Deadline(() => {
      fired.push(`self@${clock.now() - 1000}`)
      if (++rounds < 3) deadlines.set(self, clock.now() + 5)
      deadlines.set(other, clock.now() + 1)
    })
    deadlines.set(self, 1005)
    clock.advance(100)
    expect(fired).toEqual(['self@5', 'other@6', 'self@10', 'other@11', 'self@15', 'other@16'])
  })

  test('further away than a timer reaches', () => {
    const { clock, fired, deadlines, make } = setUp()
    const days = 40 * 24 * 3600 * 1000
    deadlines.set(make('far'), 1000 + days)
    clock.advance(days - 1)
    expect(fired).toEqual([])
    clock.advance(1)
    expect(fired).toEqual([`far@${days}`])
  })

  test('cleared ones leave the heap: nothing gathers there', () => {
    const { deadlines, make } = setUp()
    const kept = make('kept')
    deadlines.set(kept, 5000)
    for (let index = 0; index < 1000; index++) {
      const passing = make('passing')
      deadlines.set(passing, 2000 + index)
      deadlines.clear(passing)
    }
    expect(deadlines.size).toBe(1)
  })

  test('like a list that is searched, for any sequence of sets and clears', () => {
    const random = plainRandom()
    const { clock, fired, deadlines, make } = setUp()
    const all = Array.from({ length: 40 }, (_, index) => make(`${index}`))
    const model = new Map<number, number>()
    const expected: string[] = []
    for (let step = 0; step < 3000; step++) {
      const which = Math.floor(random.fraction() * all.length)
      const roll = random.fraction()
      if (roll < 0.5) {
        // Times of their own, so that the order is one.
        const at = clock.now() + 1 + Math.floor(random.fraction() * 50) + which / 1000
        deadlines.set(all[which]!, at)
        model.set(which, at)
      } else if (roll < 0.7) {
        deadlines.clear(all[which]!)
        model.delete(which)
      } else {
        const until = clock.now() + Math.floor(random.fraction() * 20)
        const due = [...model].filter(([, at]) => at <= until).sort((a, b) => a[1] - b[1])
        for (const [name, at] of due) {
          expected.push(`${name}@${at - 1000}`)
          model.delete(name)
        }
        clock.advance(until - clock.now())
      }
      expect(deadlines.size).toBe(model.size)
    }
    expect(fired).toEqual(expected)
    expect(fired.length).toBeGreaterThan(300)
  })
})
