import { expect, test } from 'vitest'
import type { Outcome } from '../../../bench/measuring.ts'
import type { Version } from '../../../bench/mqtt.ts'
import { cautions, rowsOf, table, verdict, versionCosts } from '../../../bench/report.ts'
import { type Aim, type Scenario, scenarios } from '../../../bench/scenarios.ts'

const RATE: Aim = { figure: 'rate', better: 'more', against: 'beside', must: 2, try: 4 }
const BYTES: Aim = { figure: 'bytesEach', better: 'less', against: 'alone', must: 800, try: 500 }
const scenario = (aim: Aim): Scenario => ({ ...scenarios[0]!, name: 'example', title: 'an example', aims: [aim] })
const RATES = scenario(RATE)

const outcome = (figure: number, more: Partial<Outcome> = {}): Outcome => ({
  figures: { rate: figure, bytesEach: figure },
  messages: 1000,
  brokerCpuMs: 950,
  loadCpuMs: 400,
  wallMs: 1000,
  rssBytes: 2 ** 20,
  problems: [],
  ...more,
})
const rates = (figures: readonly number[], more: Partial<Outcome> = {}) => figures.map((each) => outcome(each, more))

test.each<[aim: Aim, value: number | null, is: string]>([
  [RATE, 4, 'try'],
  [RATE, 3.9, 'must'],
  [RATE, 1.9, 'missed'],
  [RATE, null, 'unknown'],
  [BYTES, 500, 'try'],
  [BYTES, 800, 'must'],
  [BYTES, 801, 'missed'],
  [{ ...BYTES, must: null, try: null }, 1, 'unknown'],
])('%j: %d is %s', (aim, value, is) => {
  expect(verdict(aim, value)).toBe(is)
})

test('a row has the ratio of the medians and the range of the rounds', () => {
  const [row] = rowsOf(RATES, 4, rates([300, 900, 400]), rates([100, 100, 200]))
  expect(row!.ratio).toEqual({ median: 4, least: 2, most: 9 })
  expect(row!.own.figure).toEqual({ median: 400, least: 300, most: 900 })
  expect(row!.verdict).toBe('try')
  expect([row!.own.cpuUsEach, row!.own.rssMiB, row!.own.bottleneck]).toEqual([950, 1, 'broker'])
})

test('alone there is no ratio: what is aimed at beside another is unknown, a size is not', () => {
  expect(rowsOf(RATES, 4, rates([300]), [])[0]).toMatchObject({ other: null, ratio: null, verdict: 'unknown' })
  expect(rowsOf(scenario(BYTES), 4, rates([600]), [])[0]).toMatchObject({ ratio: null, verdict: 'must' })
})

test('where no messages are counted, there is no CPU time of one', () => {
  expect(rowsOf(RATES, 4, rates([300], { messages: 0 }), [])[0]!.own.cpuUsEach).toBe(null)
})

test('a figure that the load does not give is an error', () => {
  expect(() => rowsOf(scenario({ ...RATE, figure: 'speed' }), 4, rates([1]), [])).toThrow("no figure 'speed'")
})

test('the table has a line for each row, what is missed in capitals', () => {
  const lines = table(rowsOf(RATES, 5, rates([150]), rates([100])), 'mosquitto').split('\n')
  expect(lines.length).toBe(3)
  expect(lines[2]).toBe(
    '| an example | 5 | /s | 150 (150-150) | 100 (100-100) | 1.50 (1.50-1.50) | 2x; 4x | MISSED | 950 / 950 | 1.00 / 1.00 | broker / broker |',
  )
})

test('a full load is said, with the broker whose rate it bounds', () => {
  const full = { loadCpuMs: 960, brokerCpuMs: 500 }
  expect(cautions(rowsOf(RATES, 4, rates([1], full), rates([1])))[0]).toMatch(/^example, MQTT 3.1.1: .*\(edge-mqtt\)/)
  expect(cautions(rowsOf(RATES, 4, rates([1]), rates([1])))).toEqual([])
})

test.each<[five: number, says: string]>([
  [85, 'within 15 %'],
  [84, 'NOT within 15 %'],
])('MQTT 5 at %d beside 100 is %s', (five, says) => {
  const row = (version: Version, rate: number) => rowsOf(RATES, version, rates([rate]), [])
  const costs = versionCosts([...row(4, 100), ...row(5, five)])
  expect(costs).toEqual([`example: MQTT 5 has 0.${five}0 of the rate of MQTT 3.1.1, ${says}`])
  expect(versionCosts(row(5, five))).toEqual([])
})
