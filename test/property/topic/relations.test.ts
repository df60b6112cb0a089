// What access rules ask of filters, beside a model that tries every short topic.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matches } from '../../../src/topic/match.ts'
import { filterCovers, filtersMeet } from '../../../src/topic/relations.ts'

const LEVELS = ['a', 'b', '', '$s']
/** Every topic of up to four of these levels: enough to tell filters of up to three levels apart. */
const topics: readonly string[] = [1, 2, 3, 4].flatMap((length) => {
  let found: string[][] = [[]]
  for (let level = 0; level < length; level++)
    found = found.flatMap((before) => LEVELS.map((name) => [...before, name]))
  return found.map((levels) => levels.join('/'))
})

const filter = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '', '$s', '+'), { maxLength: 3 }), fc.boolean())
  .filter(([levels, open]) => levels.length > 0 || open)
  .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
  .filter((text) => text !== '')

test('filters meet when some topic matches both', () => {
  fc.assert(
    fc.property(filter, filter, (a, b) => {
      const both = topics.some((topic) => matches(a, topic) && matches(b, topic))
      expect(filtersMeet(a, b)).toBe(both)
    }),
    { numRuns: 2000 },
  )
})

test('a filter covers another when it matches all that the other does', () => {
  fc.assert(
    fc.property(filter, filter, (wide, narrow) => {
      const all = topics.filter((topic) => matches(narrow, topic)).every((topic) => matches(wide, topic))
      expect(filterCovers(wide, narrow)).toBe(all)
    }),
    { numRuns: 2000 },
  )
})
