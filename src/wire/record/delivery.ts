// What binds a stored message to whom it is for.
//
//   delivery  session u48 | message u48 | form u8 | packet id u16 | count u8 | identifier u32 ...
//             | share u16+utf8 | filter u16+utf8           only with bit 5 of form
//   begun     session u48 | message u48 | packet id u16 | flags u8     a QoS 2 message between PUBLISH and PUBREL
//
// session, message: the ids of their records. form: bits 0-1 QoS, bit 2 RETAIN, bits 3-4 what it waits for: 0 it is
// queued (packet id 0), 1 PUBACK, 2 PUBREC, 3 PUBCOMP; bit 5: it came by a shared subscription, whose name and filter
// (without $share/name/) stand at the end. The order of a session's deliveries is that of their ids.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { QoS } from '../message.ts'

export type StoredAwaiting = 'queued' | 'puback' | 'pubrec' | 'pubcomp'
/** A flag of `begun`. */
const RELEASED = 0x01
const AWAITING: readonly StoredAwaiting[] = ['queued', 'puback', 'pubrec', 'pubcomp']
/** More subscriptions of one session than this do not match one topic with identifiers of their own. */
const IDENTIFIERS_MAX = 255
const SHARED = 0x20

/** `$share/` share `/` filter. */
export interface StoredShare {
  readonly share: string
  readonly filter: string
}

export interface StoredDelivery {
  readonly session: number
  readonly message: number
  readonly qos: QoS
  readonly retain: boolean
  readonly awaiting: StoredAwaiting
  readonly packetId: number
  readonly subscriptionIds: readonly number[]
  /** The shared subscription that chose the session; null: it has subscribed itself. */
  readonly share: StoredShare | null
}

export function writeDelivery(into: ByteWriter, delivery: StoredDelivery): void {
  const { qos, retain, awaiting, subscriptionIds, share } = delivery
  const count = Math.min(IDENTIFIERS_MAX, subscriptionIds.length)
  into
    .u48(delivery.session)
    .u48(delivery.message)
    .u8(qos | (retain ? 4 : 0) | (AWAITING.indexOf(awaiting) << 3) | (share === null ? 0 : SHARED))
    .u16(delivery.packetId)
    .u8(count)
  for (let index = 0; index < count; index++) into.u32(subscriptionIds[index]!)
  if (share !== null) into.text(share.share).text(share.filter)
}

export function readDelivery(body: Buffer): StoredDelivery | null {
  const reader = new ByteReader(body)
  const session = reader.u48()
  const message = reader.u48()
  const form = reader.u8()
  const packetId = reader.u16()
  const subscriptionIds = Array.from({ length: reader.u8() }, () => reader.u32())
  const share = (form & SHARED) === 0 ? null : { share: reader.text(), filter: reader.text() }
  const qos = form & 3
  const awaiting = AWAITING[(form >> 3) & 3]!
  if (reader.broken || qos === 3 || (awaiting === 'queued') !== (packetId === 0)) return null
  return { session, message, qos: qos as QoS, retain: (form & 4) !== 0, awaiting, packetId, subscriptionIds, share }
}

export interface StoredBegun {
  readonly session: number
  readonly message: number
  readonly packetId: number
  /** Its PUBREL has come: the sessions of this node have it, of all members that is not known. */
  readonly released: boolean
}

export function writeBegun(into: ByteWriter, begun: StoredBegun): void {
  into
    .u48(begun.session)
    .u48(begun.message)
    .u16(begun.packetId)
    .u8(begun.released ? RELEASED : 0)
}

export function readBegun(body: Buffer): StoredBegun | null {
  const reader = new ByteReader(body)
  const ids = { session: reader.u48(), message: reader.u48(), packetId: reader.u16() }
  const begun = { ...ids, released: (reader.u8() & RELEASED) !== 0 }
  return reader.broken || begun.packetId === 0 ? null : begun
}
