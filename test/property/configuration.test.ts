// Whatever stands in the file, in a variable or behind --set: an answer, never an exception; and a wrong key or value
// always names its place.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadConfiguration } from '../../src/ops/config/load.ts'
import { leafPaths } from '../../src/ops/config/shape.ts'
import { durationText, parseDuration, parseSize, sizeText } from '../../src/ops/config/units.ts'

const key = fc.oneof(
  fc.constantFrom(...leafPaths().map((path) => path.replace('*', 'mqtt'))),
  fc.constantFrom('cluster', 'listeners', 'listeners.a', 'cluster.discovery', '__proto__', 'constructor.prototype'),
  fc.string({ minLength: 1, maxLength: 20 }),
)
const value = fc.oneof(
  fc.string(),
  fc.json(),
  fc.constantFrom('*a', '&a [*a]', '5s', '64MiB', '0', '-1', 'true', '[a, b]', '{ a: 1 }'),
)

const judged = (loaded: ReturnType<typeof loadConfiguration>) => {
  if (loaded.ok) return
  expect(loaded.problems.length).toBeGreaterThan(0)
  for (const { where, what } of loaded.problems) {
    expect(where).toMatch(/^(f\.yaml|--set|EDGE_MQTT_|default)/)
    expect(what).not.toBe('')
  }
}

const words = fc.constantFrom(
  'cluster',
  'port',
  'listeners',
  ':',
  ' ',
  '\n',
  '  ',
  '-',
  '[',
  '{',
  '&a',
  '*a',
  '"',
  '1',
  '!',
)

test('any file is answered', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.array(words).map((each) => each.join('')),
      ),
      (text) => {
        judged(loadConfiguration({ file: { name: 'f.yaml', text }, environment: {}, settings: [] }))
      },
    ),
  )
})

test('any flags and variables are answered', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value), { maxLength: 5 }), (pairs) => {
      const environment = Object.fromEntries(
        pairs.map(([name, text]) => [`EDGE_MQTT_${name.toUpperCase().replace(/\W/g, '_')}`, text]),
      )
      judged(loadConfiguration({ file: null, environment, settings: pairs.map(([name, text]) => `${name}=${text}`) }))
      expect(Object.keys(Object.prototype)).toEqual([])
    }),
  )
})

test('what durations and sizes are written as reads back', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 }), (number) => {
      expect(parseDuration(durationText(number))).toBe(number)
      expect(parseSize(sizeText(number))).toBe(number)
    }),
  )
})
