// From the outcomes of the rounds to the tables that are printed.

import type { Outcome } from './measuring.ts'
import type { Version } from './mqtt.ts'
import type { Aim, Scenario } from './scenarios.ts'
import { type Bottleneck, bottleneck, median, type Spread, spread } from './statistics.ts'

export type Verdict = 'try' | 'must' | 'missed' | 'unknown'

/** MQTT 5 may cost so much of the rate of MQTT 3.1.1. */
const VERSION_COST_MAX = 0.15

export interface Side {
  readonly figure: Spread
  /** Null where messages are not what is counted. */
  readonly cpuUsEach: number | null
  readonly rssMiB: number
  readonly bottleneck: Bottleneck
}

export interface Row {
  readonly scenario: Scenario
  readonly version: Version
  readonly aim: Aim
  readonly own: Side
  readonly other: Side | null
  /** Of our median to the other's, and the range of the rounds. */
  readonly ratio: Spread | null
  readonly verdict: Verdict
}

function sideOf(figure: string, outcomes: readonly Outcome[]): Side {
  const share = (used: (outcome: Outcome) => number) => median(outcomes.map((each) => used(each) / each.wallMs))
  const counted = outcomes.every(({ messages }) => messages > 0)
  return {
    figure: spread(outcomes.map(({ figures }) => figureOf(figures, figure))),
    cpuUsEach: counted ? median(outcomes.map((each) => (each.brokerCpuMs * 1000) / each.messages)) : null,
    rssMiB: median(outcomes.map(({ rssBytes }) => rssBytes)) / 2 ** 20,
    bottleneck: bottleneck(
      share(({ brokerCpuMs }) => brokerCpuMs),
      share(({ loadCpuMs }) => loadCpuMs),
    ),
  }
}

function figureOf(figures: Outcome['figures'], name: string): number {
  const figure = figures[name]
  if (figure === undefined) throw new Error(`the load gives no figure '${name}'`)
  return figure
}

/** Latencies and sizes that are aimed at are not to be exceeded, rates are to be reached. */
export function verdict(aim: Aim, value: number | null): Verdict {
  if (value === null || aim.must === null || aim.try === null) return 'unknown'
  const reaches = (bound: number) => (aim.better === 'more' ? value >= bound : value <= bound)
  if (reaches(aim.try)) return 'try'
  return reaches(aim.must) ? 'must' : 'missed'
}

/** A row for each figure that is aimed at; `other` is empty when ours was measured alone. */
export function rowsOf(
  scenario: Scenario,
  version: Version,
  own: readonly Outcome[],
  other: readonly Outcome[],
): Row[] {
  return scenario.aims.map((aim) => {
    const [ours, theirs] = [sideOf(aim.figure, own), other.length > 0 ? sideOf(aim.figure, other) : null]
    const each = own.slice(0, other.length).map(({ figures }, round) => {
      return figureOf(figures, aim.figure) / figureOf(other[round]!.figures, aim.figure)
    })
    const ratio = theirs === null ? null : { ...spread(each), median: ours.figure.median / theirs.figure.median }
    const value = aim.against === 'alone' ? ours.figure.median : (ratio?.median ?? null)
    return { scenario, version, aim, own: ours, other: theirs, ratio, verdict: verdict(aim, value) }
  })
}

const short = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
const ranged = ({ median, least, most }: Spread): string => `${short(median)} (${short(least)}-${short(most)})`
const both = (row: Row, say: (side: Side) => string): string =>
  row.other === null ? say(row.own) : `${say(row.own)} / ${say(row.other)}`

const UNITS: Readonly<Record<string, string>> = {
  rate: '/s',
  bytesEach: 'bytes',
  p50Ms: 'ms p50',
  p99Ms: 'ms p99',
  cpuUsEach: 'us CPU',
  p50Times: 'p50 of one box',
  linkBytesEach: 'bytes on a link',
  ackP99Ms: 'ms p99 of PUBACK',
  writtenEach: 'bytes on disk',
  heldMs: 'ms at most',
  idlePercent: '% CPU',
  rssMiB: 'MiB RSS',
  readyMs: 'ms to ready',
}
const said: Readonly<Record<Verdict, string>> = { try: 'try', must: 'must', missed: 'MISSED', unknown: '-' }

export function table(rows: readonly Row[], against: string | null): string {
  const head = ['scenario', 'MQTT', 'unit', 'edge-mqtt', against ?? '-', 'ratio', 'must; try', 'reached']
  const more = ['us CPU each', 'MiB RSS', 'bottleneck']
  const lines = rows.map((row) => {
    const { aim } = row
    const unit = aim.against === 'beside' ? 'x' : ''
    return [
      row.scenario.title,
      row.version === 5 ? '5' : '3.1.1',
      UNITS[aim.figure] ?? aim.figure,
      ranged(row.own.figure),
      row.other === null ? '-' : ranged(row.other.figure),
      row.ratio === null ? '-' : ranged(row.ratio),
      aim.must === null ? '-' : `${aim.must}${unit}; ${aim.try}${unit}`,
      said[row.verdict],
      both(row, ({ cpuUsEach }) => (cpuUsEach === null ? '-' : short(cpuUsEach))),
      both(row, ({ rssMiB }) => short(rssMiB)),
      both(row, (side) => side.bottleneck),
    ]
  })
  const columns = [...head, ...more]
  return [columns, columns.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')
}

/** Where the load was full, the figure says at least so much, and no more than that. */
export function cautions(rows: readonly Row[]): string[] {
  const full = ({ bottleneck }: Side) => bottleneck === 'load' || bottleneck === 'both'
  return rows.flatMap((row) => {
    const sides = [
      ...(full(row.own) ? ['edge-mqtt'] : []),
      ...(row.other !== null && full(row.other) ? ['the other'] : []),
    ]
    if (sides.length === 0) return []
    const name = `${row.scenario.name}, MQTT ${row.version === 5 ? '5' : '3.1.1'}`
    return [`${name}: the load had no more to give (${sides.join(', ')}): compare the CPU time, not the rate`]
  })
}

/** What MQTT 5 costs ours, where both were measured. */
export function versionCosts(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => {
    if (row.version !== 5 || row.aim.figure !== 'rate') return []
    const before = rows.find(({ scenario, version }) => version === 4 && scenario === row.scenario)
    if (before === undefined) return []
    const share = row.own.figure.median / before.own.figure.median
    const within = share >= 1 - VERSION_COST_MAX ? 'within' : 'NOT within'
    return [`${row.scenario.name}: MQTT 5 has ${short(share)} of the rate of MQTT 3.1.1, ${within} 15 %`]
  })
}
