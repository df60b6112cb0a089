// The load of latency: a flow of so many messages a second from one client to another, and how long each takes.

import { Client } from './client.ts'
import { Ledger } from './ledger.ts'
import { type Job, type Outcome, pause, Usage, until } from './measuring.ts'
import { form, stamp } from './mqtt.ts'
import { percentile } from './statistics.ts'

export interface Paced {
  readonly perSecond: number
  readonly payloadBytes: number
}

const DRAIN_MS_MAX = 30_000
const DOUBLES_MS = 100

/** QoS 0, each message by a write of its own; what a late timer missed is sent at once. */
export async function runPaced(job: Job, { perSecond, payloadBytes }: Paced): Promise<Outcome> {
  const ledger = new Ledger(1)
  let delays: number[] = []
  const onMessage = (bytes: Buffer, at: number) => {
    delays.push(performance.now() - bytes.readDoubleBE(at + 8))
    ledger.got(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4))
  }
  const reader = await Client.open(job.port, job.version, 'reader', { onMessage })
  await reader.subscribe(['paced'], 0)
  const writer = await Client.open(job.port, job.version, 'writer')
  const message = form(job.version, 'paced', 0, false, payloadBytes)
  const startMs = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * perSecond) / 1000)
    for (; sent < due; sent++) {
      const bytes = Buffer.allocUnsafe(message.bytes.length)
      stamp(bytes, 0, message, 0, { lane: 0, sequence: sent, sentMs: performance.now() })
      writer.write(bytes)
    }
  }, 1)
  await pause(job.warmUpMs)
  delays = []
  const usage = new Usage(job.pid)
  await pause(job.measureMs)
  const measured = delays
  const used = usage.soFar()
  clearInterval(timer)
  await until(() => ledger.received >= sent, DRAIN_MS_MAX)
  await pause(DOUBLES_MS)
  const problems = ledger.problems('reader', () => sent)
  for (const { problem } of [reader, writer]) if (problem !== null) problems.push(problem)
  const figures = { p50Ms: percentile(measured, 0.5), p99Ms: percentile(measured, 0.99) }
  return { ...used, messages: measured.length, figures, problems }
}
