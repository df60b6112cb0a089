// What a simulated client is, and what it may be asked to do.

import type { Endpoint } from '../../src/base/ports/streams.ts'
import type { PublishProperties } from './publish.ts'

export interface ClientPlan {
  readonly id: string
  readonly version: 4 | 5
  /** False: the session outlives its connections. */
  readonly clean: boolean
  /** Topic Alias Maximum that it offers. */
  readonly topicAliases: number
  /** Seconds; 0: none. */
  readonly keepAliveSec: number
  /** Milliseconds it takes its time before it acknowledges. */
  readonly ackAfterMs: number
  /** Whether it leaves a will to `wills/ID`. */
  readonly will: boolean
  /** It says at `status/ID` that it is there, and has a will for the same topic, retained both. */
  readonly status?: { readonly delaySec: number }
}

/** Where a client connects: one run of a node. */
export interface Target {
  readonly node: number
  readonly run: number
  readonly endpoint: Endpoint
  /** A new session, whatever was there. */
  readonly cleanStart?: boolean
}

export interface SubscribeWish {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly id: number | null
}

export interface PublishWish {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** 0: it removes what is retained. */
  readonly payloadBytes: number
  readonly properties: PublishProperties
  readonly expirySec: number | null
  readonly alias: boolean
}
