// What the property tests of topics draw from: few, colliding level names, so that random filters do match.

import fc from 'fast-check'

const level = fc.constantFrom('a', 'b', 'ab', '', 'c', '$x', 'é', 'a b')
const join = (levels: string[]) => levels.join('/')

export const topics: fc.Arbitrary<string> = fc
  .array(level, { minLength: 1, maxLength: 6 })
  .map(join)
  .filter((text) => text.length > 0)

export const filters: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
  .map(([levels, hash]) => join(hash ? [...levels, '#'] : levels))
  .filter((text) => text.length > 0)
