// The retained message of a topic, as the store keeps it and as boxes give it to each other.
//
//   record   topic u16+utf8 | stamp 16 | 0 removed or expired, or 1 . length u32 . value
//   value    flags u8 | node 8 | incarnation u48 | counter u48 | left u48 | publisher u16+utf8
//            | properties u32+bytes | payload u32+bytes | will of 16
//
// flags: bits 0-1 QoS, bit 3 it expires, bit 4 it is the will of a client whose box was gone, and whose CONNECT's stamp
// stands at the end; left: milliseconds until then, else zero. A value may be longer than its reader
// knows.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { ClientId, NodeId } from '../../base/ids.ts'
import type { Stamp } from '../../base/stamps.ts'
import { EMPTY, type Message, type QoS } from '../message.ts'
import { leftMs } from './message.ts'
import { putStamp, takeStamp } from './shared.ts'

const QOS_BITS = 0x03
const EXPIRES = 0x08
const WILL = 0x10

export interface StoredRetained {
  readonly topic: string
  readonly stamp: Stamp
  /** Null: removed, or expired. */
  readonly message: Message | null
}

export function writeRetained(into: ByteWriter, { topic, stamp, message }: StoredRetained, nowMs: number): void {
  putStamp(into.text(topic), stamp).u8(message === null ? 0 : 1)
  if (message === null) return
  const value = retainedValue(message, nowMs)
  into.u32(value.length).raw(value)
}

/** `countedFromMs`: the moment on our monotonic clock that what is left counts from. Null: it cannot be read. */
export function readRetained(body: Buffer, countedFromMs: number): StoredRetained | null {
  const reader = new ByteReader(body)
  const topic = reader.text()
  const stamp = takeStamp(reader)
  const mark = reader.u8()
  if (reader.broken || stamp === null || topic === '') return null
  if (mark === 0) return { topic, stamp, message: null }
  const message = readRetainedValue(topic, stamp, reader.view(reader.u32()), countedFromMs)
  return message === null ? null : { topic, stamp, message }
}

export function retainedValue(message: Message, nowMs: number): Buffer {
  const { payload, properties, publisher, willOf } = message
  const expires = message.expiresAt !== Number.POSITIVE_INFINITY
  const writer = new ByteWriter(60 + publisher.length + properties.length + payload.length)
    .u8(message.qos | (expires ? EXPIRES : 0) | (willOf === undefined ? 0 : WILL))
    .id(message.origin.node)
    .u48(message.origin.incarnation)
    .u48(message.counter)
    .u48(expires ? leftMs(message.expiresAt, nowMs) : 0)
    .text(publisher)
    .u32(properties.length)
    .raw(properties)
    .u32(payload.length)
    .raw(payload)
  if (willOf !== undefined) putStamp(writer, willOf)
  return writer.done()
}

/** Copies what it keeps. Null: it cannot be read. */
export function readRetainedValue(topic: string, stamp: Stamp, value: Buffer, countedFromMs: number): Message | null {
  const reader = new ByteReader(value)
  const flags = reader.u8()
  const origin = { node: reader.id<NodeId>(), incarnation: reader.u48() }
  const counter = reader.u48()
  const left = reader.u48()
  const publisher = reader.text() as ClientId
  const properties = own(reader.view(reader.u32()))
  const payload = own(reader.view(reader.u32()))
  const willOf = (flags & WILL) === 0 ? null : takeStamp(reader)
  const qos = flags & QOS_BITS
  if (reader.broken || qos === 3 || payload.length === 0) return null
  const expiresAt = (flags & EXPIRES) === 0 ? Number.POSITIVE_INFINITY : countedFromMs + left
  const message = {
    origin,
    counter,
    topic,
    qos: qos as QoS,
    retain: true,
    payload,
    properties,
    expiresAt,
    publisher,
    stamp,
  }
  return willOf === null ? message : { ...message, willOf }
}

const own = (bytes: Buffer): Buffer => (bytes.length === 0 ? EMPTY : Buffer.from(bytes))
