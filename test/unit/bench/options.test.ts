import { expect, test } from 'vitest'
import { readOptions, UsageError } from '../../../bench/options.ts'
import { scenarios, smaller } from '../../../bench/scenarios.ts'

const read = (...args: string[]) => readOptions(args, ['edge-mqtt', 'mosquitto'], 2)

test('with nothing said it is all scenarios beside mosquitto, three rounds of MQTT 3.1.1', () => {
  const options = read()
  expect(options).toMatchObject({ against: 'mosquitto', rounds: 3, versions: [4], brokerCore: 0, loadCore: 1 })
  expect(options.scenarios).toEqual(scenarios)
})

test('what is said counts', () => {
  const options = read('--against', 'none', '--scenarios', 'fan-out,lockstep', '--versions', '4,5', '--seconds', '0.5')
  expect(options).toMatchObject({ against: null, versions: [4, 5], measureMs: 500 })
  expect(options.scenarios.map(({ name }) => name)).toEqual(['fan-out', 'lockstep'])
})

test.each<[args: string[], says: string]>([
  [['--against', 'nobody'], '--against is nobody, and takes none or one of: edge-mqtt, mosquitto'],
  [['--scenarios', 'fan-up'], "no scenario is called 'fan-up'; there are: fan-in, "],
  [['--versions', '3'], '--versions is 3, and takes 4 (MQTT 3.1.1), 5 or 4,5'],
  [['--rounds', '0'], '--rounds is 0, and takes a number from 1 to 1000'],
  [['--rounds', '1.5'], '--rounds is 1.5, and takes a whole number'],
  [['--seconds', ''], '--seconds is , and takes a number'],
  [['--scale', '2'], '--scale is 2, and takes a number from 0.0001 to 1'],
  [['--load-core', '2'], '--load-core is 2, and takes a number from 0 to 1'],
  [['--load-core', '0'], 'broker and load need a core each; both are to have 0'],
  [['--fast'], "Unknown option '--fast'"],
])('%j is refused: %s', (args, says) => {
  expect(() => read(...args)).toThrow(UsageError)
  expect(() => read(...args)).toThrow(says)
})

test('each scenario has a name of its own, and no aim that is tried is easier than the one that must be reached', () => {
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length)
  for (const { aims } of scenarios) {
    expect(aims.length).toBeGreaterThan(0)
    for (const { must, try: tried, better } of aims) {
      expect(must === null).toBe(tried === null)
      if (must !== null) expect(better === 'more' ? tried! >= must : tried! <= must).toBe(true)
    }
  }
})

test('made smaller, every load still has something to do', () => {
  for (const { load } of scenarios) {
    const small = smaller(load, 0.0001)
    expect(small.load).toBe(load.load)
    for (const value of Object.values(small))
      if (typeof value === 'number' && value !== 0) expect(value).toBeGreaterThanOrEqual(1)
  }
  expect(smaller({ load: 'kept', how: 'queued', count: 20_000, times: 3, payloadBytes: 64 }, 0.01)).toMatchObject({
    count: 200,
  })
})
