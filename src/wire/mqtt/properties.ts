// MQTT 5 properties (MQTT 2.2.2): which exist, what type each has, in which packets it may stand. One cursor walks them
// for all packets and makes nothing but numbers.
//
//   property length (variable byte integer) | id | value | id | value | ...

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import { isMqttString } from './utf8.ts'
import { INCOMPLETE, readVarint, varintBytes } from './varint.ts'

export const Property = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionId: 0x0b,
  sessionExpiry: 0x11,
  assignedClientId: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelay: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQoS: 0x24,
  retainAvailable: 0x25,
  user: 0x26,
  maximumPacketSize: 0x27,
} as const

const TYPES: Readonly<Record<'byte' | 'u16' | 'u32' | 'varint' | 'text' | 'binary' | 'pair', readonly number[]>> = {
  byte: [
    Property.payloadFormat,
    Property.requestProblemInformation,
    Property.requestResponseInformation,
    Property.maximumQoS,
    Property.retainAvailable,
  ],
  u16: [Property.serverKeepAlive, Property.receiveMaximum, Property.topicAliasMaximum, Property.topicAlias],
  u32: [Property.messageExpiry, Property.sessionExpiry, Property.willDelay, Property.maximumPacketSize],
  varint: [Property.subscriptionId],
  text: [
    Property.contentType,
    Property.responseTopic,
    Property.assignedClientId,
    Property.authenticationMethod,
    Property.responseInformation,
    Property.serverReference,
    Property.reasonString,
  ],
  binary: [Property.correlationData, Property.authenticationData],
  pair: [Property.user],
}

const BYTE = 1
const U16 = 2
const U32 = 3
const VARINT = 4
const TEXT = 5
const BINARY = 6
const PAIR = 7

/** Type by id; 0: no such property. */
const TYPE = new Uint8Array(256)
for (const id of TYPES.byte) TYPE[id] = BYTE
for (const id of TYPES.u16) TYPE[id] = U16
for (const id of TYPES.u32) TYPE[id] = U32
for (const id of TYPES.varint) TYPE[id] = VARINT
for (const id of TYPES.text) TYPE[id] = TEXT
for (const id of TYPES.binary) TYPE[id] = BINARY
for (const id of TYPES.pair) TYPE[id] = PAIR

/** Where the value of a property at `at` ends; negative: past `end`, not well encoded, or no such property. */
export function propertyEnd(id: number, bytes: Buffer, at: number, end: number): number {
  const string = (from: number): number => (from < 0 || from + 2 > end ? -1 : from + 2 + bytes.readUInt16BE(from))
  const type = TYPE[id]
  const number = type === VARINT ? readVarint(bytes, at, end) : 0
  const until =
    type === BYTE
      ? at + 1
      : type === U16
        ? at + 2
        : type === U32
          ? at + 4
          : type === VARINT && number >= 0
            ? at + varintBytes(number)
            : type === TEXT || type === BINARY
              ? string(at)
              : type === PAIR
                ? string(string(at))
                : -1
  return until > end ? -1 : until
}

/** What a client may send, by packet; ids as a set by number. */
export type AllowedProperties = Uint8Array

export function allow(...ids: readonly number[]): AllowedProperties {
  const set = new Uint8Array(256)
  for (const id of ids) set[id] = 1
  return set
}

/** Properties that a message takes along unaltered, from a PUBLISH or a will. */
export const PASS_THROUGH = allow(
  Property.payloadFormat,
  Property.contentType,
  Property.responseTopic,
  Property.correlationData,
  Property.user,
)

/** Walks the properties of one packet. `next` gives one id after the other, 0 at the end, -1 for an `error`. */
export class PropertyCursor {
  #bytes: Buffer = NONE
  #at = 0
  #allowed: AllowedProperties = PASS_THROUGH
  /** Ids below 32 and from 32 on that were seen, one bit each. */
  #seenLow = 0
  #seenHigh = 0
  error: ProtocolError | null = null
  /** Where the properties are, without their length. */
  start = 0
  end = 0
  /** Where the present property begins, its id included. */
  idAt = 0
  /** The value's bytes: a string without its length, a pair whole. */
  valueStart = 0
  valueEnd = 0
  /** The value of a number. */
  number = 0

  /** Reads the length at `at`; false for an `error`. The properties must end by `packetEnd`. */
  open(bytes: Buffer, at: number, packetEnd: number, allowed: AllowedProperties): boolean {
    this.error = null
    const length = readVarint(bytes, at, packetEnd)
    if (length < 0) {
      return this.#fail(
        malformed,
        length === INCOMPLETE ? 'property length missing' : 'property length not well encoded',
      )
    }
    this.start = at + varintBytes(length)
    this.end = this.start + length
    if (this.end > packetEnd) return this.#fail(malformed, 'properties go past the end of the packet')
    this.#bytes = bytes
    this.#at = this.start
    this.#allowed = allowed
    this.#seenLow = 0
    this.#seenHigh = 0
    return true
  }

  next(): number {
    const at = this.#at
    if (at >= this.end) return 0
    const id = this.#bytes[at]!
    if (this.#allowed[id] !== 1) {
      // [MQTT-3.3.4-6] A client may send one only with SUBSCRIBE, and the standard calls this a Protocol Error.
      if (id === Property.subscriptionId) return this.#stop(broken, 'a client sent a subscription identifier')
      return this.#stop(malformed, `property ${id} does not belong in this packet`)
    }
    if (id !== Property.user && !this.#first(id)) return this.#stop(broken, `property ${id} stands twice`)
    this.idAt = at
    return this.#value(id, at + 1) ? id : -1
  }

  text(): string {
    return this.#bytes.toString('utf8', this.valueStart, this.valueEnd)
  }

  /** The first time that this property is seen? Ids above 63 do not exist. */
  #first(id: number): boolean {
    const bit = 1 << (id & 31)
    if (id < 32) {
      if ((this.#seenLow & bit) !== 0) return false
      this.#seenLow |= bit
    } else {
      if ((this.#seenHigh & bit) !== 0) return false
      this.#seenHigh |= bit
    }
    return true
  }

  #value(id: number, at: number): boolean {
    const bytes = this.#bytes
    this.valueStart = at
    switch (TYPE[id]) {
      case BYTE:
        if (!this.#fixed(1)) return false
        this.number = bytes[at]!
        return true
      case U16:
        if (!this.#fixed(2)) return false
        this.number = (bytes[at]! << 8) | bytes[at + 1]!
        return true
      case U32:
        if (!this.#fixed(4)) return false
        this.number = bytes.readUInt32BE(at)
        return true
      case VARINT: {
        const number = readVarint(bytes, at, this.end)
        if (number < 0) return this.#fail(malformed, 'a number in the properties is not well encoded')
        this.number = number
        return this.#fixed(varintBytes(number))
      }
      case TEXT:
        return this.#string(at) && this.#utf8()
      case BINARY:
        return this.#string(at)
      case PAIR:
        if (!this.#string(at) || !this.#utf8()) return false
        if (!this.#string(this.#at) || !this.#utf8()) return false
        this.valueStart = at
        return true
      default:
        return this.#fail(malformed, `there is no property ${id}`)
    }
  }

  #fixed(length: number): boolean {
    this.valueEnd = this.valueStart + length
    if (this.valueEnd > this.end) return this.#fail(malformed, 'a property goes past the end of the properties')
    this.#at = this.valueEnd
    return true
  }

  #string(at: number): boolean {
    if (at + 2 > this.end) return this.#fail(malformed, 'a property goes past the end of the properties')
    this.valueStart = at + 2
    return this.#fixed((this.#bytes[at]! << 8) | this.#bytes[at + 1]!)
  }

  #utf8(): boolean {
    return (
      isMqttString(this.#bytes, this.valueStart, this.valueEnd) ||
      this.#fail(malformed, 'a string in the properties is not well-formed UTF-8')
    )
  }

  #fail(reason: ReasonCode, message: string): false {
    this.error = new ProtocolError(reason, message)
    return false
  }

  #stop(reason: ReasonCode, message: string): -1 {
    this.error = new ProtocolError(reason, message)
    return -1
  }
}

const NONE = Buffer.alloc(0)
const malformed = Reason.malformedPacket
const broken = Reason.protocolError
