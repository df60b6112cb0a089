// What is measured, and what each figure must be and is tried to be.

import type { Connects, Idle, Kept, Stresser } from './bursts.ts'
import { QUIET, type Quiet, type Start, type Unwanted } from './calm.ts'
import type { Durable } from './durable.ts'
import type { Flow } from './flow.ts'
import type { Shape } from './lanes.ts'
import type { Qos } from './mqtt.ts'
import type { Paced } from './paced.ts'
import type { Temper } from './temper.ts'

export type Load =
  | ({ readonly load: 'flow' } & Flow)
  | ({ readonly load: 'paced' } & Paced)
  | ({ readonly load: 'kept' } & Kept)
  | ({ readonly load: 'connects' } & Connects)
  | ({ readonly load: 'idle' } & Idle)
  | ({ readonly load: 'stresser' } & Stresser)
  | ({ readonly load: 'durable' } & Durable)
  | ({ readonly load: 'quiet' } & Quiet)
  | ({ readonly load: 'unwanted' } & Unwanted)
  | ({ readonly load: 'start' } & Start)
  | ({ readonly load: 'temper' } & Temper)

/** A figure of the outcome; `beside`: as a multiple of the other broker's, `alone`: as it is. */
export interface Aim {
  readonly figure: string
  readonly better: 'more' | 'less'
  readonly against: 'beside' | 'alone'
  /** Null: nothing is asked, it is told. */
  readonly must: number | null
  readonly try: number | null
}

/** What it runs on; nothing said: one broker, without persistence where that can be chosen. */
export interface Stage {
  /** A cluster of so many boxes of ours, linked by mutual TLS, all on the broker's core. */
  readonly boxes?: number
  /** Of each of them. */
  readonly settings?: readonly string[]
  readonly persistence?: boolean
}

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly stage?: Stage
  readonly load: Load
  readonly aims: readonly Aim[]
}

const payloadBytes = 64
const rate = (must: number, aim: number): Aim[] => [
  { figure: 'rate', better: 'more', against: 'beside', must, try: aim },
]
const bytes = (must: number, aim: number): Aim[] => [
  { figure: 'bytesEach', better: 'less', against: 'alone', must, try: aim },
]
const alone = (figure: string, must: number, aim: number): Aim => {
  return { figure, better: 'less', against: 'alone', must, try: aim }
}
const latency = (p50: readonly [number, number], p99: readonly [number, number]): Aim[] => [
  { figure: 'p50Ms', better: 'less', against: 'beside', must: p50[0], try: p50[1] },
  { figure: 'p99Ms', better: 'less', against: 'beside', must: p99[0], try: p99[1] },
]

/** QoS 1 and 2 by the 64 messages that are taken of a client at a time; QoS 0 by enough to keep the broker busy. */
const flow = (shape: Shape, qos: Qos, more: Partial<Flow> = {}): Load => ({
  load: 'flow',
  shape,
  qos,
  window: qos === 0 ? 256 : 64,
  write: 'all',
  payloadBytes,
  ...more,
})
const fanIn = (topicsEach: number): Shape => ({ is: 'fan-in', publishers: 50, topicsEach })
const fanOut: Shape = { is: 'fan-out', subscribers: 100 }
const pairs: Shape = { is: 'pairs', pairs: 50 }
const filters: Shape = { is: 'filters', filters: 100_000, clients: 50 }
/** Each message goes another way: with fewer under way nearly each were a write of its own. */
const FILTERS_WINDOW = 500
const kept = (how: Kept['how'], count: number, times: number): Load => ({
  load: 'kept',
  how,
  count,
  times,
  payloadBytes,
})
const durable = (subscriber: Durable['subscriber']): Load => {
  return { load: 'durable', subscriber, publishers: 50, window: 64, payloadBytes }
}
const durableAims: readonly Aim[] = [
  { figure: 'rate', better: 'more', against: 'alone', must: 20_000, try: 40_000 },
  { figure: 'ackP99Ms', better: 'less', against: 'alone', must: null, try: null },
  { figure: 'writtenEach', better: 'less', against: 'alone', must: null, try: null },
]
const across: Stage = { boxes: 2 }

export const scenarios: readonly Scenario[] = [
  {
    name: 'fan-in',
    title: 'fan-in QoS 0, 50 publishers to one subscriber, pipelined',
    load: flow(fanIn(1), 0),
    aims: rate(10, 20),
  },
  { name: 'fan-in-topics', title: 'the same, 20 topics each', load: flow(fanIn(20), 0), aims: rate(8, 15) },
  {
    name: 'fan-in-single',
    title: 'the same, one message per write',
    load: flow(fanIn(1), 0, { write: 'one' }),
    aims: rate(1.5, 2),
  },
  { name: 'fan-in-qos1', title: 'fan-in QoS 1, pipelined', load: flow(fanIn(1), 1), aims: rate(7, 14) },
  { name: 'fan-out', title: 'fan-out to 100 subscribers, QoS 0', load: flow(fanOut, 0), aims: rate(25, 40) },
  { name: 'fan-out-qos1', title: 'fan-out to 100 subscribers, QoS 1', load: flow(fanOut, 1), aims: rate(6, 9) },
  { name: 'pairs', title: '50 pairs QoS 0, pipelined', load: flow(pairs, 0), aims: rate(7, 10) },
  { name: 'pairs-qos1', title: '50 pairs QoS 1, pipelined', load: flow(pairs, 1), aims: rate(6, 10) },
  { name: 'pairs-qos2', title: '50 pairs QoS 2, pipelined', load: flow(pairs, 2), aims: rate(2.5, 6) },
  {
    name: 'lockstep',
    title: '50 pairs in lockstep, QoS 0',
    load: flow(pairs, 0, { window: 1 }),
    aims: rate(0.95, 1.1),
  },
  {
    name: 'lockstep-qos1',
    title: '50 pairs in lockstep, QoS 1',
    load: flow(pairs, 1, { window: 1 }),
    aims: rate(0.9, 1),
  },
  {
    name: 'filters',
    title: '100,000 filters (80 % exact, 15 % +, 5 % #), 100,000 topics at random',
    load: flow(filters, 0, { window: FILTERS_WINDOW }),
    aims: rate(6, 9),
  },
  {
    name: 'filters-churn',
    title: 'the same while 1,000 subscriptions a second come and go',
    load: flow(filters, 0, { window: FILTERS_WINDOW, churn: 1000 }),
    aims: rate(4, 6),
  },
  {
    name: 'stresser',
    title: '500 clients with 100 messages each, median receive rate of a client',
    load: { load: 'stresser', clients: 500, messagesEach: 100, qos: 0, payloadBytes },
    aims: rate(7, 12),
  },
  {
    name: 'connects',
    title: 'connects per second, anonymous',
    load: { load: 'connects', count: 5000 },
    aims: rate(0.5, 0.7),
  },
  {
    name: 'retained',
    title: '20,000 retained messages to a new # subscriber',
    load: kept('retained', 20_000, 3),
    aims: rate(3, 6),
  },
  {
    name: 'queued',
    title: '20,000 queued QoS 1 messages to a returning session',
    load: kept('queued', 20_000, 3),
    aims: rate(3, 5),
  },
  {
    name: 'latency',
    title: 'latency at 2,000 messages a second',
    load: { load: 'paced', perSecond: 2000, payloadBytes },
    aims: latency([1.2, 1.1], [2.5, 1.5]),
  },
  {
    name: 'latency-20k',
    title: 'latency at 20,000 messages a second',
    load: { load: 'paced', perSecond: 20_000, payloadBytes },
    aims: latency([1.2, 1.1], [4, 3]),
  },
  {
    name: 'idle',
    title: 'RSS per idle connection with one subscription, of 10,000',
    load: { load: 'idle', connections: 10_000 },
    aims: bytes(12_000, 8000),
  },
  {
    name: 'retained-bytes',
    title: 'RSS per retained message of 64 bytes, of 100,000',
    load: kept('retained', 100_000, 1),
    aims: bytes(800, 500),
  },
  {
    name: 'queued-bytes',
    title: 'RSS per queued message of 64 bytes, of 100,000',
    load: kept('queued', 100_000, 1),
    aims: bytes(600, 400),
  },
  {
    name: 'boxes-pairs',
    title: 'from box to box: 50 pairs QoS 0, pipelined',
    stage: across,
    load: flow(pairs, 0),
    aims: [alone('cpuUsEach', 4, 2.5)],
  },
  {
    name: 'boxes-pairs-qos1',
    title: 'from box to box: 50 pairs QoS 1, sessions that outlive their connections, copies in memory',
    stage: { boxes: 2, settings: ['store.durability=memory'] },
    load: flow(pairs, 1, { persistent: true }),
    aims: [alone('cpuUsEach', 14, 8)],
  },
  {
    name: 'boxes-fan-out',
    title: 'from box to box: fan-out to 100 subscribers, QoS 0, each delivery',
    stage: across,
    load: flow(fanOut, 0),
    aims: [alone('cpuUsEach', 0.5, 0.3)],
  },
  {
    name: 'boxes-latency',
    title: 'from box to box: latency at 2,000 messages a second',
    stage: across,
    load: { load: 'paced', perSecond: 2000, payloadBytes },
    aims: [alone('p50Times', 2, 1.5)],
  },
  {
    name: 'boxes-unwanted',
    title: 'a publish that nobody elsewhere wants, on the links of its box',
    stage: across,
    load: { load: 'unwanted', perSecond: 20_000, payloadBytes },
    aims: [alone('linkBytesEach', 1, 0.1)],
  },
  {
    name: 'durable-away',
    title: 'durability: QoS 1 to a persistent session that is away',
    stage: { persistence: true },
    load: durable('away'),
    aims: durableAims,
  },
  {
    name: 'durable-there',
    title: 'durability: QoS 1 to a persistent session that acknowledges at once',
    stage: { persistence: true },
    load: durable('there'),
    aims: durableAims,
  },
  {
    name: 'temper',
    title: '2,000 messages a second while 100,000 retained go to a new box, the store compacts, 5,000 connect',
    stage: { boxes: 1 },
    load: { load: 'temper', retained: 100_000, clients: 5000, perSecond: 2000, payloadBytes },
    aims: [alone('p99Ms', 20, 20), alone('heldMs', 50, 50)],
  },
  {
    name: 'quiet',
    title: 'idle in a cluster of three boxes, the busiest and the largest of them',
    stage: { boxes: 3 },
    load: { load: 'quiet', ...QUIET },
    aims: [alone('idlePercent', 0.5, 0.5), alone('rssMiB', 90, 75)],
  },
  {
    name: 'start',
    title: 'from start to ready, a box that was set up before',
    stage: { boxes: 1 },
    load: { load: 'start', times: 3 },
    aims: [alone('readyMs', 700, 400)],
  },
]

const scaled = (count: number, scale: number): number => Math.max(1, Math.round(count * scale))

/** The same with smaller numbers, to try whether everything runs: its figures mean nothing. */
export function smaller(load: Load, scale: number): Load {
  switch (load.load) {
    case 'flow':
      return load.shape.is === 'filters'
        ? {
            ...load,
            shape: { ...load.shape, filters: Math.max(load.shape.clients, scaled(load.shape.filters, scale)) },
          }
        : load
    case 'kept':
    case 'connects':
      return { ...load, count: scaled(load.count, scale) }
    case 'idle':
      return { ...load, connections: scaled(load.connections, scale) }
    case 'stresser':
      return { ...load, clients: scaled(load.clients, scale) }
    case 'paced':
    case 'unwanted':
    case 'durable':
      return load
    case 'quiet':
      return { ...load, lookMs: scaled(load.lookMs, scale) }
    case 'start':
      return { ...load, times: 1 }
    case 'temper':
      return { ...load, retained: scaled(load.retained, scale), clients: scaled(load.clients, scale) }
  }
}
