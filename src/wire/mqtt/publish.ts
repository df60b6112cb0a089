// PUBLISH both ways (MQTT 3.3): the packet that every message passes through, so with a codec of its own that reads
// without copying and writes without intermediate values.
//
//   3 dup qos retain | remaining length | topic length (2) | topic | packet id (2), QoS 1 and 2
//                    | properties with their length, MQTT 5 only   | payload, to the end

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import { EMPTY, type Message, type QoS } from '../message.ts'
import type { Version } from './packets.ts'
import { allow, Property, PropertyCursor } from './properties.ts'
import { isMqttString, utf8Length, writeUtf8 } from './utf8.ts'
import { varintBytes, writeVarint } from './varint.ts'

const PUBLISH = 0x30
export const DUP_BIT = 0x08

const FROM_CLIENT = allow(
  Property.payloadFormat,
  Property.messageExpiry,
  Property.contentType,
  Property.responseTopic,
  Property.correlationData,
  Property.topicAlias,
  Property.user,
)

/** One for all views: it is done with before `read` returns. */
const cursor = new PropertyCursor()

/** Where the parts of the PUBLISH last read lie in its buffer. One object per connection, filled anew by each `read`. */
export class PublishView {
  qos: QoS = 0
  dup = false
  retain = false
  /** The topic's bytes; none when only an alias was sent. */
  topicStart = 0
  topicEnd = 0
  /** The topic has the same bytes as that of the last packet that had one: what was found for it still holds. */
  sameTopic = false
  /** 0 with QoS 0. */
  packetId = 0
  /** 0: none. */
  topicAlias = 0
  /** Seconds; -1: none. */
  expirySec = -1
  /** The properties' bytes without their length; empty for 3.x. */
  propertiesStart = 0
  propertiesEnd = 0
  /** Whether all of them go to the receivers unaltered; else `passThroughProperties` makes a copy. */
  passThrough = true
  payloadStart = 0
  payloadEnd = 0
  #lastTopic: Buffer = EMPTY
  #lastTopicLength = 0

  /**
   * Reads the packet in bytes [packetStart, end) of `buffer`, which the framer has found whole. Strict: what comes
   * through is well-formed, but for the topic: that its bytes are an MQTT string without wildcards is made sure here,
   * how many levels it may have is for `parseTopicName`. The payload is not looked at. After an error the view is void.
   */
  read(buffer: Buffer, packetStart: number, bodyStart: number, end: number, version: Version): ProtocolError | null {
    const flags = buffer[packetStart]! & 0x0f
    const qos = (flags >> 1) & 3
    this.dup = (flags & DUP_BIT) !== 0
    this.retain = (flags & 1) !== 0
    // [MQTT-3.3.1-4]
    if (qos === 3) return error(Reason.malformedPacket, 'a PUBLISH with QoS 3')
    // [MQTT-3.3.1-2] MQTT 3.1 has no such rule.
    if (qos === 0 && this.dup && version !== 3) return error(Reason.malformedPacket, 'a PUBLISH with QoS 0 and DUP')
    this.qos = qos as QoS

    let at = bodyStart + 2
    if (at > end) return tooShort()
    const topicEnd = at + ((buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!)
    if (topicEnd > end) return tooShort()
    this.topicStart = at
    this.topicEnd = topicEnd
    if (!this.#isLastTopic(buffer, at, topicEnd)) {
      const wrong = this.#newTopic(buffer, at, topicEnd, version)
      if (wrong !== null) return wrong
    }
    at = topicEnd

    this.packetId = 0
    if (qos > 0) {
      if (at + 2 > end) return tooShort()
      this.packetId = (buffer[at]! << 8) | buffer[at + 1]!
      // [MQTT3-2.3.1-1] and MQTT 5 section 2.2.1
      if (this.packetId === 0) return error(Reason.protocolError, 'a PUBLISH with packet identifier 0')
      at += 2
    }

    this.topicAlias = 0
    this.expirySec = -1
    this.passThrough = true
    if (version === 5) {
      if (at < end && buffer[at] === 0) {
        this.propertiesStart = this.propertiesEnd = ++at
      } else {
        const wrong = this.#properties(buffer, at, end)
        if (wrong !== null) return wrong
        at = this.propertiesEnd
      }
      if (topicEnd === this.topicStart && this.topicAlias === 0) {
        return error(Reason.protocolError, 'a PUBLISH with neither topic nor topic alias')
      }
      // [MQTT-1.5.5-1] The received bytes may be forwarded as they are.
      if (varintBytes(end - bodyStart) !== bodyStart - packetStart - 1) {
        return error(Reason.malformedPacket, 'a remaining length with more bytes than it needs')
      }
    } else {
      this.propertiesStart = this.propertiesEnd = at
    }
    this.payloadStart = at
    this.payloadEnd = end
    return null
  }

  /** The topic as text; only good for a view of a packet that has one. */
  topic(buffer: Buffer): string {
    return buffer.toString('utf8', this.topicStart, this.topicEnd)
  }

  #isLastTopic(buffer: Buffer, start: number, end: number): boolean {
    const length = end - start
    this.sameTopic = false
    if (length !== this.#lastTopicLength || length === 0) return false
    const last = this.#lastTopic
    // From the end, where topics of one publisher differ.
    for (let index = length - 1; index >= 0; index--) if (buffer[start + index] !== last[index]) return false
    this.sameTopic = true
    return true
  }

  #newTopic(buffer: Buffer, start: number, end: number, version: Version): ProtocolError | null {
    const length = end - start
    if (length === 0) {
      // [MQTT-4.7.3-1] MQTT 5 sends an alias instead.
      return version === 5 ? null : error(Reason.topicNameInvalid, 'a PUBLISH without topic')
    }
    this.#lastTopicLength = 0
    const wrong = topicBytes(buffer, start, end)
    if (wrong !== null) return wrong
    if (this.#lastTopic.length < length) this.#lastTopic = Buffer.allocUnsafe(Math.max(64, length * 2))
    const last = this.#lastTopic
    for (let index = 0; index < length; index++) last[index] = buffer[start + index]!
    this.#lastTopicLength = length
    return null
  }

  #properties(buffer: Buffer, at: number, end: number): ProtocolError | null {
    if (!cursor.open(buffer, at, end, FROM_CLIENT)) return cursor.error
    this.propertiesStart = cursor.start
    this.propertiesEnd = cursor.end
    for (let id = cursor.next(); id !== 0; id = cursor.next()) {
      if (id === Property.topicAlias) {
        // [MQTT-3.3.2-8]
        if (cursor.number === 0) return error(Reason.topicAliasInvalid, 'a topic alias of 0')
        this.topicAlias = cursor.number
        this.passThrough = false
      } else if (id === Property.messageExpiry) {
        this.expirySec = cursor.number
        this.passThrough = false
      } else {
        const wrong = passThroughError(id, cursor, buffer)
        if (wrong !== null) return wrong
      }
    }
    return null
  }
}

/** What is wrong with the present property of `at`, one of those that a PUBLISH or a will passes on unaltered. */
export function passThroughError(id: number, at: PropertyCursor, buffer: Buffer): ProtocolError | null {
  if (id === -1) return at.error
  if (id === Property.payloadFormat && at.number > 1) {
    return error(Reason.protocolError, 'a payload format indicator other than 0 and 1')
  }
  if (id === Property.responseTopic) {
    // [MQTT-3.3.2-14] [MQTT-4.7.3-1] The response topic is a topic name.
    if (at.valueStart === at.valueEnd || topicBytes(buffer, at.valueStart, at.valueEnd) !== null) {
      return error(Reason.protocolError, 'a response topic that is not a topic name')
    }
  }
  return null
}

/**
 * The view's properties as they go into Message.properties: without alias and expiry. A view of `buffer` when
 * `passThrough`, so copy it where it is kept.
 */
export function passThroughProperties(view: PublishView, buffer: Buffer): Buffer {
  const { propertiesStart: start, propertiesEnd: end } = view
  if (start === end) return EMPTY
  if (view.passThrough) return buffer.subarray(start, end)
  return without(
    buffer,
    start - varintBytes(end - start),
    end,
    FROM_CLIENT,
    Property.topicAlias,
    Property.messageExpiry,
  )
}

/** A copy of properties that were read before and found good, without those of two ids. `at`: their length. */
export function without(
  buffer: Buffer,
  at: number,
  end: number,
  allowed: Uint8Array,
  id1: number,
  id2: number,
): Buffer {
  cursor.open(buffer, at, end, allowed)
  const kept = Buffer.allocUnsafe(cursor.end - cursor.start)
  let length = 0
  for (let id = cursor.next(); id > 0; id = cursor.next()) {
    if (id !== id1 && id !== id2) length += buffer.copy(kept, length, cursor.idAt, cursor.valueEnd)
  }
  return length === 0 ? EMPTY : kept.subarray(0, length)
}

/** How a message is put into a packet. Receivers with the same form share the same bytes. */
export interface PublishForm {
  readonly version: Version
  readonly qos: QoS
  readonly dup: boolean
  readonly retain: boolean
  /** 0 with QoS 0. */
  readonly packetId: number
  /** The topic to be written; empty when the alias stands for it. */
  readonly topic: string
  /** 0: none. */
  readonly topicAlias: number
  readonly subscriptionIds: readonly number[]
  /** What is left of the message's expiry in seconds; -1: none. */
  readonly expirySec: number
}

/** Bytes of the whole packet. */
export function publishLength(message: Message, form: PublishForm): number {
  const remaining = remainingLength(message, form)
  return 1 + varintBytes(remaining) + remaining
}

/** Writes the packet at `at` and returns where the next byte goes; the caller has made room for `publishLength` bytes. */
export function writePublish(message: Message, form: PublishForm, into: Buffer, at: number): number {
  into[at++] = PUBLISH | (form.dup ? DUP_BIT : 0) | (form.qos << 1) | (form.retain ? 1 : 0)
  at = writeVarint(remainingLength(message, form), into, at)
  const topicAt = at + 2
  at = writeUtf8(form.topic, into, topicAt)
  writeU16(at - topicAt, into, topicAt - 2)
  if (form.qos > 0) at = writeU16(form.packetId, into, at)
  // Properties are dropped for 3.x, which has none.
  if (form.version === 5) at = writeProperties(message, form, into, at)
  return at + message.payload.copy(into, at)
}

export function encodePublish(message: Message, form: PublishForm): Buffer {
  const packet = Buffer.allocUnsafe(publishLength(message, form))
  writePublish(message, form, packet, 0)
  return packet
}

/**
 * Where the two bytes of the packet id lie in the PUBLISH (QoS 1 or 2) that begins at `at`; DUP is DUP_BIT of its first
 * byte. So that one encoding can be copied for each receiver and just these patched.
 */
export function packetIdOffset(packet: Buffer, at = 0): number {
  let topic = at + 1
  while (packet[topic]! >= 0x80) topic++
  topic++
  return topic + 2 + ((packet[topic]! << 8) | packet[topic + 1]!)
}

function remainingLength(message: Message, form: PublishForm): number {
  const length = 2 + utf8Length(form.topic) + (form.qos > 0 ? 2 : 0) + message.payload.length
  if (form.version !== 5) return length
  const properties = propertiesLength(message, form)
  return length + varintBytes(properties) + properties
}

function propertiesLength(message: Message, form: PublishForm): number {
  let length = message.properties.length + (form.topicAlias > 0 ? 3 : 0) + (form.expirySec >= 0 ? 5 : 0)
  for (let index = 0; index < form.subscriptionIds.length; index++) {
    length += 1 + varintBytes(form.subscriptionIds[index]!)
  }
  return length
}

function writeProperties(message: Message, form: PublishForm, into: Buffer, at: number): number {
  at = writeVarint(propertiesLength(message, form), into, at)
  if (form.topicAlias > 0) {
    into[at++] = Property.topicAlias
    at = writeU16(form.topicAlias, into, at)
  }
  if (form.expirySec >= 0) {
    into[at++] = Property.messageExpiry
    at = into.writeUInt32BE(form.expirySec, at)
  }
  for (let index = 0; index < form.subscriptionIds.length; index++) {
    into[at++] = Property.subscriptionId
    at = writeVarint(form.subscriptionIds[index]!, into, at)
  }
  return message.properties.length === 0 ? at : at + message.properties.copy(into, at)
}

function writeU16(value: number, into: Buffer, at: number): number {
  into[at] = value >> 8
  into[at + 1] = value & 0xff
  return at + 2
}

const PLUS = 0x2b
const HASH = 0x23

/** [MQTT-3.3.2-1] [MQTT-3.3.2-2] */
function topicBytes(buffer: Buffer, start: number, end: number): ProtocolError | null {
  let ascii = true
  for (let index = start; index < end; index++) {
    const byte = buffer[index]!
    if (byte >= 0x80 || byte === 0) ascii = false
    else if (byte === PLUS || byte === HASH) return error(Reason.topicNameInvalid, 'a topic name with a wildcard')
  }
  if (ascii || isMqttString(buffer, start, end)) return null
  return error(Reason.malformedPacket, 'a topic that is not well-formed UTF-8')
}

const error = (reason: ReasonCode, message: string) => new ProtocolError(reason, message)
const tooShort = () => error(Reason.malformedPacket, 'a PUBLISH that ends too early')
