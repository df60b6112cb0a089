// Loads of a given number: messages that are kept and then fetched, connects, idle connections, and the five hundred
// clients of mqtt-stresser.

import { Client } from './client.ts'
import { Ledger } from './ledger.ts'
import {
  each,
  type Job,
  type Outcome,
  pause,
  publishingPort,
  rssOf,
  subscribingPort,
  together,
  Usage,
  type Used,
  until,
} from './measuring.ts'
import { form, type Qos, stamp } from './mqtt.ts'
import { median } from './statistics.ts'

const ALL_MS_MAX = 120_000
const DOUBLES_MS = 100
/** Memory that is on its way to be given back has time to go. */
const SETTLE_MS = 1000
/** Fewer than the 64 that a broker takes of a client at a time. */
const WINDOW = 50
/** So many fill, as each waits until what it has sent is on disk. */
const FILLERS = 20
const AT_ONCE = 100

const none: Pick<Outcome, 'messages' | 'problems'> = { messages: 0, problems: [] }

export interface Kept {
  readonly how: 'retained' | 'queued'
  readonly count: number
  /** They are fetched so often. */
  readonly times: number
  readonly payloadBytes: number
}

/** Where the messages of a filling go: a topic of its own for each retained one, one for all that are queued. */
interface Filling {
  readonly topicOf: (lane: number) => string
  readonly laneOf: (message: number) => number
  readonly lanes: number
}

const filling = ({ how, count }: Kept): Filling =>
  how === 'retained'
    ? { topicOf: (lane) => `kept/${lane % 100}/${lane}`, laneOf: (message) => message, lanes: count }
    : { topicOf: () => 'kept', laneOf: (message) => message % FILLERS, lanes: FILLERS }

/** One of the fillers publishes its share, QoS 1; resolves with what went wrong. */
async function fill(job: Job, kept: Kept, { topicOf, laneOf }: Filling, filler: number): Promise<string[]> {
  const share = Math.ceil((kept.count - filler) / FILLERS)
  let sent = 0
  let acknowledged = 0
  const more = () => {
    const pieces: Buffer[] = []
    for (; sent < share && sent - acknowledged < WINDOW; sent++) {
      const lane = laneOf(sent * FILLERS + filler)
      const message = form(job.version, topicOf(lane), 1, kept.how === 'retained', kept.payloadBytes)
      const sequence = kept.how === 'retained' ? 0 : sent
      stamp(message.bytes, 0, message, publisher.nextId(), { lane, sequence, sentMs: 0 })
      pieces.push(message.bytes)
    }
    if (pieces.length > 0) publisher.write(Buffer.concat(pieces))
  }
  const publisher: Client = await Client.open(publishingPort(job), job.version, `filler-${filler}`, {
    onAcknowledged: () => acknowledged++,
    // The first time it is CONNACK that has been read.
    onRead: () => sent > 0 && more(),
  })
  more()
  await until(() => acknowledged === share || publisher.problem !== null, ALL_MS_MAX)
  const problems = acknowledged === share ? [] : [`filler ${filler}: ${share - acknowledged} not acknowledged`]
  if (publisher.problem !== null) problems.push(publisher.problem)
  await publisher.end()
  return problems
}

/** So many retained messages, each under a topic of its own; resolves with what went wrong. */
export async function fillRetained(job: Job, count: number, payloadBytes: number): Promise<string[]> {
  const kept: Kept = { how: 'retained', count, times: 1, payloadBytes }
  const fillers = Array.from({ length: FILLERS }, (_, filler) => fill(job, kept, filling(kept), filler))
  return (await Promise.all(fillers)).flat()
}

/** Fetched by one client, whole and in order. */
async function fetch(job: Job, kept: Kept, sentOf: Uint32Array): Promise<Pick<Outcome, 'problems'> & { rate: number }> {
  const retained = kept.how === 'retained'
  const ledger = new Ledger(sentOf.length)
  let lastMs = 0
  const onMessage = (bytes: Buffer, at: number) => {
    ledger.got(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4))
    if (ledger.received === kept.count) lastMs = performance.now()
  }
  const startMs = performance.now()
  const fetcher = await Client.open(subscribingPort(job), job.version, 'fetcher', { clean: retained, onMessage })
  if (retained) await fetcher.subscribe(['#'], 0)
  await until(() => ledger.received >= kept.count || fetcher.problem !== null, ALL_MS_MAX)
  await pause(DOUBLES_MS)
  const problems = fetcher.problem === null ? [] : [fetcher.problem]
  problems.push(...ledger.problems('fetcher', (lane) => sentOf[lane]!))
  await fetcher.end()
  return { rate: kept.count / ((lastMs - startMs) / 1000), problems }
}

/** So many messages are kept by the broker, then fetched by one client; the median of so many times. */
export async function runKept(job: Job, kept: Kept): Promise<Outcome> {
  const retained = kept.how === 'retained'
  const plan = filling(kept)
  const sentOf = new Uint32Array(plan.lanes)
  for (let message = 0; message < kept.count; message++) sentOf[plan.laneOf(message)]!++
  if (!retained) {
    const absent = await Client.open(subscribingPort(job), job.version, 'fetcher', { clean: false })
    await absent.subscribe(['kept'], 1)
    await absent.end()
  }
  await pause(SETTLE_MS)
  const bytesBefore = rssOf(job)
  const problems: string[] = []
  const rates: number[] = []
  const used: Used[] = []
  let bytesEach = 0
  for (let time = 0; time < kept.times; time++) {
    if (time === 0 || !retained) {
      const fillers = Array.from({ length: FILLERS }, (_, filler) => fill(job, kept, plan, filler))
      problems.push(...(await Promise.all(fillers)).flat())
      await pause(SETTLE_MS)
    }
    if (time === 0) bytesEach = (rssOf(job) - bytesBefore) / kept.count
    const usage = new Usage(job.pids)
    const fetched = await fetch(job, kept, sentOf)
    used.push(usage.soFar())
    rates.push(fetched.rate)
    problems.push(...fetched.problems)
  }
  const messages = kept.count * kept.times
  return { ...together(used), messages, figures: { rate: median(rates), bytesEach }, problems }
}

export interface Connects {
  readonly count: number
}

/** Each connects, is accepted and goes. */
export async function runConnects(job: Job, { count }: Connects): Promise<Outcome> {
  const usage = new Usage(job.pids)
  const problems: string[] = []
  await each(count, AT_ONCE, async (index) => {
    try {
      const client = await Client.open(subscribingPort(job), job.version, `device-${index}`)
      await client.end()
    } catch (error) {
      problems.push((error as Error).message)
    }
  })
  const used = usage.soFar()
  const done = count - problems.length
  return { ...used, messages: done, figures: { rate: done / (used.wallMs / 1000) }, problems: problems.slice(0, 5) }
}

export interface Idle {
  readonly connections: number
}

/** What a connection with one subscription takes of the broker's memory. */
export async function runIdle(job: Job, { connections }: Idle): Promise<Outcome> {
  await pause(SETTLE_MS)
  const bytesBefore = rssOf(job)
  const usage = new Usage(job.pids)
  const clients: Client[] = []
  await each(connections, AT_ONCE, async (index) => {
    const client = await Client.open(subscribingPort(job), job.version, `device-${index}`)
    clients.push(client)
    await client.subscribe([`device/${index}/command`], 0)
  })
  await pause(SETTLE_MS)
  const used = usage.soFar()
  const bytesEach = (used.rssBytes - bytesBefore) / connections
  const problems = clients.flatMap(({ problem }) => (problem === null ? [] : [problem])).slice(0, 5)
  return { ...used, ...none, figures: { bytesEach }, problems }
}

export interface Stresser {
  readonly clients: number
  readonly messagesEach: number
  readonly qos: Qos
  readonly payloadBytes: number
}

/** Each publishes a burst to a topic of its own and receives it: the median of the clients' rates of receiving. */
export async function runStresser(job: Job, { clients, messagesEach, qos, payloadBytes }: Stresser): Promise<Outcome> {
  const ledgers = Array.from({ length: clients }, () => new Ledger(clients))
  const lastMs = new Float64Array(clients)
  const devices: Client[] = []
  let received = 0
  await each(clients, AT_ONCE, async (index) => {
    const onMessage = (bytes: Buffer, at: number) => {
      ledgers[index]!.got(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4))
      received++
      lastMs[index] = performance.now()
    }
    const device = await Client.open(subscribingPort(job), job.version, `device-${index}`, { onMessage })
    await device.subscribe([`stress/${index}`], qos)
    devices[index] = device
  })
  const usage = new Usage(job.pids)
  const startMs = devices.map((device, lane) => {
    const sentMs = performance.now()
    const message = form(job.version, `stress/${lane}`, qos, false, payloadBytes)
    const burst = Buffer.alloc(message.bytes.length * messagesEach)
    for (let sequence = 0; sequence < messagesEach; sequence++) {
      const packetId = qos === 0 ? 0 : device.nextId()
      stamp(burst, sequence * message.bytes.length, message, packetId, { lane, sequence, sentMs })
    }
    device.write(burst)
    return sentMs
  })
  await until(() => received >= clients * messagesEach, ALL_MS_MAX)
  const used = usage.soFar()
  await pause(DOUBLES_MS)
  const problems = ledgers.flatMap((ledger, index) =>
    ledger.problems(`device ${index}`, (lane) => (lane === index ? messagesEach : 0)),
  )
  for (const { problem } of devices) if (problem !== null) problems.push(problem)
  const rates = startMs.map((start, index) => messagesEach / (Math.max(lastMs[index]! - start, 0.001) / 1000))
  return { ...used, messages: received, figures: { rate: median(rates) }, problems }
}
