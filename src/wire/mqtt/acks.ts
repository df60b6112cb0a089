// PUBACK, PUBREC, PUBREL, PUBCOMP both ways (MQTT 3.4 to 3.7) and PINGRESP: with QoS 1 and 2 they pass as often as
// messages do, so they have a codec of their own.
//
//   type and flags | remaining length | packet id (2) | reason, MQTT 5, absent: 0 | properties with length, absent: none

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import type { AckPacket, Version } from './packets.ts'
import { allow, Property, PropertyCursor } from './properties.ts'
import { varintBytes } from './varint.ts'

export type AckKind = AckPacket['kind']

export const PINGRESP: Buffer = Buffer.from([0xd0, 0x00])

/** Bytes that `writeAck` needs at most. */
export const ACK_BYTES_MAX = 5

const PUBACK = 4
const PUBREL = 6
const PUBCOMP = 7
const KINDS: readonly AckKind[] = ['puback', 'pubrec', 'pubrel', 'pubcomp']
const FIRST_BYTE: Readonly<Record<AckKind, number>> = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 }

const ALLOWED = allow(Property.reasonString, Property.user)
const REASONS: readonly number[] = [
  Reason.success,
  Reason.noMatchingSubscribers,
  Reason.unspecifiedError,
  Reason.implementationSpecificError,
  Reason.notAuthorized,
  Reason.topicNameInvalid,
  Reason.packetIdentifierInUse,
  Reason.quotaExceeded,
  Reason.payloadFormatInvalid,
]
const RELEASE_REASONS: readonly number[] = [Reason.success, Reason.packetIdentifierNotFound]

const cursor = new PropertyCursor()

/** The acknowledgement last read. One object per connection, filled anew by each `read`. */
export class AckView implements AckPacket {
  kind: AckKind = 'puback'
  packetId = 0
  reason = 0

  /** Reads the packet in bytes [packetStart, end) of `buffer`, which is one of the four. After an error it is void. */
  read(buffer: Buffer, packetStart: number, bodyStart: number, end: number, version: Version): ProtocolError | null {
    const type = buffer[packetStart]! >> 4
    const flags = buffer[packetStart]! & 0x0f
    this.kind = KINDS[type - PUBACK]!
    // [MQTT-2.1.3-1] [MQTT-3.6.1-1] MQTT 3.1 does not use these bits, and DUP may be set in its PUBREL.
    if (version !== 3 && flags !== (type === PUBREL ? 2 : 0))
      return error(malformed, `reserved flags in a ${this.kind}`)
    const length = end - bodyStart
    if (length < 2) return error(malformed, `a ${this.kind} without packet identifier`)
    // [MQTT-1.5.5-1]
    if (version === 5 && varintBytes(length) !== bodyStart - packetStart - 1) {
      return error(malformed, 'a remaining length with more bytes than it needs')
    }
    this.packetId = (buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!
    this.reason = 0
    if (this.packetId === 0) return error(Reason.protocolError, `a ${this.kind} with packet identifier 0`)
    if (length === 2) return null
    if (version !== 5) return error(malformed, `a ${this.kind} of ${length} bytes`)
    this.reason = buffer[bodyStart + 2]!
    // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    const listed = type === PUBREL || type === PUBCOMP ? RELEASE_REASONS : REASONS
    if (!listed.includes(this.reason)) {
      return error(Reason.protocolError, `reason ${this.reason} in a ${this.kind}`)
    }
    if (length === 3) return null
    if (!cursor.open(buffer, bodyStart + 3, end, ALLOWED)) return cursor.error
    for (let id = cursor.next(); id !== 0; id = cursor.next()) if (id === -1) return cursor.error
    return cursor.end === end ? null : error(malformed, `bytes behind the properties of a ${this.kind}`)
  }
}

/** Whether a packet's first byte says PUBACK, PUBREC, PUBREL or PUBCOMP. */
export const isAck = (firstByte: number): boolean => firstByte >> 4 >= PUBACK && firstByte >> 4 <= PUBCOMP

/** Writes the packet at `at` and returns where the next byte goes; at most ACK_BYTES_MAX bytes. */
export function writeAck(
  into: Buffer,
  at: number,
  kind: AckKind,
  packetId: number,
  reason: number,
  version: Version,
): number {
  const short = reason === 0 || version !== 5
  into[at] = FIRST_BYTE[kind]
  into[at + 1] = short ? 2 : 3
  into[at + 2] = packetId >> 8
  into[at + 3] = packetId & 0xff
  if (short) return at + 4
  into[at + 4] = reason
  return at + 5
}

export function encodeAck(kind: AckKind, packetId: number, reason: number, version: Version): Buffer {
  const packet = Buffer.allocUnsafe(ACK_BYTES_MAX)
  return packet.subarray(0, writeAck(packet, 0, kind, packetId, reason, version))
}

const malformed = Reason.malformedPacket
const error = (reason: ReasonCode, message: string) => new ProtocolError(reason, message)
