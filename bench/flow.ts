// The load of throughput: publishers that keep a window of messages under way, as fast as these arrive.

import { Client } from './client.ts'
import { type Layout, layout, type Shape } from './lanes.ts'
import { Ledger } from './ledger.ts'
import { type Job, type Outcome, pause, publishingPort, subscribingPort, Usage, until } from './measuring.ts'
import { type Form, form, type Qos, stamp } from './mqtt.ts'

export interface Flow {
  readonly shape: Shape
  readonly qos: Qos
  /** Messages of a publisher that are under way: not yet acknowledged, or not yet with all receivers. */
  readonly window: number
  /** `all`: what there is room for at once; `one`: each message by a write of its own. */
  readonly write: 'all' | 'one'
  readonly payloadBytes: number
  /** Subscriptions a second that come and go beside the flow. */
  readonly churn?: number
  /** The subscribers' sessions outlive their connections, so that their messages are kept. */
  readonly persistent?: boolean
}

const DRAIN_MS_MAX = 30_000
/** What comes twice comes after the first. */
const DOUBLES_MS = 100
const FILTERS_OF_SUBSCRIBE = 500
/** So many filters come by one SUBSCRIBE, and so many of these are under way. */
const CHURN_FILTERS = 10
const CHURNING_MAX = 1000
/** Of what was to come and go; with less it is another scenario. */
const CHURN_PART_MIN = 0.9

/** Always the same topics, whichever broker it is. */
function chance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

class Publisher {
  readonly lanes: readonly number[]
  readonly #flow: Flow
  readonly #forms: readonly Form[]
  readonly #receivers: number
  readonly #sequences: Uint32Array
  readonly #random: (() => number) | null
  client!: Client
  sent = 0
  received = 0
  acknowledged = 0
  #turn = 0

  constructor(flow: Flow, plan: Layout, index: number, forms: readonly Form[], sequences: Uint32Array) {
    this.#flow = flow
    this.lanes = plan.publishers[index]!.lanes
    this.#forms = forms
    this.#receivers = flow.shape.is === 'fan-out' ? plan.subscribers.length : 1
    this.#sequences = sequences
    this.#random = plan.random ? chance(index + 1) : null
  }

  get underWay(): number {
    const arrived = Math.floor(this.received / this.#receivers)
    return this.sent - (this.#flow.qos === 0 ? arrived : Math.min(arrived, this.acknowledged))
  }

  /** Half a window at least, so that what is pipelined goes out in large pieces. */
  publish(): void {
    const room = this.#flow.window - this.underWay
    if (room * 2 < this.#flow.window) return
    const sentMs = performance.now()
    const lanes = Array.from({ length: room }, () => this.#next())
    const each = this.#flow.write === 'one' ? lanes.map((lane) => [lane]) : [lanes]
    for (const together of each) {
      let length = 0
      for (const lane of together) length += this.#forms[lane]!.bytes.length
      const bytes = Buffer.allocUnsafe(length)
      let at = 0
      for (const lane of together) {
        const form = this.#forms[lane]!
        const packetId = this.#flow.qos === 0 ? 0 : this.client.nextId()
        stamp(bytes, at, form, packetId, { lane, sequence: this.#sequences[lane]!++, sentMs })
        at += form.bytes.length
      }
      this.sent += together.length
      this.client.write(bytes)
    }
  }

  #next(): number {
    const { length } = this.lanes
    return this.lanes[this.#random === null ? this.#turn++ % length : Math.floor(this.#random() * length)]!
  }
}

/** So many come and go until it ends, however long an answer takes; resolves with how many a second it were. */
async function churn(client: Client, perSecond: number, ended: () => boolean): Promise<number> {
  const underWay = new Set<Promise<void>>()
  const comeAndGo = async (turn: number): Promise<void> => {
    const filters = Array.from({ length: CHURN_FILTERS }, (_, index) => `site/${index}/device/x${turn}`)
    await client.subscribe(filters, 0)
    await client.unsubscribe(filters)
  }
  const startMs = performance.now()
  let turn = 0
  for (; !ended(); await pause(2)) {
    const due = ((performance.now() - startMs) * perSecond) / 1000 / CHURN_FILTERS
    for (; turn < due && underWay.size < CHURNING_MAX; turn++) {
      const one = comeAndGo(turn).finally(() => underWay.delete(one))
      underWay.add(one)
    }
  }
  const seconds = (performance.now() - startMs) / 1000
  await Promise.all(underWay)
  return (turn * CHURN_FILTERS) / seconds
}

export async function runFlow(job: Job, flow: Flow): Promise<Outcome> {
  const { pids, version } = job
  const plan = layout(flow.shape)
  const forms = plan.topics.map((topic) => form(version, topic, flow.qos, false, flow.payloadBytes))
  const sequences = new Uint32Array(plan.topics.length)
  const publishers = plan.publishers.map((_, index) => new Publisher(flow, plan, index, forms, sequences))
  const publisherOf: Publisher[] = []
  for (const publisher of publishers) for (const lane of publisher.lanes) publisherOf[lane] = publisher

  let publishing = true
  let received = 0
  const due = new Set<Publisher>()
  const publishDue = () => {
    if (publishing) for (const publisher of due) publisher.publish()
    due.clear()
  }
  const ledgers: Ledger[] = []
  const clients: Client[] = []
  for (const [index, { filters }] of plan.subscribers.entries()) {
    const ledger = new Ledger(plan.topics.length)
    ledgers.push(ledger)
    const onMessage = (bytes: Buffer, at: number) => {
      const lane = bytes.readUInt32BE(at)
      ledger.got(lane, bytes.readUInt32BE(at + 4))
      received++
      const publisher = publisherOf[lane]
      if (publisher === undefined) return
      publisher.received++
      due.add(publisher)
    }
    const client = await Client.open(subscribingPort(job), version, `subscriber-${index}`, {
      clean: flow.persistent !== true,
      onMessage,
      onRead: publishDue,
    })
    clients.push(client)
    for (let at = 0; at < filters.length; at += FILTERS_OF_SUBSCRIBE) {
      await client.subscribe(filters.slice(at, at + FILTERS_OF_SUBSCRIBE), flow.qos)
    }
  }
  for (const [index, publisher] of publishers.entries()) {
    const onAcknowledged = () => {
      publisher.acknowledged++
      due.add(publisher)
    }
    publisher.client = await Client.open(publishingPort(job), version, `publisher-${index}`, {
      onAcknowledged,
      onRead: publishDue,
    })
    clients.push(publisher.client)
  }
  const churner = flow.churn === undefined ? null : await Client.open(subscribingPort(job), version, 'churner')
  const churning = churner === null ? null : churn(churner, flow.churn!, () => !publishing)

  for (const publisher of publishers) publisher.publish()
  await pause(job.warmUpMs)
  const before = received
  const usage = new Usage(pids)
  await pause(job.measureMs)
  const messages = received - before
  const used = usage.soFar()
  publishing = false
  const churnRate = (await churning) ?? 0
  await until(() => publishers.every(({ underWay }) => underWay === 0), DRAIN_MS_MAX)
  await pause(DOUBLES_MS)
  if (churner !== null) clients.push(churner)

  const rate = messages / (used.wallMs / 1000)
  const cpuUsEach = (used.brokerCpuMs * 1000) / Math.max(messages, 1)
  const figures = churner === null ? { rate, cpuUsEach } : { rate, cpuUsEach, churnRate }
  const problems = ledgers.flatMap((ledger, index) => {
    const { lanes } = plan.subscribers[index]!
    return ledger.problems(`subscriber ${index}`, (lane) => (lanes.has(lane) ? sequences[lane]! : 0))
  })
  for (const [index, { sent, acknowledged }] of publishers.entries()) {
    const lacking = flow.qos === 0 ? 0 : sent - acknowledged
    if (lacking !== 0) problems.push(`publisher ${index}: ${lacking} not acknowledged`)
  }
  if (churnRate < CHURN_PART_MIN * (flow.churn ?? 0)) {
    problems.push(`${Math.round(churnRate)} subscriptions a second came and went instead of ${flow.churn}`)
  }
  for (const client of clients) if (client.problem !== null) problems.push(client.problem)
  return { ...used, messages, figures, problems }
}
