// A stored message, once however many sessions wait for it or retain it.
//
//   flags u8 | node 8 | incarnation u48 | counter u48 | left u48 | topic u16+utf8 | publisher u16+utf8
//   | properties u32+bytes | payload u32+bytes
//
// flags: bits 0-1 QoS, bit 2 RETAIN, bit 3 it expires; left: milliseconds until then, else zero.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { ClientId, NodeId } from '../../base/ids.ts'
import { EMPTY, type Message, type QoS } from '../message.ts'

const QOS_BITS = 0x03
const RETAIN = 0x04
const EXPIRES = 0x08
export const LEFT_MS_MAX = 0xffff_ffff_ffff

/** Milliseconds from `nowMs` to `atMs` as they fit 6 bytes. */
export const leftMs = (atMs: number, nowMs: number): number =>
  Math.min(LEFT_MS_MAX, Math.max(0, Math.ceil(atMs - nowMs)))

export function writeMessage(into: ByteWriter, message: Message, nowMs: number): void {
  const expires = message.expiresAt !== Number.POSITIVE_INFINITY
  into
    .u8(message.qos | (message.retain ? RETAIN : 0) | (expires ? EXPIRES : 0))
    .id(message.origin.node)
    .u48(message.origin.incarnation)
    .u48(message.counter)
    .u48(expires ? leftMs(message.expiresAt, nowMs) : 0)
    .text(message.topic)
    .text(message.publisher)
    .u32(message.properties.length)
    .raw(message.properties)
    .u32(message.payload.length)
    .raw(message.payload)
}

/** `countedFromMs`: the moment on our monotonic clock that what is left counts from. Null: it cannot be read. */
export function readMessage(body: Buffer, countedFromMs: number): Message | null {
  const reader = new ByteReader(body)
  const flags = reader.u8()
  const origin = { node: reader.id<NodeId>(), incarnation: reader.u48() }
  const counter = reader.u48()
  const left = reader.u48()
  const topic = reader.text()
  const publisher = reader.text() as ClientId
  const properties = own(reader.view(reader.u32()))
  const payload = own(reader.view(reader.u32()))
  const qos = flags & QOS_BITS
  if (reader.broken || qos === 3 || topic === '') return null
  return {
    origin,
    counter,
    topic,
    qos: qos as QoS,
    retain: (flags & RETAIN) !== 0,
    payload,
    properties,
    expiresAt: (flags & EXPIRES) === 0 ? Number.POSITIVE_INFINITY : countedFromMs + left,
    publisher,
    stamp: null,
  }
}

const own = (bytes: Buffer): Buffer => (bytes.length === 0 ? EMPTY : Buffer.from(bytes))
