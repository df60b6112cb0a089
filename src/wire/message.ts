// An application message on its way through the broker: one value, shared by everyone who receives, queues, keeps or
// forwards it. Its properties stay the bytes they came in, so that their order and content cannot change on the way.

import type { ClientId, NodeId } from '../base/ids.ts'
import type { Stamp } from '../base/stamps.ts'

export type QoS = 0 | 1 | 2

/** Where message ids are counted: a node in one run of its store (CLUSTER 5). One object per node run, shared. */
export interface Origin {
  readonly node: NodeId
  /** The origin's incarnation: greater after every restart. */
  readonly incarnation: number
}

export interface Message {
  /** The id of a QoS 1 or 2 message is (origin, counter), kept in every queue, copy and record; counter 0: QoS 0. */
  readonly origin: Origin
  readonly counter: number
  readonly topic: string
  readonly qos: QoS
  /** The publisher's RETAIN flag. */
  readonly retain: boolean
  readonly payload: Buffer
  /**
   * MQTT 5 properties that pass through unaltered, as encoded, without their length: payload format, content type,
   * response topic, correlation data, user properties in order. Topic alias, subscription identifiers and message
   * expiry are never among them.
   */
  readonly properties: Buffer
  /** Monotonic milliseconds of this node's clock after which it is expired; Infinity: never. */
  readonly expiresAt: number
  /** For No Local, across boxes too. */
  readonly publisher: ClientId
  /** Of a retained message: which of a topic's is the latest, whatever way they came. Null: it is not retained. */
  readonly stamp: Stamp | null
  /** Of a will that was published because its client's box was gone: the stamp of the client's CONNECT. */
  readonly willOf?: Stamp
}

/**
 * Whether a message from a member may have come before, another way. 'handed': likewise, and it was on its way to another
 * box, so that it is for sessions that have come from there.
 */
export type Late = false | 'late' | 'handed'

/** No bytes: the payload or properties of a message that has none. */
export const EMPTY = Buffer.alloc(0)

/** The message's id as a text, for maps and logs. */
export const messageIdText = (message: Message): string =>
  `${message.origin.node}.${message.origin.incarnation}.${message.counter}`
