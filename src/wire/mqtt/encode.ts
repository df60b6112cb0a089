// What the server sends besides PUBLISH and its acknowledgements: CONNACK, SUBACK, UNSUBACK, DISCONNECT, AUTH. Our own
// writer: a page of code, where mqtt-packet's `generate` builds a table of 65,536 buffers at its first use.

import { ByteWriter } from '../../base/bytes.ts'
import { Reason } from '../../base/reasons.ts'
import type { ConnackValues, DisconnectValues, Version } from './packets.ts'
import { Property } from './properties.ts'
import { varintBytes, writeVarint } from './varint.ts'

const CONNACK = 0x20
const SUBACK = 0x90
const UNSUBACK = 0xb0
const DISCONNECT = 0xe0
const AUTH = 0xf0

export interface AuthValues {
  readonly reason: number
  readonly method?: string
  readonly data?: Buffer
  readonly reasonString?: string
}

/**
 * CONNACK. Null for a 3.x client when the reason has no return code that means the same: [MQTT3-3.2.2-6] the
 * connection is then closed without a word.
 */
export function encodeConnack(values: ConnackValues, version: Version): Buffer | null {
  // [MQTT-3.2.2-6] A refusal says Session Present 0.
  const present = values.sessionPresent && values.reason === Reason.success ? 1 : 0
  const body = new ByteWriter()
  if (version !== 5) {
    const code = connackReturnCode(values.reason)
    if (code === null) return null
    // MQTT 3.1 has no Session Present: the byte is reserved and 0.
    return packet(CONNACK, body.u8(version === 4 ? present : 0).u8(code))
  }
  const properties = new ByteWriter()
  optionalU32(properties, Property.sessionExpiry, values.sessionExpirySec)
  optionalU16(properties, Property.receiveMaximum, values.receiveMaximum)
  optionalByte(properties, Property.maximumQoS, values.maximumQoS)
  optionalByte(properties, Property.retainAvailable, bit(values.retainAvailable))
  optionalU32(properties, Property.maximumPacketSize, values.maximumPacketSize)
  optionalText(properties, Property.assignedClientId, values.assignedClientId)
  optionalU16(properties, Property.topicAliasMaximum, values.topicAliasMaximum)
  optionalText(properties, Property.reasonString, values.reasonString)
  optionalU16(properties, Property.serverKeepAlive, values.serverKeepAliveSec)
  optionalText(properties, Property.responseInformation, values.responseInformation)
  optionalText(properties, Property.serverReference, values.serverReference)
  optionalText(properties, Property.authenticationMethod, values.authenticationMethod)
  optionalBinary(properties, Property.authenticationData, values.authenticationData)
  return packet(CONNACK, withProperties(body.u8(present).u8(values.reason), properties))
}

/** The MQTT 3.x return code that says the same as an MQTT 5 reason code; null: none does. */
export function connackReturnCode(reason: number): number | null {
  switch (reason) {
    case Reason.success:
      return 0
    case Reason.unsupportedProtocolVersion:
      return 1
    case Reason.clientIdentifierNotValid:
      return 2
    case Reason.serverUnavailable:
    case Reason.serverBusy:
    case Reason.serverShuttingDown:
    case Reason.useAnotherServer:
    case Reason.serverMoved:
    case Reason.quotaExceeded:
    case Reason.connectionRateExceeded:
      return 3
    case Reason.badUserNameOrPassword:
    case Reason.badAuthenticationMethod:
      return 4
    case Reason.notAuthorized:
    case Reason.banned:
      return 5
    default:
      return null
  }
}

/** SUBACK with one MQTT 5 reason code for each filter, in order. */
export function encodeSuback(
  packetId: number,
  reasons: readonly number[],
  version: Version,
  reasonString?: string,
): Buffer {
  const body = answer(packetId, version, reasonString, reasons.length)
  for (const reason of reasons) body.u8(subackCode(reason, version))
  return packet(SUBACK, body)
}

/** [MQTT3-3.9.3-2] 3.1.1 has one failure; MQTT 3.1 has none, and the nearest it can say is QoS 0. */
function subackCode(reason: number, version: Version): number {
  if (version === 5 || reason < 0x80) return reason
  return version === 4 ? 0x80 : 0
}

/** UNSUBACK; 3.x has no reasons. */
export function encodeUnsuback(
  packetId: number,
  reasons: readonly number[],
  version: Version,
  reasonString?: string,
): Buffer {
  const body = answer(packetId, version, reasonString, reasons.length)
  if (version === 5) for (const reason of reasons) body.u8(reason)
  return packet(UNSUBACK, body)
}

/** DISCONNECT, which only an MQTT 5 client may be sent. */
export function encodeDisconnect(values: DisconnectValues): Buffer {
  const properties = new ByteWriter()
  optionalText(properties, Property.reasonString, values.reasonString)
  optionalText(properties, Property.serverReference, values.serverReference)
  return packet(DISCONNECT, reasonAndProperties(values.reason, properties))
}

/** AUTH, which only an MQTT 5 client may be sent. */
export function encodeAuth(values: AuthValues): Buffer {
  const properties = new ByteWriter()
  optionalText(properties, Property.authenticationMethod, values.method)
  optionalBinary(properties, Property.authenticationData, values.data)
  optionalText(properties, Property.reasonString, values.reasonString)
  return packet(AUTH, reasonAndProperties(values.reason, properties))
}

function answer(packetId: number, version: Version, reasonString: string | undefined, codes: number): ByteWriter {
  const body = new ByteWriter(16 + codes).u16(packetId)
  if (version !== 5) return body
  const properties = new ByteWriter(16)
  optionalText(properties, Property.reasonString, reasonString)
  return withProperties(body, properties)
}

/** Both are left out when they say nothing (MQTT 3.14.2.1, 3.15.2.1). */
function reasonAndProperties(reason: number, properties: ByteWriter): ByteWriter {
  const body = new ByteWriter()
  if (properties.length > 0) return withProperties(body.u8(reason), properties)
  return reason === Reason.success ? body : body.u8(reason)
}

function packet(firstByte: number, body: ByteWriter): Buffer {
  const bytes = Buffer.allocUnsafe(1 + varintBytes(body.length) + body.length)
  bytes[0] = firstByte
  body.done().copy(bytes, writeVarint(body.length, bytes, 1))
  return bytes
}

function withProperties(body: ByteWriter, properties: ByteWriter): ByteWriter {
  const length = Buffer.allocUnsafe(varintBytes(properties.length))
  writeVarint(properties.length, length, 0)
  return body.raw(length).raw(properties.done())
}

const bit = (value: boolean | undefined): number | undefined => (value === undefined ? undefined : value ? 1 : 0)

function optionalByte(properties: ByteWriter, id: number, value: number | undefined): void {
  if (value !== undefined) properties.u8(id).u8(value)
}

function optionalU16(properties: ByteWriter, id: number, value: number | undefined): void {
  if (value !== undefined) properties.u8(id).u16(value)
}

function optionalU32(properties: ByteWriter, id: number, value: number | undefined): void {
  if (value !== undefined) properties.u8(id).u32(value)
}

function optionalText(properties: ByteWriter, id: number, value: string | undefined): void {
  if (value !== undefined) properties.u8(id).text(value)
}

function optionalBinary(properties: ByteWriter, id: number, value: Buffer | undefined): void {
  if (value !== undefined) properties.u8(id).u16(value.length).raw(value)
}
