// What the clients did and saw, in their own words. The checkers read this and nothing of the product's inside.

import type { PublishFields, PublishProperties } from './publish.ts'

/** One connection of one client to one run of one node. */
export interface Connection {
  readonly client: string
  readonly version: 4 | 5
  /** Index of the node, and which of its runs. */
  readonly node: number
  readonly run: number
  /** Counts over the whole world. */
  readonly number: number
  /** It asked for a new session. */
  readonly cleanStart: boolean
  /** Its session outlives it. */
  readonly persistent: boolean
  /** When CONNECT was sent; null: it never was. */
  askedAt: number | null
  /** When CONNACK came; null: not yet. */
  connectedAt: number | null
  sessionPresent: boolean
  closedAt: number | null
  /** The client has gone to connect elsewhere, and it is for the brokers to end this one; null: no such thing. */
  deserted: { endedAt: number | null; readonly lostTouch: () => boolean } | null
}

export interface Sent {
  /** Counts over the whole world; the payload begins with it. */
  readonly key: number
  readonly connection: Connection
  /** Where it was sent last, and when; `whole`: where its PUBLISH was, and not just its PUBREL. */
  again: { readonly connection: Connection; readonly at: number; readonly whole: Connection }
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly payload: Buffer
  readonly properties: PublishProperties
  readonly expirySec: number | null
  /** How often it was sent: once, and again over later connections while nobody acknowledged it. */
  times: number
  /** When it was sent first; a will: when its connection began, or broke. */
  at: number
  /** When PUBACK or PUBCOMP came, and its (or PUBREC's) reason. */
  ackedAt: number | null
  reason: number
  /**
   * A will is due when its connection breaks where the broker notices, and must not come after a DISCONNECT; one whose box
   * has died is for the others to see to.
   */
  will: null | 'waiting' | 'due' | 'discarded' | 'orphaned'
  /** How long a will is to wait at least. */
  readonly delayMs?: number
}

export interface Subscription {
  readonly client: string
  /** Where it was asked for. It ends with this connection when the session is clean, else with the session. */
  readonly connection: Connection
  readonly persistent: boolean
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly id: number | null
  readonly askedAt: number
  grantedAt: number | null
  /** When its end was asked for (UNSUBSCRIBE, a replacing SUBSCRIBE, the connection's or node's end)... */
  endAskedAt: number | null
  /** ...and when it was sure. */
  endedAt: number | null
}

export interface Received {
  readonly connection: Connection
  readonly key: number
  readonly fields: PublishFields
  /** The topic, aliases resolved. */
  readonly topic: string
  readonly at: number
}

export class Ledger {
  readonly connections: Connection[] = []
  readonly sent: Sent[] = []
  readonly subscriptions: Subscription[] = []
  readonly received: Received[] = []
  /** QoS 2 under a packet id that the client had not released: it takes that for a repetition, and never sees it. */
  readonly mistaken: Received[] = []
  readonly #removed = new Set<string>()
  /** What a client saw that no broker may do. */
  readonly complaints: string[] = []
  /** Set when tracing. */
  note: ((line: string) => void) | null = null

  /** Told in the same turn, of what a fault may be waiting for: a client is back at its session, a message acknowledged. */
  readonly ambushes = new Set<(what: 'back' | 'acknowledged', node: number) => void>()

  write(sent: Sent): void {
    this.sent.push(sent)
    if (sent.payload.length === 0) this.#removed.add(sent.topic)
  }

  tell(what: 'back' | 'acknowledged', node: number): void {
    for (const ambush of [...this.ambushes]) ambush(what, node)
  }

  /** Whether somebody has sent an empty payload to the topic: it has no number in it, so that nobody knows which it is. */
  removes(topic: string): boolean {
    return this.#removed.has(topic)
  }
}
