// The byte pass: every rule of CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and AUTH that can be checked on the bytes,
// checked before mqtt-packet sees them (docs/decisions/0001-mqtt-packet.md lists what it would let through). It runs
// on the packet's own copy, so that what MQTT 3.1 leaves unused can be cleared in place.

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import { EMPTY } from '../message.ts'
import { BytePass } from './byte-pass.ts'
import type { Version } from './packets.ts'
import { allow, Property } from './properties.ts'
import { passThroughError, without } from './publish.ts'

/** A CONNECT that cannot be taken; `answerAs` is the version of the CONNACK to be sent, null: close without one. */
export class ConnectError extends ProtocolError {
  readonly answerAs: Version | null
  constructor(reason: ReasonCode, message: string, answerAs: Version | null) {
    super(reason, message)
    this.answerAs = answerAs
  }
}

const CONNECT_PROPERTIES = allow(
  Property.sessionExpiry,
  Property.authenticationMethod,
  Property.authenticationData,
  Property.requestProblemInformation,
  Property.requestResponseInformation,
  Property.receiveMaximum,
  Property.topicAliasMaximum,
  Property.user,
  Property.maximumPacketSize,
)
const WILL_PROPERTIES = allow(
  Property.payloadFormat,
  Property.messageExpiry,
  Property.contentType,
  Property.responseTopic,
  Property.correlationData,
  Property.willDelay,
  Property.user,
)
const SUBSCRIBE_PROPERTIES = allow(Property.subscriptionId, Property.user)
const UNSUBSCRIBE_PROPERTIES = allow(Property.user)
const DISCONNECT_PROPERTIES = allow(Property.sessionExpiry, Property.reasonString, Property.user)
const AUTH_PROPERTIES = allow(
  Property.authenticationMethod,
  Property.authenticationData,
  Property.reasonString,
  Property.user,
)

/** Reasons that a client may give in DISCONNECT (MQTT 3.14.2.1). */
const DISCONNECT_REASONS: readonly number[] = [
  Reason.success,
  Reason.disconnectWithWill,
  Reason.unspecifiedError,
  Reason.malformedPacket,
  Reason.protocolError,
  Reason.implementationSpecificError,
  Reason.topicNameInvalid,
  Reason.receiveMaximumExceeded,
  Reason.topicAliasInvalid,
  Reason.packetTooLarge,
  Reason.messageRateTooHigh,
  Reason.quotaExceeded,
  Reason.administrativeAction,
  Reason.payloadFormatInvalid,
]

/** What the byte pass of a CONNECT finds that mqtt-packet does not give. */
export interface CheckedConnect {
  readonly version: Version
  readonly bridge: boolean
  /** The will's pass-through properties, in order. */
  readonly willProperties: Buffer
}

const RESERVED_FLAG = 0x01
const CLEAN_FLAG = 0x02
const WILL_FLAG = 0x04
const WILL_QOS_FLAGS = 0x18
const WILL_RETAIN_FLAG = 0x20
const PASSWORD_FLAG = 0x40
const USERNAME_FLAG = 0x80
const BRIDGE_BIT = 0x80
const CLIENT_ID_MAX_3_1 = 23

export function checkConnect(packet: Buffer, bodyStart: number): CheckedConnect | ConnectError {
  const pass = new BytePass(packet, bodyStart)
  pass.string('the protocol name')
  const name = pass.valueText
  const level = pass.u8()
  if (pass.error !== null) return connectError(pass.error, null)
  // [MQTT-3.1.2-1] Whatever this is, it does not understand a CONNACK.
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    return new ConnectError(Reason.unsupportedProtocolVersion, 'a protocol name other than MQTT', null)
  }
  const version = versionOf(name, level)
  if (version === null) {
    // [MQTT-3.1.2-2] Newer than we know: it will understand MQTT 5 sooner than 3.1.1.
    const answerAs = name === 'MQIsdp' ? 3 : level > 5 ? 5 : 4
    return new ConnectError(Reason.unsupportedProtocolVersion, `protocol ${name} level ${level}`, answerAs)
  }
  // [MQTT3-3.1.4-1] A malformed CONNECT of 3.x is not answered.
  const answerAs = version === 5 ? 5 : null
  if (version === 3) packet[0] = packet[0]! & 0xf0
  if ((packet[0]! & 0x0f) !== 0) pass.fail(Reason.malformedPacket, 'reserved flags in a CONNECT')

  const flagsAt = pass.at
  const flags = connectFlags(pass, version)
  packet[flagsAt] = flags
  pass.u16()
  if (version === 5) connectProperties(pass)

  pass.string('the client identifier')
  if (pass.error !== null) return connectError(pass.error, answerAs)
  if (!takesClientId(pass, version, flags)) {
    const characters = [...pass.valueText].length
    return new ConnectError(Reason.clientIdentifierNotValid, `a client identifier of ${characters} characters`, version)
  }

  const willProperties = (flags & WILL_FLAG) === 0 ? EMPTY : will(pass, version)
  if (version === 3) packet[flagsAt] = packet[flagsAt]! & ~missingCredentials(pass, flags)
  if ((packet[flagsAt]! & USERNAME_FLAG) !== 0) pass.string('the user name')
  if ((packet[flagsAt]! & PASSWORD_FLAG) !== 0) {
    if (version === 3 && pass.atEnd && pass.error === null) packet[flagsAt] = packet[flagsAt]! & ~PASSWORD_FLAG
    else pass.binary()
  }
  const error = pass.finish()
  if (error !== null) return connectError(error, answerAs)
  return { version, bridge: level >= BRIDGE_BIT, willProperties }
}

/** [MQTT3-3.1.3-8] And MQTT 3.1 section 3.1: 1 to 23 characters. */
function takesClientId(pass: BytePass, version: Version, flags: number): boolean {
  const empty = pass.valueStart === pass.valueEnd
  if (version === 3) return !empty && [...pass.valueText].length <= CLIENT_ID_MAX_3_1
  return !empty || version === 5 || (flags & CLEAN_FLAG) !== 0
}

/** Bridges of mosquitto and others set the highest bit of the level. */
function versionOf(name: 'MQTT' | 'MQIsdp', level: number): Version | null {
  if (name === 'MQIsdp') return (level & ~BRIDGE_BIT) === 3 ? 3 : null
  return (level & ~BRIDGE_BIT) === 4 ? 4 : level === 5 ? 5 : null
}

/** The connect flags, without those that MQTT 3.1 does not use. */
function connectFlags(pass: BytePass, version: Version): number {
  let flags = pass.u8()
  if (version === 3) {
    flags &= ~RESERVED_FLAG
    if ((flags & WILL_FLAG) === 0) flags &= ~(WILL_QOS_FLAGS | WILL_RETAIN_FLAG)
  }
  // [MQTT-3.1.2-3]
  if ((flags & RESERVED_FLAG) !== 0) pass.fail(Reason.malformedPacket, 'the reserved connect flag is set')
  // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  if ((flags & WILL_FLAG) === 0 && (flags & (WILL_QOS_FLAGS | WILL_RETAIN_FLAG)) !== 0) {
    pass.fail(Reason.malformedPacket, 'will flags without a will')
  }
  // [MQTT-3.1.2-12]
  if ((flags & WILL_QOS_FLAGS) === WILL_QOS_FLAGS) pass.fail(Reason.malformedPacket, 'a will with QoS 3')
  // [MQTT3-3.1.2-22] MQTT 5 allows a password without user name.
  if (version !== 5 && (flags & PASSWORD_FLAG) !== 0 && (flags & USERNAME_FLAG) === 0) {
    pass.fail(Reason.malformedPacket, 'a password without user name')
  }
  return flags
}

/** In MQTT 3.1 the remaining length overrules the flags: credentials that do not fit in are not there. */
function missingCredentials(pass: BytePass, flags: number): number {
  return pass.error === null && pass.atEnd ? flags & (USERNAME_FLAG | PASSWORD_FLAG) : 0
}

function connectProperties(pass: BytePass): void {
  let method = false
  let methodNeeded = false
  pass.allProperties(CONNECT_PROPERTIES, (id, { number }) => {
    if (id === Property.authenticationMethod) method = true
    if (id === Property.authenticationData) methodNeeded = true
    if (id === Property.receiveMaximum && number === 0) pass.fail(Reason.protocolError, 'a receive maximum of 0')
    if (id === Property.maximumPacketSize && number === 0) pass.fail(Reason.protocolError, 'a maximum packet size of 0')
    if ((id === Property.requestProblemInformation || id === Property.requestResponseInformation) && number > 1) {
      pass.fail(Reason.protocolError, 'a flag among the properties that is neither 0 nor 1')
    }
  })
  if (methodNeeded && !method) pass.fail(Reason.protocolError, 'authentication data without method')
}

/** Passes the will, and returns those of its properties that go to the receivers unaltered. */
function will(pass: BytePass, version: Version): Buffer {
  let properties: Buffer = EMPTY
  if (version === 5) {
    const at = pass.at
    pass.allProperties(WILL_PROPERTIES, (id, cursor) => {
      const wrong = passThroughError(id, cursor, pass.bytes)
      if (wrong !== null) pass.failWith(wrong)
    })
    if (pass.error === null) {
      properties = without(pass.bytes, at, pass.end, WILL_PROPERTIES, Property.willDelay, Property.messageExpiry)
    }
  }
  pass.string('the will topic')
  // [MQTT-4.7.0-1] [MQTT-4.7.3-1] It is a topic name.
  if (pass.error === null && (pass.valueStart === pass.valueEnd || /[+#]/.test(pass.valueText))) {
    pass.fail(Reason.topicNameInvalid, 'a will topic that is not a topic name')
  }
  pass.binary()
  return properties
}

export const connectError = (error: ProtocolError, answerAs: Version | null) =>
  new ConnectError(error.reason, error.message, answerAs)

export function checkSubscribe(packet: Buffer, bodyStart: number, version: Version): ProtocolError | null {
  const pass = new BytePass(packet, bodyStart)
  // [MQTT-3.8.1-1]
  requestFlags(pass, version)
  pass.packetId()
  if (version === 5) {
    pass.allProperties(SUBSCRIBE_PROPERTIES, (id, { number }) => {
      if (id === Property.subscriptionId && number === 0) {
        pass.fail(Reason.protocolError, 'a subscription identifier of 0')
      }
    })
  }
  // [MQTT-3.8.3-2]
  if (pass.atEnd) pass.fail(Reason.protocolError, 'a SUBSCRIBE without topic filter')
  while (!pass.atEnd) {
    pass.string('a topic filter')
    const shared = pass.bytes.toString('latin1', pass.valueStart, pass.valueEnd).startsWith('$share/')
    const optionsAt = pass.at
    const options = pass.u8()
    if (pass.error !== null) break
    if (version === 3) packet[optionsAt] = options & 3
    subscribeOptions(pass, version, version === 3 ? options & 3 : options, shared)
  }
  return pass.finish()
}

function subscribeOptions(pass: BytePass, version: Version, options: number, shared: boolean): void {
  // [MQTT-3.8.3-5] [MQTT3-3-8.3-4]
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) {
    pass.fail(Reason.malformedPacket, 'reserved bits in subscription options')
  } else if ((options & 3) === 3) {
    pass.fail(Reason.protocolError, 'a subscription with QoS 3')
  } else if ((options & 0x30) === 0x30) {
    pass.fail(Reason.protocolError, 'a subscription with retain handling 3')
  } else if (shared && (options & 4) !== 0) {
    // [MQTT-3.8.3-4]
    pass.fail(Reason.protocolError, 'a shared subscription with no local')
  }
}

export function checkUnsubscribe(packet: Buffer, bodyStart: number, version: Version): ProtocolError | null {
  const pass = new BytePass(packet, bodyStart)
  // [MQTT-3.10.1-1]
  requestFlags(pass, version)
  pass.packetId()
  if (version === 5) pass.allProperties(UNSUBSCRIBE_PROPERTIES, () => {})
  // [MQTT-3.10.3-2]
  if (pass.atEnd) pass.fail(Reason.protocolError, 'an UNSUBSCRIBE without topic filter')
  while (!pass.atEnd) pass.string('a topic filter')
  return pass.finish()
}

/** 0010; MQTT 3.1 sets DUP when it sends again, and leaves the last bit unused. */
function requestFlags(pass: BytePass, version: Version): void {
  const first = pass.bytes[0]!
  if (version === 3) pass.bytes[0] = (first & 0xf0) | 2
  else if ((first & 0x0f) !== 2) pass.fail(Reason.malformedPacket, 'reserved flags are not 0010')
}

/** Flags of 0, for PINGREQ, DISCONNECT and AUTH. */
function noFlags(pass: BytePass, version: Version): void {
  const first = pass.bytes[0]!
  if (version === 3) pass.bytes[0] = first & 0xf0
  else if ((first & 0x0f) !== 0) pass.fail(Reason.malformedPacket, 'reserved flags are not 0000')
}

export function checkPingreq(packet: Buffer, bodyStart: number, version: Version): ProtocolError | null {
  const pass = new BytePass(packet, bodyStart)
  noFlags(pass, version)
  return pass.finish()
}

export function checkDisconnect(packet: Buffer, bodyStart: number, version: Version): ProtocolError | null {
  const pass = new BytePass(packet, bodyStart)
  // [MQTT-3.14.1-1]
  noFlags(pass, version)
  if (version === 5 && !pass.atEnd) {
    const reason = pass.u8()
    // [MQTT-3.14.2-1]
    if (!DISCONNECT_REASONS.includes(reason)) pass.fail(Reason.protocolError, `reason ${reason} in a DISCONNECT`)
    if (!pass.atEnd) pass.allProperties(DISCONNECT_PROPERTIES, () => {})
  }
  return pass.finish()
}

export function checkAuth(packet: Buffer, bodyStart: number, version: Version): ProtocolError | null {
  const pass = new BytePass(packet, bodyStart)
  if (version !== 5) return new ProtocolError(Reason.protocolError, 'an AUTH before MQTT 5')
  // [MQTT-3.15.1-1]
  noFlags(pass, version)
  // [MQTT-3.15.2-1] Without a reason it would be Success, which only a server says.
  const reason = pass.atEnd ? Reason.success : pass.u8()
  if (reason !== Reason.continueAuthentication && reason !== Reason.reauthenticate) {
    pass.fail(Reason.protocolError, `reason ${reason} in an AUTH`)
  }
  let method = false
  if (!pass.atEnd) {
    pass.allProperties(AUTH_PROPERTIES, (id) => {
      if (id === Property.authenticationMethod) method = true
    })
  }
  if (!method) pass.fail(Reason.protocolError, 'an AUTH without authentication method')
  return pass.finish()
}
