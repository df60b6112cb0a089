// A stored session and its subscriptions.
//
//   session       client u16+utf8 | flags u8 | expiry u32 | ends u48 | will at u48
//                 | account u16+utf8 | epoch 16 | listener u16+utf8
//                 | will: topic u16+utf8 | qos u8 | retain u8 | delay u32 | expiry u48 | properties u32+ | payload u32+
//   subscription  session u48 | filter u16+utf8 | options u8 | identifier u32 | since 16 . order u48
//   unsubscribed  session u48 | filter u16+utf8 | since 16 | order u48
//
// session flags: bit 0 the client is away, bit 1 it ends at a time, bit 2 there is a will, bit 3 the will has a time,
// bit 4 there is an account, bit 5 there is an epoch: the stamp of the CONNECT that the session last had, bit
// 6 there is a listener: where its client came in.
// ends, will at: milliseconds left. will expiry: seconds and one more, 0: never. identifier: and one more, 0: none.
// options: bits 0-1 QoS, bit 2 No Local, bit 3 Retain As Published, bit 4 there are since and order.
// since: the stamp of the CONNECT under which the client said so; order: it counts what it said there.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { ClientId } from '../../base/ids.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'
import type { QoS } from '../message.ts'
import type { WillPacket } from '../mqtt/packets.ts'
import { leftMs } from './message.ts'

const AWAY = 0x01
const ENDS = 0x02
const WILL = 0x04
const WILL_TIMED = 0x08
const ACCOUNT = 0x10
const EPOCH = 0x20
const LISTENER = 0x40
const NEVER = Number.POSITIVE_INFINITY

export interface StoredSession {
  readonly clientId: ClientId
  /** The account its client has proven to be; null: none. */
  readonly account: string | null
  readonly away: boolean
  readonly expirySec: number
  /** Monotonic milliseconds; Infinity: not by time. */
  readonly endsAt: number
  readonly willAt: number
  readonly will: WillPacket | null
  /** The stamp of its last CONNECT; null: from before it had a cluster to be known in. */
  readonly epoch: Stamp | null
  /** The listener its client came through, whose access rules may be of its own; null: not known. */
  readonly listener: string | null
}

export function writeSession(into: ByteWriter, session: StoredSession, nowMs: number): void {
  const { will, endsAt, willAt, account, epoch, listener } = session
  into
    .text(session.clientId)
    .u8(
      (session.away ? AWAY : 0) |
        (endsAt === NEVER ? 0 : ENDS) |
        (will === null ? 0 : WILL) |
        (willAt === NEVER ? 0 : WILL_TIMED) |
        (account === null ? 0 : ACCOUNT) |
        (epoch === null ? 0 : EPOCH) |
        (listener === null ? 0 : LISTENER),
    )
    .u32(session.expirySec)
    .u48(endsAt === NEVER ? 0 : leftMs(endsAt, nowMs))
    .u48(willAt === NEVER ? 0 : leftMs(willAt, nowMs))
  if (account !== null) into.text(account)
  if (epoch !== null) writeEpoch(into, epoch)
  if (listener !== null) into.text(listener)
  if (will !== null) writeWill(into, will)
}

export function writeWill(into: ByteWriter, will: WillPacket): void {
  into
    .text(will.topic)
    .u8(will.qos)
    .u8(will.retain ? 1 : 0)
    .u32(will.delaySec)
    .u48(will.expirySec === null ? 0 : will.expirySec + 1)
    .u32(will.properties.length)
    .raw(will.properties)
    .u32(will.payload.length)
    .raw(will.payload)
}

export function readSession(body: Buffer, countedFromMs: number): StoredSession | null {
  const reader = new ByteReader(body)
  const clientId = reader.text() as ClientId
  const flags = reader.u8()
  const expirySec = reader.u32()
  const ends = reader.u48()
  const willLeft = reader.u48()
  const account = (flags & ACCOUNT) === 0 ? null : reader.text()
  const epoch = (flags & EPOCH) === 0 ? null : readEpoch(reader)
  const listener = (flags & LISTENER) === 0 ? null : reader.text()
  const will = (flags & WILL) === 0 ? null : readWill(reader)
  if (reader.broken) return null
  return {
    clientId,
    account,
    away: (flags & AWAY) !== 0,
    expirySec,
    endsAt: (flags & ENDS) === 0 ? NEVER : countedFromMs + ends,
    willAt: (flags & WILL_TIMED) === 0 ? NEVER : countedFromMs + willLeft,
    will,
    epoch,
    listener,
  }
}

/** Copies what it keeps; whether it could be read, the reader says. */
export function readWill(reader: ByteReader): WillPacket {
  const topic = reader.text()
  const qos = Math.min(2, reader.u8()) as QoS
  const retain = reader.u8() === 1
  const delaySec = reader.u32()
  const expiry = reader.u48()
  const properties = Buffer.from(reader.view(reader.u32()))
  const payload = Buffer.from(reader.view(reader.u32()))
  return { topic, qos, retain, delaySec, expirySec: expiry === 0 ? null : expiry - 1, properties, payload }
}

export interface StoredSubscription {
  /** The record of its session. */
  readonly session: number
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number | null
  /** Null: from before it had a cluster. */
  readonly since: Stamp | null
  readonly order: number
}

export interface StoredUnsubscribed {
  /** The record of its session. */
  readonly session: number
  readonly filter: string
  readonly since: Stamp
  readonly order: number
}

export function writeSubscription(into: ByteWriter, subscription: StoredSubscription): void {
  const { qos, noLocal, retainAsPublished, identifier, since, order } = subscription
  into
    .u48(subscription.session)
    .text(subscription.filter)
    .u8(qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (since === null ? 0 : 16))
    .u32(identifier === null ? 0 : identifier + 1)
  if (since !== null) writeEpoch(into, since).u48(order)
}

export function readSubscription(body: Buffer): StoredSubscription | null {
  const reader = new ByteReader(body)
  const session = reader.u48()
  const filter = reader.text()
  const options = reader.u8()
  const identifier = reader.u32()
  const qos = options & 3
  const since = (options & 16) === 0 ? null : readEpoch(reader)
  const order = since === null ? 0 : reader.u48()
  if (reader.broken || qos === 3) return null
  return {
    session,
    filter,
    qos: qos as QoS,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    identifier: identifier === 0 ? null : identifier - 1,
    since,
    order,
  }
}

export function writeUnsubscribed(into: ByteWriter, { session, filter, since, order }: StoredUnsubscribed): void {
  writeEpoch(into.u48(session).text(filter), since).u48(order)
}

/** Null: it cannot be read. */
export function readUnsubscribed(body: Buffer): StoredUnsubscribed | null {
  const reader = new ByteReader(body)
  const session = reader.u48()
  const filter = reader.text()
  const since = readEpoch(reader)
  const order = reader.u48()
  return reader.broken || since === null ? null : { session, filter, since, order }
}

function writeEpoch(into: ByteWriter, epoch: Stamp): ByteWriter {
  const stamp = Buffer.allocUnsafe(STAMP_BYTES)
  writeStamp(epoch, stamp, 0)
  return into.raw(stamp)
}

/** Null: it is cut short. */
function readEpoch(reader: ByteReader): Stamp | null {
  const stamp = reader.view(STAMP_BYTES)
  return reader.broken ? null : readStamp(stamp, 0)
}
