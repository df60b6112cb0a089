// Whether a paced flow is kept waiting while much else is done: 100,000 retained messages go to a new box, the store
// compacts, and thousands of clients connect at once.

import { type ChildProcess, fork } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { Box } from './boxes.ts'
import { fillRetained } from './bursts.ts'
import { Client } from './client.ts'
import { type Job, type Outcome, pause, publishingPort, Usage, until } from './measuring.ts'
import { PacedFlow } from './paced.ts'
import { percentile } from './statistics.ts'

export interface Temper {
  readonly retained: number
  readonly clients: number
  readonly perSecond: number
  readonly payloadBytes: number
}

/** Of what works beside those who measure. */
const LOW = constants.priority.PRIORITY_BELOW_NORMAL
const PORT_FROM = 50
const ALL_MS_MAX = 60_000
const LOOK_MS = 50
/** How often somebody asks whether the loop is free. */
const ASK_MS = 5

/** Connects from a process of its own, of low priority, and stays. */
class Crowd {
  readonly #child: ChildProcess
  readonly connected: Promise<string[]>

  constructor(job: Job, clients: number) {
    const program = join(import.meta.dirname, 'crowd.js')
    this.#child = fork(program, [`${publishingPort(job)}`, `${job.version}`, `${clients}`])
    setPriority(this.#child.pid!, LOW)
    this.connected = this.#heard()
  }

  /** Resolves with what went wrong with any of them. */
  end(): Promise<string[]> {
    const heard = this.#heard()
    this.#child.send('end')
    return heard
  }

  #heard(): Promise<string[]> {
    return new Promise((done, failed) => {
      this.#child.once('message', (said) => done(said as string[]))
      this.#child.once('exit', (status) => failed(new Error(`the crowd ended with ${status}`)))
    })
  }
}

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

/** The new box and the crowd run on the core of this load, which comes first there. */
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
  const crowd = new Crowd(job, clients)
  const box = await Box.start({ port, peers: [publishingPort(job)], like: job.directories[0]!, core: null, low: true })
  problems.push(...(await crowd.connected))
  for (const endMs = performance.now() + ALL_MS_MAX; (await box.status()).retained < retained; await pause(LOOK_MS)) {
    if (performance.now() < endMs) continue
    problems.push(`the new box has ${(await box.status()).retained} retained messages of ${retained}`)
    break
  }
  const delays = flow.delays()
  const used = usage.soFar()
  problems.push(...(await asker.end()), ...(await flow.end()))
  problems.push(...(await crowd.end()))
  await box.stop()
  const figures = {
    p99Ms: percentile(delays, 0.99),
    heldMs: asker.longestMs,
    beforeP99Ms: percentile(before, 0.99),
  }
  return { ...used, messages: delays.length, figures, problems: problems.slice(0, 10) }
}
