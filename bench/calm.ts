// What a cluster costs when nothing is asked of it, what a publish costs that nobody elsewhere wants, and how soon a box
// is there.

import { Box } from './boxes.ts'
import { Client } from './client.ts'
import { type Job, type Outcome, pause, publishingPort, Usage, until } from './measuring.ts'
import { form, stamp } from './mqtt.ts'
import { cpuMs, rssBytes, saidBytes } from './process.ts'

/** CPU time is counted in steps of 10 ms. */
const LOOK_MS = 20_000
/** What a start leaves behind is done by then. */
const SETTLE_MS = 5000
const TURN_MS = 10
const ANSWER_MS_MAX = 30_000
/** Far from those of the boxes that run already. */
const PORT_FROM = 50

export interface Quiet {
  readonly lookMs: number
}

/** The busiest and the largest of the boxes, with nobody connected. */
export async function runQuiet(job: Job, { lookMs }: Quiet): Promise<Outcome> {
  await pause(SETTLE_MS)
  const before = job.pids.map(cpuMs)
  const usage = new Usage(job.pids)
  await pause(lookMs)
  const used = usage.soFar()
  const percents = job.pids.map((pid, index) => (100 * (cpuMs(pid) - before[index]!)) / used.wallMs)
  const figures = {
    idlePercent: Math.max(...percents),
    rssMiB: Math.max(...job.pids.map(rssBytes)) / 2 ** 20,
  }
  return { ...used, messages: 0, figures, problems: [] }
}

export const QUIET: Quiet = { lookMs: LOOK_MS }

export interface Unwanted {
  readonly perSecond: number
  readonly payloadBytes: number
}

/** Messages without a subscriber anywhere: what the box writes beyond what it writes anyway, to whomever. */
export async function runUnwanted(job: Job, { perSecond, payloadBytes }: Unwanted): Promise<Outcome> {
  let acknowledged = 0
  const publisher = await Client.open(publishingPort(job), job.version, 'unheard', {
    onAcknowledged: () => acknowledged++,
  })
  const pid = job.pids[0]!
  await pause(SETTLE_MS)
  const idleFrom = saidBytes(pid)
  await pause(job.measureMs)
  const idle = saidBytes(pid) - idleFrom
  const message = form(job.version, 'nobody/wants/this', 0, false, payloadBytes)
  const usage = new Usage(job.pids)
  const from = saidBytes(pid)
  const startMs = performance.now()
  let sent = 0
  while (performance.now() - startMs < job.measureMs) {
    const due = Math.floor(((performance.now() - startMs) * perSecond) / 1000)
    for (; sent < due; sent++) {
      const bytes = Buffer.allocUnsafe(message.bytes.length)
      stamp(bytes, 0, message, 0, { lane: 0, sequence: sent, sentMs: 0 })
      publisher.write(bytes)
    }
    await pause(TURN_MS)
  }
  const linkBytesEach = Math.max(0, saidBytes(pid) - from - idle) / sent
  const used = usage.soFar()
  // What is acknowledged came behind all of it.
  const last = form(job.version, 'nobody/wants/this', 1, false, payloadBytes)
  stamp(last.bytes, 0, last, publisher.nextId(), { lane: 0, sequence: sent, sentMs: 0 })
  publisher.write(last.bytes)
  const problems = (await until(() => acknowledged === 1, ANSWER_MS_MAX)) ? [] : ['the messages were not taken']
  if (publisher.problem !== null) problems.push(publisher.problem)
  await publisher.end()
  return { ...used, messages: sent, figures: { linkBytesEach }, problems }
}

export interface Start {
  readonly times: number
}

/** From start to ready of a box of a cluster that was set up before: the last of so many times. */
export async function runStart(job: Job, { times }: Start): Promise<Outcome> {
  const usage = new Usage(job.pids)
  const port = publishingPort(job) + PORT_FROM
  const plan = { port, peers: [publishingPort(job)], like: job.directories[0]!, core: null }
  const first = await Box.start(plan)
  await first.stop(true)
  let readyMs = 0
  for (let time = 0; time < times; time++) {
    const box = await Box.start(plan, first.directory)
    readyMs = box.readyMs
    await box.linkedWith(job.ports.length)
    await box.stop(time < times - 1)
  }
  return { ...usage.soFar(), messages: 0, figures: { readyMs }, problems: [] }
}
