// Messages on their way from one member to another: many small ones in one batch, in order.
//
//   batch  1 | sequence u48 | item ...            sequence: of the first item, without gaps in each direction
//   late   5 | sequence u48 | item ...            the same, of messages that may have come before, another way
//   handed 8 | sequence u48 | item ...            late ones that were on their way to a box whose sessions go on here
//   item   flags u8 | topic u16+utf8 | publisher u16+utf8
//          | expiry u48                           flag 3: milliseconds that are left
//          | node 8 . incarnation u48 . counter u48      flag 4: the message id, of QoS 1 and 2
//          | extra u16+bytes                      flag 5: fields, each number u8, length u16, bytes
//          | length varint . properties           flag 6: MQTT 5 properties that pass through, as encoded
//          | payload u32+bytes
//
//   field 1: the stamp (16) of a retained message. Field 2: the share groups it is for (sharetargets.ts). Field 3: of
//   a will whose client's box was gone, the stamp (16) of the client's CONNECT. Others are passed over.
//
// flags: bits 0-1 QoS, bit 2 RETAIN, bits 3-6 as above, bit 7 zero. The publisher's client id is for No Local. Unknown
// kinds of message are skipped (2 to 4: taken.ts). Aliases never travel: the topic is always spelled out.

import { PeerError } from '../../base/errors.ts'
import { type ClientId, ID_BYTES, type NodeId, readId } from '../../base/ids.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'
import { parseTopicName } from '../../topic/name.ts'
import { EMPTY, type Late, type Message, type Origin, type QoS } from '../message.ts'
import { PASS_THROUGH, Property, PropertyCursor } from '../mqtt/properties.ts'
import { isMqttString } from '../mqtt/utf8.ts'
import { varintBytes, writeVarint } from '../mqtt/varint.ts'
import { isNodeLocal } from './routes.ts'
import { decodeTargets, FIELD_TARGETS, NO_TARGETS, type ShareTargets } from './sharetargets.ts'
import { TextCache } from './textcache.ts'

const BATCH = 1
const LATE_BATCH = 5
const HANDED_BATCH = 8
/** Bytes of a batch before its first item. */
export const BATCH_HEADER_BYTES = 7

const QOS_BITS = 0x03
const RETAIN = 0x04
const HAS_EXPIRY = 0x08
const HAS_ID = 0x10
const HAS_EXTRA = 0x20
const HAS_PROPERTIES = 0x40
const RESERVED = 0x80

/** Numbers of extra fields; only ever added. */
const FIELD_STAMP = 1
const FIELD_WILL = 3
const FIELD_HEADER_BYTES = 3
const EXTRA_HEADER_BYTES = 2
const STAMP_FIELD_BYTES = FIELD_HEADER_BYTES + STAMP_BYTES

const EXPIRY_BYTES = 6
const ORIGIN_BYTES = ID_BYTES + 6
const MESSAGE_ID_BYTES = ORIGIN_BYTES + 6
const EXPIRY_MS_MAX = 0xffff_ffff_ffff
/** More than any MQTT packet has left for a payload. */
const PAYLOAD_BYTES_MAX = 268_435_455

export function writeBatchHeader(into: Buffer, sequence: number, at = 0, late: Late = false): void {
  into[at] = late === false ? BATCH : late === 'late' ? LATE_BATCH : HANDED_BATCH
  into.writeUIntBE(sequence, at + 1, 6)
}

const lateOf = (kind: number | undefined): Late | null =>
  kind === BATCH ? false : kind === LATE_BATCH ? 'late' : kind === HANDED_BATCH ? 'handed' : null

export const isBatch = (bytes: Buffer): boolean => lateOf(bytes[0]) !== null

/** Texts as they stand in items: 2 bytes of length, then UTF-8. */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(2 + Buffer.byteLength(text))
  bytes.writeUInt16BE(bytes.length - 2, 0)
  bytes.write(text, 2)
  return bytes
}

/**
 * Bytes of the item for a message; `topic` and `publisher` as `encodeText` gives them, `targets` as `encodeTargets`:
 * empty: for no share group.
 */
export function itemBytes(message: Message, topic: Buffer, publisher: Buffer, targets: Buffer = EMPTY): number {
  let length = 1 + topic.length + publisher.length + 4 + message.payload.length
  if (message.qos > 0) length += MESSAGE_ID_BYTES
  if (message.expiresAt !== Number.POSITIVE_INFINITY) length += EXPIRY_BYTES
  const extra = extraBytes(message, targets)
  if (extra > 0) length += EXTRA_HEADER_BYTES + extra
  const properties = message.properties.length
  if (properties > 0) length += varintBytes(properties) + properties
  return length
}

const extraBytes = ({ stamp, willOf }: Message, targets: Buffer): number =>
  (stamp === null ? 0 : STAMP_FIELD_BYTES) +
  (willOf === undefined ? 0 : STAMP_FIELD_BYTES) +
  (targets.length === 0 ? 0 : FIELD_HEADER_BYTES + targets.length)

/** Where the expiry lies in an item that has one, for senders that make it wait. */
export const expiryOffset = (topic: Buffer, publisher: Buffer): number => 1 + topic.length + publisher.length

export function writeExpiry(into: Buffer, at: number, leftMs: number): void {
  into.writeUIntBE(Math.min(Math.max(0, Math.floor(leftMs)), EXPIRY_MS_MAX), at, EXPIRY_BYTES)
}

/** Writes an item at `at`, where `itemBytes` have room; `leftMs` counts only when the message expires. */
export function writeItem(
  into: Buffer,
  start: number,
  message: Message,
  topic: Buffer,
  publisher: Buffer,
  leftMs: number,
  targets: Buffer = EMPTY,
): number {
  const { qos, payload, properties } = message
  const extra = extraBytes(message, targets)
  const expires = message.expiresAt !== Number.POSITIVE_INFINITY
  let at = start
  into[at++] =
    qos |
    (message.retain ? RETAIN : 0) |
    (expires ? HAS_EXPIRY : 0) |
    (qos > 0 ? HAS_ID : 0) |
    (extra === 0 ? 0 : HAS_EXTRA) |
    (properties.length > 0 ? HAS_PROPERTIES : 0)
  at = copy(topic, into, at)
  at = copy(publisher, into, at)
  if (expires) {
    writeExpiry(into, at, leftMs)
    at += EXPIRY_BYTES
  }
  if (qos > 0) {
    at = copy(originBytes(message.origin), into, at)
    at = into.writeUIntBE(message.counter, at, 6)
  }
  if (extra > 0) at = writeExtra(into, at, extra, message, targets)
  if (properties.length > 0) at = copy(properties, into, writeVarint(properties.length, into, at))
  at = into.writeUInt32BE(payload.length, at)
  return copy(payload, into, at)
}

function writeExtra(into: Buffer, start: number, length: number, message: Message, targets: Buffer): number {
  const { stamp, willOf } = message
  let at = into.writeUInt16BE(length, start)
  if (stamp !== null) at = writeStampField(into, at, FIELD_STAMP, stamp)
  if (willOf !== undefined) at = writeStampField(into, at, FIELD_WILL, willOf)
  if (targets.length === 0) return at
  into[at++] = FIELD_TARGETS
  return copy(targets, into, into.writeUInt16BE(targets.length, at))
}

function writeStampField(into: Buffer, start: number, field: number, stamp: Stamp): number {
  into[start] = field
  return writeStamp(stamp, into, into.writeUInt16BE(STAMP_BYTES, start + 1))
}

/**
 * Goes over items that have waited for `byMs`, in bytes [start, end): what is left of each expiry is less by that, zero
 * for those that have expired. Returns how many items there are; -1: they cannot be read.
 */
export function ageItems(bytes: Buffer, start: number, end: number, byMs: number): number {
  let count = 0
  let at = start
  while (at < end) {
    if (at + 5 > end) return -1
    const flags = bytes[at++]!
    at += 2 + bytes.readUInt16BE(at)
    if (at + 2 > end) return -1
    at += 2 + bytes.readUInt16BE(at)
    if ((flags & HAS_EXPIRY) !== 0) {
      if (at + EXPIRY_BYTES > end) return -1
      writeExpiry(bytes, at, bytes.readUIntBE(at, EXPIRY_BYTES) - byMs)
      at += EXPIRY_BYTES
    }
    if ((flags & HAS_ID) !== 0) at += MESSAGE_ID_BYTES
    if ((flags & HAS_EXTRA) !== 0) {
      if (at + 2 > end) return -1
      at += 2 + bytes.readUInt16BE(at)
    }
    if ((flags & HAS_PROPERTIES) !== 0) {
      let length = 0
      for (let shift = 0; shift < 28; shift += 7) {
        if (at >= end) return -1
        const byte = bytes[at++]!
        length |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
      at += length
    }
    if (at + 4 > end) return -1
    at += 4 + bytes.readUInt32BE(at)
    count++
  }
  return at === end ? count : -1
}

/** A node's own messages all have one origin, so its bytes are kept from one to the next. */
let lastOrigin: Origin | null = null
let lastOriginBytes: Buffer = EMPTY

function originBytes(origin: Origin): Buffer {
  if (origin === lastOrigin) return lastOriginBytes
  const bytes = Buffer.alloc(ORIGIN_BYTES)
  bytes.write(origin.node, 0, ID_BYTES, 'hex')
  bytes.writeUIntBE(origin.incarnation, ID_BYTES, 6)
  lastOrigin = origin
  lastOriginBytes = bytes
  return bytes
}

/** Below this a loop is quicker than a call into the runtime. */
const SHORT = 48

function copy(from: Buffer, into: Buffer, at: number): number {
  const { length } = from
  if (length < SHORT) for (let index = 0; index < length; index++) into[at + index] = from[index]!
  else from.copy(into, at)
  return at + length
}

const properties = new PropertyCursor()

/** Reads batches. One object for all members: the texts it remembers are theirs together. */
export class BatchReader {
  readonly #topics = new TextCache(16_384, decodeTopic)
  readonly #publishers = new TextCache(8192, decodePublisher)
  /** The last origin that was read and its bytes: made once for a run of messages. */
  #origin: Origin = NO_ORIGIN
  readonly #originBytes = Buffer.alloc(ORIGIN_BYTES)
  #bytes: Buffer = EMPTY
  #at = 0
  #end = 0
  /** The number of the first item. */
  sequence = 0
  /** Whether its messages may have come before. */
  late: Late = false
  /** The share groups that the last message is for, and where that field begins. */
  targets: ShareTargets = NO_TARGETS
  targetsAt = 0
  #willOf: Stamp | null = null

  /** Begins a message of the channel; false: of a kind that a newer version speaks. */
  open(bytes: Buffer): boolean {
    if (bytes.length < BATCH_HEADER_BYTES) throw new PeerError('forwarded batch too short')
    const late = lateOf(bytes[0])
    if (late === null) return false
    this.late = late
    this.#bytes = bytes
    this.#at = BATCH_HEADER_BYTES
    this.#end = bytes.length
    this.sequence = bytes.readUIntBE(1, 6)
    return true
  }

  /** Begins items that stand in bytes [start, end), without a header. */
  openItems(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** The next message, null at the end; its payload and properties are views. Throws PeerError. */
  next(nowMs: number): Message | null {
    if (this.#at === this.#end) {
      this.#bytes = EMPTY
      return null
    }
    const bytes = this.#bytes
    const flags = bytes[this.#at++]!
    const qos = flags & QOS_BITS
    if (qos === 3 || (flags & RESERVED) !== 0) throw new PeerError('forwarded message with impossible flags')
    if (qos > 0 !== ((flags & HAS_ID) !== 0)) throw new PeerError('forwarded message id where none belongs, or none')
    const topicEnd = this.#text()
    const topic = this.#topics.get(bytes, this.#at, topicEnd)
    this.#at = topicEnd
    const publisherEnd = this.#text()
    const publisher = this.#publishers.get(bytes, this.#at, publisherEnd)
    this.#at = publisherEnd
    let expiresAt = Number.POSITIVE_INFINITY
    if ((flags & HAS_EXPIRY) !== 0) {
      const at = this.#skip(EXPIRY_BYTES)
      expiresAt = nowMs + bytes.readUIntBE(at, EXPIRY_BYTES)
    }
    let counter = 0
    let origin = NO_ORIGIN
    if (qos > 0) {
      const at = this.#skip(MESSAGE_ID_BYTES)
      origin = this.#originAt(at)
      counter = bytes.readUIntBE(at + ORIGIN_BYTES, 6)
      if (counter === 0) throw new PeerError('forwarded message id without a counter')
    }
    this.targets = NO_TARGETS
    this.#willOf = null
    const stamp = (flags & HAS_EXTRA) === 0 ? null : this.#extra()
    const passed = (flags & HAS_PROPERTIES) !== 0 ? this.#properties() : EMPTY
    const lengthAt = this.#skip(4)
    const length = bytes.readUInt32BE(lengthAt)
    if (length > PAYLOAD_BYTES_MAX) throw new PeerError('forwarded payload too long')
    const payloadAt = this.#skip(length)
    const message = {
      origin,
      counter,
      topic,
      qos: qos as QoS,
      retain: (flags & RETAIN) !== 0,
      payload: length === 0 ? EMPTY : bytes.subarray(payloadAt, payloadAt + length),
      properties: passed,
      expiresAt,
      publisher: publisher as ClientId,
      stamp,
    }
    return this.#willOf === null ? message : { ...message, willOf: this.#willOf }
  }

  #skip(length: number): number {
    const at = this.#at
    if (at + length > this.#end) throw new PeerError('forwarded batch cut short')
    this.#at = at + length
    return at
  }

  /** Reads a length and returns where its text ends. */
  #text(): number {
    const at = this.#skip(2)
    const end = at + 2 + ((this.#bytes[at]! << 8) | this.#bytes[at + 1]!)
    if (end > this.#end) throw new PeerError('forwarded batch cut short')
    return end
  }

  #originAt(at: number): Origin {
    const bytes = this.#bytes
    let same = 0
    while (same < ORIGIN_BYTES && bytes[at + same] === this.#originBytes[same]) same++
    if (same < ORIGIN_BYTES) {
      bytes.copy(this.#originBytes, 0, at, at + ORIGIN_BYTES)
      this.#origin = { node: readId<NodeId>(bytes, at), incarnation: bytes.readUIntBE(at + ID_BYTES, 6) }
    }
    return this.#origin
  }

  /** Reads the extra fields; returns the stamp among them, keeps the targets. */
  #extra(): Stamp | null {
    const end = this.#text()
    let stamp: Stamp | null = null
    while (this.#at < end) {
      const number = this.#bytes[this.#skip(1)]!
      const at = this.#at + 2
      this.#at = this.#text()
      if (number === FIELD_TARGETS) {
        this.targets = decodeTargets(this.#bytes, at, this.#at)
        this.targetsAt = at
      }
      if (number !== FIELD_STAMP && number !== FIELD_WILL) continue
      if (this.#at - at !== STAMP_BYTES) throw new PeerError('forwarded stamp of a wrong length')
      const read = readStamp(this.#bytes, at)
      if (number === FIELD_WILL) this.#willOf = read
      else stamp = read
    }
    if (this.#at !== end) throw new PeerError('forwarded extra fields do not add up')
    return stamp
  }

  /** Checks them as if a client had sent them: they go to clients as they are. */
  #properties(): Buffer {
    if (!properties.open(this.#bytes, this.#at, this.#end, PASS_THROUGH)) throw wrongProperties()
    for (let id = properties.next(); id !== 0; id = properties.next()) {
      if (id < 0) throw wrongProperties()
      if (id === Property.payloadFormat && properties.number > 1) throw wrongProperties()
      if (
        id === Property.responseTopic &&
        parseTopicName(properties.text(), Number.POSITIVE_INFINITY) instanceof Error
      ) {
        throw wrongProperties()
      }
    }
    this.#at = properties.end
    return this.#bytes.subarray(properties.start, properties.end)
  }
}

/** QoS 0 messages have no id. */
const NO_ORIGIN: Origin = { node: '0000000000000000' as NodeId, incarnation: 0 }

const wrongProperties = () => new PeerError('forwarded properties that no client may send')

function decodeTopic(bytes: Buffer, start: number, end: number): string {
  if (!isMqttString(bytes, start, end)) throw new PeerError('forwarded topic is not a text')
  const topic = bytes.toString('utf8', start, end)
  if (parseTopicName(topic, Number.POSITIVE_INFINITY) instanceof Error) throw new PeerError('forwarded topic invalid')
  if (isNodeLocal(topic)) throw new PeerError('forwarded $SYS, which stays on its node')
  return topic
}

function decodePublisher(bytes: Buffer, start: number, end: number): string {
  if (!isMqttString(bytes, start, end)) throw new PeerError('forwarded client id is not a text')
  return bytes.toString('utf8', start, end)
}
