// Values for the tests of the broker's parts.

import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { Delivery, NO_IDS } from '../../../src/broker/delivery.ts'
import { EMPTY, type Message, type QoS } from '../../../src/wire/message.ts'

export function message(payload: string, changes: Partial<Message> = {}): Message {
  return {
    origin: { node: '00000000000000aa' as NodeId, incarnation: 1 },
    counter: 1,
    topic: 't',
    qos: 1,
    retain: false,
    payload: Buffer.from(payload),
    properties: EMPTY,
    expiresAt: Number.POSITIVE_INFINITY,
    publisher: 'p' as ClientId,
    ...changes,
  }
}

export const delivery = (payload: string, qos: QoS = 1): Delivery =>
  new Delivery(message(payload, { qos }), qos, false, NO_IDS)
