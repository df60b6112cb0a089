// Whether a paced flow is kept waiting while much else is done: 100,000 retained messages go to a new box, the store
// compacts, and thousands of clients connect at once.

import { Box } from './boxes.ts'
import { fillRetained } from './bursts.ts'
import { Client } from './client.ts'
import { each, type Job, type Outcome, pause, publishingPort, Usage, until } from './measuring.ts'
import { PacedFlow } from './paced.ts'
import { percentile } from './statistics.ts'

export interface Temper {
  readonly retained: number
  readonly clients: number
  readonly perSecond: number
  readonly payloadBytes: number
}

const AT_ONCE = 500
const PORT_FROM = 50
const ALL_MS_MAX = 60_000
const LOOK_MS = 50
/** How often somebody asks whether the loop is free. */
const ASK_MS = 5

/** The longest that a PINGREQ waited for its answer. */
class Asker {
  #client!: Client
  #askedMs = 0
  #waits = false
  #timer: NodeJS.Timeout | null = null
  longestMs = 0

  async start(job: Job): Promise<void> {
    this.#client = await Client.open(publishingPort(job), job.version, 'asker', {
      onPong: () => {
        this.#waits = false
        this.longestMs = Math.max(this.longestMs, performance.now() - this.#askedMs)
      },
    })
    this.#timer = setInterval(() => {
      if (this.#waits) return
      this.#waits = true
      this.#askedMs = performance.now()
      this.#client.ping()
    }, ASK_MS)
  }

  async end(): Promise<string[]> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await until(() => !this.#waits, ALL_MS_MAX)
    const problems = this.#client.problem === null ? [] : [this.#client.problem]
    await this.#client.end()
    return problems
  }
}

/** The new box runs on the core of this load, which hardly works meanwhile. */
export async function runTemper(job: Job, { retained, clients, perSecond, payloadBytes }: Temper): Promise<Outcome> {
  // Written twice, so that half of what is on disk is out of date.
  const problems = await fillRetained(job, retained, payloadBytes)
  problems.push(...(await fillRetained(job, retained, payloadBytes)))
  const flow = new PacedFlow({ perSecond, payloadBytes })
  await flow.start(publishingPort(job), publishingPort(job), job.version, payloadBytes)
  const asker = new Asker()
  await asker.start(job)
  await pause(job.warmUpMs)
  const before = flow.delays()
  asker.longestMs = 0

  const usage = new Usage(job.pids)
  const port = publishingPort(job) + PORT_FROM
  const crowd: Client[] = []
  const connect = each(clients, AT_ONCE, async (index) => {
    try {
      crowd.push(await Client.open(publishingPort(job), job.version, `crowd-${index}`))
    } catch (error) {
      problems.push((error as Error).message)
    }
  })
  const box = await Box.start({ port, peers: [publishingPort(job)], like: job.directories[0]!, core: null })
  await connect
  for (const endMs = performance.now() + ALL_MS_MAX; (await box.status()).retained < retained; await pause(LOOK_MS)) {
    if (performance.now() < endMs) continue
    problems.push(`the new box has ${(await box.status()).retained} retained messages of ${retained}`)
    break
  }
  const delays = flow.delays()
  const used = usage.soFar()
  problems.push(...(await asker.end()), ...(await flow.end()))
  for (const { problem } of crowd) if (problem !== null) problems.push(problem)
  await box.stop()
  const figures = {
    p99Ms: percentile(delays, 0.99),
    heldMs: asker.longestMs,
    beforeP99Ms: percentile(before, 0.99),
  }
  return { ...used, messages: delays.length, figures, problems: problems.slice(0, 10) }
}
