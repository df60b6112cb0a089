// A CONNECT, read field by field: every rule that can be checked on the bytes, and the values.

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import { EMPTY, type QoS } from '../message.ts'
import { BytePass } from './byte-pass.ts'
import type { ConnectPacket, Version, WillPacket } from './packets.ts'
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
const RESERVED_FLAG = 0x01
const CLEAN_FLAG = 0x02
const WILL_FLAG = 0x04
const WILL_QOS_FLAGS = 0x18
const WILL_RETAIN_FLAG = 0x20
const PASSWORD_FLAG = 0x40
const USERNAME_FLAG = 0x80
const BRIDGE_BIT = 0x80
const CLIENT_ID_MAX_3_1 = 23
const NEVER_EXPIRES = 0xffffffff
const RECEIVE_MAXIMUM = 65_535

/** The packet in bytes [packetStart, end), found whole by the framer. What comes back has its own bytes. */
export function readConnect(
  bytes: Buffer,
  packetStart: number,
  bodyStart: number,
  end: number,
): ConnectPacket | ConnectError {
  const pass = new BytePass(bytes, bodyStart, end)
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
  // MQTT 3.1 leaves the header's flags unused.
  if (version !== 3 && (bytes[packetStart]! & 0x0f) !== 0) {
    pass.fail(Reason.malformedPacket, 'reserved flags in a CONNECT')
  }
  let flags = connectFlags(pass, version)
  const keepAliveSec = pass.u16()
  const properties = version === 5 ? connectProperties(pass) : BEFORE_5

  pass.string('the client identifier')
  if (pass.error !== null) return connectError(pass.error, answerAs)
  const clientId = pass.valueText
  if (!takesClientId(version, clientId, flags)) {
    const characters = [...clientId].length
    return new ConnectError(Reason.clientIdentifierNotValid, `a client identifier of ${characters} characters`, version)
  }

  const will = (flags & WILL_FLAG) === 0 ? null : willOf(pass, version, flags)
  // In MQTT 3.1 the remaining length overrules the flags: credentials that do not fit in are not there.
  if (version === 3 && pass.atEnd) flags &= ~(USERNAME_FLAG | PASSWORD_FLAG)
  let username: string | null = null
  if ((flags & USERNAME_FLAG) !== 0) {
    pass.string('the user name')
    username = pass.valueText
  }
  if (version === 3 && pass.atEnd) flags &= ~PASSWORD_FLAG
  let password: Buffer | null = null
  if ((flags & PASSWORD_FLAG) !== 0) {
    pass.binary()
    password = pass.valueCopy
  }
  const error = pass.finish()
  if (error !== null) return connectError(error, answerAs)
  const cleanStart = (flags & CLEAN_FLAG) !== 0
  return {
    kind: 'connect',
    version,
    bridge: level >= BRIDGE_BIT,
    cleanStart,
    keepAliveSec,
    clientId,
    username,
    password,
    will,
    sessionExpirySec: version === 5 ? properties.sessionExpirySec : cleanStart ? 0 : NEVER_EXPIRES,
    receiveMaximum: properties.receiveMaximum,
    maximumPacketSize: properties.maximumPacketSize,
    topicAliasMaximum: properties.topicAliasMaximum,
    requestResponseInformation: properties.requestResponseInformation,
    requestProblemInformation: properties.requestProblemInformation,
    authenticationMethod: properties.authenticationMethod,
    authenticationData: properties.authenticationData,
  }
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

/** [MQTT3-3.1.3-8] And MQTT 3.1 section 3.1: 1 to 23 characters. */
function takesClientId(version: Version, clientId: string, flags: number): boolean {
  if (version === 3) return clientId !== '' && [...clientId].length <= CLIENT_ID_MAX_3_1
  return version === 5 || clientId !== '' || (flags & CLEAN_FLAG) !== 0
}

type ConnectProperties = Pick<
  ConnectPacket,
  | 'sessionExpirySec'
  | 'receiveMaximum'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'authenticationMethod'
  | 'authenticationData'
>

/** What one means that says nothing of these. */
const BEFORE_5: ConnectProperties = {
  sessionExpirySec: 0,
  receiveMaximum: RECEIVE_MAXIMUM,
  maximumPacketSize: null,
  topicAliasMaximum: 0,
  requestResponseInformation: false,
  requestProblemInformation: true,
  authenticationMethod: null,
  authenticationData: null,
}

function connectProperties(pass: BytePass): ConnectProperties {
  const values: { -readonly [K in keyof ConnectProperties]: ConnectProperties[K] } = { ...BEFORE_5 }
  pass.allProperties(CONNECT_PROPERTIES, (id, cursor) => {
    const { number } = cursor
    switch (id) {
      case Property.sessionExpiry:
        values.sessionExpirySec = number
        return
      case Property.receiveMaximum:
        if (number === 0) pass.fail(Reason.protocolError, 'a receive maximum of 0')
        values.receiveMaximum = number
        return
      case Property.maximumPacketSize:
        if (number === 0) pass.fail(Reason.protocolError, 'a maximum packet size of 0')
        values.maximumPacketSize = number
        return
      case Property.topicAliasMaximum:
        values.topicAliasMaximum = number
        return
      case Property.requestResponseInformation:
        values.requestResponseInformation = flag(pass, number)
        return
      case Property.requestProblemInformation:
        values.requestProblemInformation = flag(pass, number)
        return
      case Property.authenticationMethod:
        values.authenticationMethod = cursor.text()
        return
      case Property.authenticationData:
        values.authenticationData = Buffer.from(pass.bytes.subarray(cursor.valueStart, cursor.valueEnd))
        return
    }
  })
  if (values.authenticationData !== null && values.authenticationMethod === null) {
    pass.fail(Reason.protocolError, 'authentication data without method')
  }
  return values
}

function flag(pass: BytePass, number: number): boolean {
  if (number > 1) pass.fail(Reason.protocolError, 'a flag among the properties that is neither 0 nor 1')
  return number === 1
}

function willOf(pass: BytePass, version: Version, flags: number): WillPacket {
  let properties: Buffer = EMPTY
  let delaySec = 0
  let expirySec: number | null = null
  if (version === 5) {
    const { at } = pass
    pass.allProperties(WILL_PROPERTIES, (id, cursor) => {
      if (id === Property.willDelay) delaySec = cursor.number
      if (id === Property.messageExpiry) expirySec = cursor.number
      const wrong = passThroughError(id, cursor, pass.bytes)
      if (wrong !== null) pass.failWith(wrong)
    })
    // Those that go to the receivers unaltered, in order.
    if (pass.error === null) {
      properties = without(pass.bytes, at, pass.end, WILL_PROPERTIES, Property.willDelay, Property.messageExpiry)
    }
  }
  pass.string('the will topic')
  const topic = pass.valueText
  // [MQTT-4.7.0-1] [MQTT-4.7.3-1] It is a topic name.
  if (pass.error === null && (topic === '' || /[+#]/.test(topic))) {
    pass.fail(Reason.topicNameInvalid, 'a will topic that is not a topic name')
  }
  pass.binary()
  return {
    topic,
    qos: ((flags & WILL_QOS_FLAGS) >> 3) as QoS,
    retain: (flags & WILL_RETAIN_FLAG) !== 0,
    payload: pass.valueCopy,
    delaySec,
    expirySec,
    properties,
  }
}

export const connectError = (error: ProtocolError, answerAs: Version | null) =>
  new ConnectError(error.reason, error.message, answerAs)
