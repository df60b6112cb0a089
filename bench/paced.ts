// The load of latency: a flow of so many messages a second from one client to another, and how long each takes.

import { Client } from './client.ts'
import { Ledger } from './ledger.ts'
import { type Job, type Outcome, pause, publishingPort, subscribingPort, Usage, until } from './measuring.ts'
import { form, stamp, type Version } from './mqtt.ts'
import { percentile } from './statistics.ts'

export interface Paced {
  readonly perSecond: number
  readonly payloadBytes: number
}

const DRAIN_MS_MAX = 30_000
const DOUBLES_MS = 100

/** QoS 0, each message by a write of its own; what a late timer missed is sent at once. */
export class PacedFlow {
  readonly #ledger = new Ledger(1)
  readonly #perSecond: number
  #clients: readonly Client[] = []
  #delays: number[] = []
  #timer: NodeJS.Timeout | null = null
  #sent = 0

  constructor({ perSecond }: Paced) {
    this.#perSecond = perSecond
  }

  async start(from: number, to: number, version: Version, payloadBytes: number): Promise<void> {
    const onMessage = (bytes: Buffer, at: number) => {
      this.#delays.push(performance.now() - bytes.readDoubleBE(at + 8))
      this.#ledger.got(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4))
    }
    const reader = await Client.open(to, version, 'reader', { onMessage })
    await reader.subscribe(['paced'], 0)
    const writer = await Client.open(from, version, 'writer')
    this.#clients = [reader, writer]
    const message = form(version, 'paced', 0, false, payloadBytes)
    const startMs = performance.now()
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) * this.#perSecond) / 1000)
      for (; this.#sent < due; this.#sent++) {
        const bytes = Buffer.allocUnsafe(message.bytes.length)
        stamp(bytes, 0, message, 0, { lane: 0, sequence: this.#sent, sentMs: performance.now() })
        writer.write(bytes)
      }
    }, 1)
  }

  /** What the messages took that have come since it was asked last. */
  delays(): number[] {
    const delays = this.#delays
    this.#delays = []
    return delays
  }

  /** Ends it, when all that was sent has come; resolves with what went wrong. */
  async end(): Promise<string[]> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await until(() => this.#ledger.received >= this.#sent, DRAIN_MS_MAX)
    await pause(DOUBLES_MS)
    const problems = this.#ledger.problems('reader', () => this.#sent)
    for (const { problem } of this.#clients) if (problem !== null) problems.push(problem)
    await Promise.all(this.#clients.map((client) => client.end()))
    return problems
  }
}

type Timed = Omit<Outcome, 'figures'> & { readonly delays: readonly number[] }

async function timed(job: Job, paced: Paced, from: number, to: number): Promise<Timed> {
  const flow = new PacedFlow(paced)
  await flow.start(from, to, job.version, paced.payloadBytes)
  await pause(job.warmUpMs)
  flow.delays()
  const usage = new Usage(job.pids)
  await pause(job.measureMs)
  const delays = flow.delays()
  const used = usage.soFar()
  return { ...used, delays, messages: delays.length, problems: await flow.end() }
}

/** Where there are several boxes, from the first to the last, beside the same flow within the first. */
export async function runPaced(job: Job, paced: Paced): Promise<Outcome> {
  const [from, to] = [publishingPort(job), subscribingPort(job)]
  const within = from === to ? null : await timed(job, paced, from, from)
  const { delays, ...rest } = await timed(job, paced, from, to)
  const figures = { p50Ms: percentile(delays, 0.5), p99Ms: percentile(delays, 0.99) }
  if (within === null) return { ...rest, figures }
  const p50Times = figures.p50Ms / percentile(within.delays, 0.5)
  return { ...rest, figures: { ...figures, p50Times }, problems: [...within.problems, ...rest.problems] }
}
