// The load of what must be on disk before it is acknowledged: QoS 1 to a session that outlives its connection, away or
// there and acknowledging at once.

import { Client } from './client.ts'
import { Ledger } from './ledger.ts'
import { type Job, type Outcome, pause, publishingPort, subscribingPort, Usage, until } from './measuring.ts'
import { type Form, form, stamp } from './mqtt.ts'
import { writtenBytes } from './process.ts'
import { percentile } from './statistics.ts'

export interface Durable {
  readonly subscriber: 'away' | 'there'
  readonly publishers: number
  /** Messages of a publisher that are not acknowledged yet. */
  readonly window: number
  readonly payloadBytes: number
}

const DRAIN_MS_MAX = 60_000
const DOUBLES_MS = 100
const SUBSCRIBER = 'durable-subscriber'

/** Its messages are acknowledged in the order in which they were sent. [MQTT-4.6.0-2] */
class Publisher {
  readonly #lane: number
  readonly #window: number
  readonly #form: Form
  readonly #sentMs: number[] = []
  #acknowledged = 0
  client!: Client
  publishing = true
  delays: number[] = []

  constructor(lane: number, { window }: Durable, message: Form) {
    this.#lane = lane
    this.#window = window
    this.#form = message
  }

  get sent(): number {
    return this.#sentMs.length
  }

  get underWay(): number {
    return this.sent - this.#acknowledged
  }

  acknowledged(): void {
    this.delays.push(performance.now() - this.#sentMs[this.#acknowledged++]!)
  }

  publish(): void {
    if (!this.publishing || this.underWay >= this.#window) return
    const nowMs = performance.now()
    const pieces: Buffer[] = []
    while (this.underWay < this.#window) {
      const bytes = Buffer.allocUnsafe(this.#form.bytes.length)
      const sequence = this.sent
      stamp(bytes, 0, this.#form, this.client.nextId(), { lane: this.#lane, sequence, sentMs: nowMs })
      pieces.push(bytes)
      this.#sentMs.push(nowMs)
    }
    this.client.write(Buffer.concat(pieces))
  }
}

/** All that was acknowledged is there at the end, for a subscriber that was away when it comes back. */
export async function runDurable(job: Job, durable: Durable): Promise<Outcome> {
  const ledger = new Ledger(durable.publishers)
  const onMessage = (bytes: Buffer, at: number) => ledger.got(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4))
  const open = () => Client.open(subscribingPort(job), job.version, SUBSCRIBER, { clean: false, onMessage })
  let subscriber = await open()
  await subscriber.subscribe(['durable/#'], 1)
  if (durable.subscriber === 'away') await subscriber.end()
  const publishers: Publisher[] = []
  for (let lane = 0; lane < durable.publishers; lane++) {
    const publisher = new Publisher(lane, durable, form(job.version, `durable/${lane}`, 1, false, durable.payloadBytes))
    publisher.client = await Client.open(publishingPort(job), job.version, `durable-${lane}`, {
      onAcknowledged: () => publisher.acknowledged(),
      // The first time it is CONNACK that has been read.
      onRead: () => publisher.sent > 0 && publisher.publish(),
    })
    publishers.push(publisher)
  }
  for (const publisher of publishers) publisher.publish()
  await pause(job.warmUpMs)
  for (const publisher of publishers) publisher.delays = []
  const usage = new Usage(job.pids)
  const bytesBefore = writtenBytes(job.pids[0]!)
  await pause(job.measureMs)
  const delays = publishers.flatMap((publisher) => publisher.delays)
  const used = usage.soFar()
  const written = writtenBytes(job.pids[0]!) - bytesBefore
  for (const publisher of publishers) publisher.publishing = false
  await until(() => publishers.every(({ underWay }) => underWay === 0), DRAIN_MS_MAX)
  if (durable.subscriber === 'away') subscriber = await open()
  const sent = publishers.reduce((all, publisher) => all + publisher.sent, 0)
  await until(() => ledger.received >= sent, DRAIN_MS_MAX)
  await pause(DOUBLES_MS)
  const problems = ledger.problems('subscriber', (lane) => publishers[lane]!.sent)
  for (const [lane, { underWay }] of publishers.entries()) {
    if (underWay !== 0) problems.push(`publisher ${lane}: ${underWay} not acknowledged`)
  }
  for (const { problem } of [subscriber, ...publishers.map(({ client }) => client)]) {
    if (problem !== null) problems.push(problem)
  }
  const figures = {
    rate: delays.length / (used.wallMs / 1000),
    ackP50Ms: percentile(delays, 0.5),
    ackP99Ms: percentile(delays, 0.99),
    writtenEach: written / Math.max(delays.length, 1),
  }
  return { ...used, messages: delays.length, figures, problems }
}
