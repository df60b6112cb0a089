// What an operator may ask of the retained messages: which there are, what they say, and that they go.

import type { ClientId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Publisher } from './publish.ts'
import type { RetainedMessages } from './retained.ts'

export interface RetainedRow {
  readonly topic: string
  readonly qos: number
  /** Bytes of the payload. */
  readonly bytes: number
  /** The client that published it. */
  readonly publisher: string
  /** When, in milliseconds since 1970 as the cluster sees it. */
  readonly writtenMs: number
  /** What is left of its expiry; null: it does not expire. */
  readonly expiresInMs: number | null
}

export interface RetainedPage<Row> {
  /** Matching topics in all. */
  readonly total: number
  readonly rows: readonly Row[]
}

/** Removed in one turn: each goes round its subscribers and to every member. */
const REMOVED_PER_TURN = 256
const OPERATOR = 'edge-mqtt retained remove' as ClientId

export class RetainedDesk {
  readonly #clock: Clock
  readonly #retained: RetainedMessages
  readonly #publisher: Publisher

  constructor(clock: Clock, retained: RetainedMessages, publisher: Publisher) {
    this.#clock = clock
    this.#retained = retained
    this.#publisher = publisher
  }

  /** Those that a filter matches, at most `max` after the first `skip`. */
  list(filter: string, skip: number, max: number): RetainedPage<RetainedRow> {
    const found = this.#retained.match(filter)
    const nowMs = this.#clock.now()
    const rows = found.slice(skip, skip + max).map(({ topic, stamp, message }): RetainedRow => {
      const { qos, payload, publisher, expiresAt } = message!
      const expiresInMs = expiresAt === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.round(expiresAt - nowMs))
      return { topic, qos, bytes: payload.length, publisher, writtenMs: stamp.wallMs, expiresInMs }
    })
    return { total: found.length, rows }
  }

  /** The payload that a topic has now; null: it has none. Not to be changed. */
  payload(topic: string): Buffer | null {
    return this.#retained.get(topic)?.message?.payload ?? null
  }

  /** Removes what the filter matches now, as a client does that publishes nothing; `done` gets how many that were. */
  remove(filter: string, done: (count: number) => void): void {
    const topics = this.#retained.match(filter).map(({ topic }) => topic)
    let at = 0
    const step = () => {
      const until = Math.min(topics.length, at + REMOVED_PER_TURN)
      for (; at < until; at++) this.#publisher.empty(topics[at]!, OPERATOR)
      if (at < topics.length) this.#clock.soon(step)
      else done(topics.length)
    }
    step()
  }
}
