// Two devices with one client id: each that connects throws the other one out, for ever. It is told, with both
// addresses, and damped: from some takeovers a minute on, the one who comes has to wait for its CONNACK, ever longer.

import type { ClientId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import { type Endpoint, endpointText } from '../base/ports/streams.ts'
import type { Tally } from './tally.ts'

const MINUTE_MS = 60_000
/** Takeovers in a minute that are nobody's fault: a device on a bad network finds its own older connection. */
const CALM = 5
/** The wait after the first one too many, doubled with each further one up to the last. */
const WAIT_MS = { first: 250, last: 4000 } as const
/** Client ids watched at once, and takeovers remembered of each. */
const WATCHED_MAX = 256
const REMEMBERED = 32

interface Contest {
  /** Monotonic times of the last takeovers. */
  readonly times: number[]
  from: Endpoint
  by: Endpoint
  toldMs: number
}

/** How long the next one waits after so many takeovers in a minute. */
export const waitMs = (takeovers: number): number =>
  takeovers <= CALM ? 0 : Math.min(WAIT_MS.last, WAIT_MS.first * 2 ** (takeovers - CALM - 1))

export class Fights {
  readonly #clock: Clock
  readonly #log: Log
  readonly #tally: Tally
  /** The least recent takeover first. */
  readonly #contests = new Map<ClientId, Contest>()

  constructor(clock: Clock, log: Log, tally: Tally) {
    this.#clock = clock
    this.#log = log
    this.#tally = tally
  }

  /** The connection from `by` has ended the one from `from`. */
  takenOver(client: ClientId, from: Endpoint, by: Endpoint): void {
    const nowMs = this.#clock.now()
    const contest = this.#contests.get(client) ?? { times: [], from, by, toldMs: Number.NEGATIVE_INFINITY }
    contest.times.push(nowMs)
    if (contest.times.length > REMEMBERED) contest.times.shift()
    contest.from = from
    contest.by = by
    this.#contests.delete(client)
    this.#contests.set(client, contest)
    if (this.#contests.size > WATCHED_MAX) this.#contests.delete(this.#contests.keys().next().value!)
    const takeovers = within(contest, nowMs)
    if (takeovers <= CALM) return
    this.#tally.count('mqtt.fought-over')
    if (nowMs - contest.toldMs < MINUTE_MS) return
    contest.toldMs = nowMs
    const addresses = [endpointText(from), endpointText(by)]
    this.#log.warn({ client, addresses, takeovers }, 'client id fought over: two devices have the same one')
  }

  /** How long one who comes with this id, while another has it, waits for its CONNACK. */
  waitMs(client: ClientId, sessions: { get(client: ClientId): { readonly connection: unknown } | undefined }): number {
    const contest = this.#contests.get(client)
    if (!sessions.get(client)?.connection) return 0
    return contest === undefined ? 0 : waitMs(within(contest, this.#clock.now()))
  }

  /** What an operator should know of; `named`: who reads it may see client ids. */
  problems(named: boolean): readonly string[] {
    const nowMs = this.#clock.now()
    const found: string[] = []
    for (const [client, contest] of this.#contests) {
      const takeovers = within(contest, nowMs)
      if (takeovers <= CALM) continue
      const who = named ? `the client id ${JSON.stringify(client)}` : 'one client id'
      const [from, by] = [contest.from.address, contest.by.address]
      const where = from === by ? `both at ${from}` : `at ${from} and ${by}`
      found.push(`two devices fight over ${who}, ${where}: ${takeovers} takeovers in the last minute`)
    }
    return found
  }
}

const within = ({ times }: Contest, nowMs: number): number => times.filter((at) => nowMs - at < MINUTE_MS).length
