// A message on its way to a session, in the form its subscriptions ask for. One value is shared by all sessions that get
// the same form, in queues and windows alike.

import type { Message, QoS } from '../wire/message.ts'
import { bounds } from './bounds.ts'
import type { Kept } from './ports.ts'
import type { ShareGroup } from './shared.ts'

/** What the next word about a message under way must be. */
export type Awaiting = 'puback' | 'pubrec' | 'pubcomp'

export const NO_IDS: readonly number[] = []

export class Delivery {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  /** Subscription identifiers of the subscriptions that matched, none for clients that gave none. */
  readonly subscriptionIds: readonly number[]
  /** The shared subscription that chose the session; null: it has subscribed itself. */
  readonly share: ShareGroup | null

  constructor(
    message: Message,
    qos: QoS,
    retain: boolean,
    subscriptionIds: readonly number[],
    share: ShareGroup | null = null,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.subscriptionIds = subscriptionIds
    this.share = share
  }

  /** Its record in the store; null: it has none. */
  get record(): Kept | null {
    return null
  }

  /** It has got a packet id, or waits for something else now; returns the position that makes this safe (keeping.ts). */
  moved(_awaiting: 'queued' | Awaiting, _packetId: number): number {
    return 0
  }

  /** Another node has been sent it for its share group: it is remembered here until it is safe there. */
  handedOn(): void {}

  /** The session is done with it; `replaced`: another one has it. */
  forget(_replaced = false): void {}

  /** What it counts against the byte bound of a queue. */
  get bytes(): number {
    const { topic, payload, properties } = this.message
    return topic.length + payload.length + properties.length + bounds.queuedOverheadBytes
  }
}

/** Whole seconds left of a message's expiry as told to a client; -1: it never expires. */
export function expiryLeftSec(message: Message, nowMs: number): number {
  if (message.expiresAt === Number.POSITIVE_INFINITY) return -1
  // What waited less than a second is passed on with the value it came with. In whole milliseconds: the clock counts in
  // fractions, and the last bit lost in adding and subtracting them must not make a second more. [MQTT-3.3.2-6]
  return Math.max(0, Math.ceil(Math.round(message.expiresAt - nowMs) / 1000))
}
