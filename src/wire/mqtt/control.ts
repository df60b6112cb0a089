// What a client sends besides PUBLISH, decoded: the byte pass of strict.ts says whether the packet is good, then
// mqtt-packet gives its values. PUBLISH has its view (publish.ts).

import {
  type IAuthPacket,
  type IConnectPacket,
  type IDisconnectPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  type Parser,
  parser,
} from 'mqtt-packet'
import { assert, ProtocolError } from '../../base/errors.ts'
import { Reason } from '../../base/reasons.ts'
import type { QoS } from '../message.ts'
import { AckView, isAck } from './acks.ts'
import type { ClientPacket, ConnectPacket, SubscribePacket, Version, WillPacket } from './packets.ts'
import {
  type CheckedConnect,
  checkAuth,
  checkConnect,
  checkDisconnect,
  checkPingreq,
  checkSubscribe,
  checkUnsubscribe,
  connectError,
} from './strict.ts'
import { varintBytes } from './varint.ts'

const CONNECT = 1
const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const PINGREQ = 12
const DISCONNECT = 14
const AUTH = 15

const NEVER_EXPIRES = 0xffffffff
const RECEIVE_MAXIMUM = 65_535

/** mqtt-packet's parser, given whole packets one at a time. It keeps nothing from one packet to the next. */
class OnePacketParser {
  readonly #parser: Parser
  #packet: Packet | null = null

  constructor(protocolVersion: Version) {
    this.#parser = parser({ protocolVersion })
    this.#parser.on('packet', (packet: Packet) => {
      this.#packet = packet
    })
    this.#parser.on('error', () => {
      this.#packet = null
    })
  }

  /** The caller says which packet the byte pass has found. */
  parse<P extends Packet>(bytes: Buffer): P | ProtocolError {
    this.#packet = null
    const left = this.#parser.parse(bytes)
    const packet = this.#packet as Packet | null
    if (packet !== null && left === 0) return packet as P
    return new ProtocolError(Reason.malformedPacket, 'a packet that mqtt-packet does not take')
  }
}

// A CONNECT changes the version of the parser that reads it, so it has one of its own.
const connects = new OnePacketParser(4)
const before5 = new OnePacketParser(4)
const since5 = new OnePacketParser(5)

/**
 * Decodes the packet in bytes [packetStart, end) of `buffer`, which the framer has found whole and which is not a
 * PUBLISH of a connected client. `version` is that of the connection, null before its CONNECT. What comes back has its
 * own bytes. The error for a CONNECT is a ConnectError, unless it is the second one.
 */
export function decodeControl(
  buffer: Buffer,
  packetStart: number,
  bodyStart: number,
  end: number,
  version: Version | null,
): ClientPacket | ProtocolError {
  const type = buffer[packetStart]! >> 4
  if (version === null) {
    // [MQTT-3.1.0-1]
    if (type !== CONNECT) return protocolError(`packet type ${type} before CONNECT`)
    return connect(ownCopy(buffer, packetStart, end), bodyStart - packetStart)
  }
  assert(type !== PUBLISH, 'a PUBLISH is read by its view')
  // [MQTT-1.5.5-1]
  if (version === 5 && !lengthIsShortest(packetStart, bodyStart, end)) return longLength()
  if (isAck(buffer[packetStart]!)) {
    const ack = new AckView()
    return ack.read(buffer, packetStart, bodyStart, end, version) ?? ack
  }
  return request(type, ownCopy(buffer, packetStart, end), bodyStart - packetStart, version)
}

function request(type: number, packet: Buffer, bodyStart: number, version: Version): ClientPacket | ProtocolError {
  switch (type) {
    case SUBSCRIBE:
      return checkSubscribe(packet, bodyStart, version) ?? subscribe(packet, version)
    case UNSUBSCRIBE:
      return checkUnsubscribe(packet, bodyStart, version) ?? unsubscribe(packet, version)
    case PINGREQ:
      return checkPingreq(packet, bodyStart, version) ?? { kind: 'pingreq' }
    case DISCONNECT:
      return checkDisconnect(packet, bodyStart, version) ?? disconnect(packet, bodyStart, version)
    case AUTH:
      return checkAuth(packet, bodyStart, version) ?? auth(packet)
    case CONNECT:
      // [MQTT-3.1.0-2]
      return protocolError('a second CONNECT')
    default:
      return protocolError(`packet type ${type} from a client`)
  }
}

function connect(packet: Buffer, bodyStart: number): ConnectPacket | ProtocolError {
  const checked = checkConnect(packet, bodyStart)
  if (checked instanceof ProtocolError) return checked
  const { version, bridge } = checked
  const answerAs = version === 5 ? 5 : null
  if (version === 5 && !lengthIsShortest(0, bodyStart, packet.length)) return connectError(longLength(), answerAs)
  const parsed = connects.parse<IConnectPacket>(packet)
  if (parsed instanceof ProtocolError) return connectError(parsed, answerAs)
  const properties = parsed.properties ?? {}
  const cleanStart = parsed.clean === true
  return {
    kind: 'connect',
    version,
    bridge,
    cleanStart,
    keepAliveSec: parsed.keepalive ?? 0,
    clientId: parsed.clientId,
    username: parsed.username ?? null,
    password: parsed.password ?? null,
    will: willOf(parsed, checked),
    sessionExpirySec: version === 5 ? (properties.sessionExpiryInterval ?? 0) : cleanStart ? 0 : NEVER_EXPIRES,
    receiveMaximum: properties.receiveMaximum ?? RECEIVE_MAXIMUM,
    maximumPacketSize: properties.maximumPacketSize ?? null,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    requestResponseInformation: properties.requestResponseInformation ?? false,
    requestProblemInformation: properties.requestProblemInformation ?? true,
    authenticationMethod: properties.authenticationMethod ?? null,
    authenticationData: properties.authenticationData ?? null,
  }
}

function willOf({ will }: IConnectPacket, { willProperties }: CheckedConnect): WillPacket | null {
  if (will === undefined) return null
  return {
    topic: will.topic,
    qos: will.qos ?? 0,
    retain: will.retain === true,
    payload: will.payload as Buffer,
    delaySec: will.properties?.willDelayInterval ?? 0,
    expirySec: will.properties?.messageExpiryInterval ?? null,
    // The byte pass took them as they stand: mqtt-packet groups user properties by name and so loses their order.
    properties: willProperties,
  }
}

function subscribe(packet: Buffer, version: Version): SubscribePacket | ProtocolError {
  const parsed = parserFor(version).parse<ISubscribePacket>(packet)
  if (parsed instanceof ProtocolError) return parsed
  return {
    kind: 'subscribe',
    packetId: parsed.messageId!,
    subscriptionId: parsed.properties?.subscriptionIdentifier ?? null,
    entries: parsed.subscriptions.map(({ topic, qos, nl, rap, rh }) => ({
      filter: topic,
      qos: qos as QoS,
      noLocal: nl ?? false,
      retainAsPublished: rap ?? false,
      retainHandling: (rh ?? 0) as 0 | 1 | 2,
    })),
  }
}

function unsubscribe(packet: Buffer, version: Version): ClientPacket | ProtocolError {
  const parsed = parserFor(version).parse<IUnsubscribePacket>(packet)
  if (parsed instanceof ProtocolError) return parsed
  return { kind: 'unsubscribe', packetId: parsed.messageId!, filters: parsed.unsubscriptions }
}

/** What nearly all of them are: nothing behind the header. */
const GOODBYE: ClientPacket = { kind: 'disconnect', reason: Reason.success, sessionExpirySec: null }

function disconnect(packet: Buffer, bodyStart: number, version: Version): ClientPacket | ProtocolError {
  if (bodyStart === packet.length) return GOODBYE
  const parsed = parserFor(version).parse<IDisconnectPacket>(packet)
  if (parsed instanceof ProtocolError) return parsed
  return {
    kind: 'disconnect',
    reason: parsed.reasonCode ?? 0,
    sessionExpirySec: parsed.properties?.sessionExpiryInterval ?? null,
  }
}

function auth(packet: Buffer): ClientPacket | ProtocolError {
  const parsed = since5.parse<IAuthPacket>(packet)
  if (parsed instanceof ProtocolError) return parsed
  return {
    kind: 'auth',
    reason: parsed.reasonCode,
    method: parsed.properties?.authenticationMethod ?? null,
    data: parsed.properties?.authenticationData ?? null,
  }
}

const parserFor = (version: Version): OnePacketParser => (version === 5 ? since5 : before5)

const ownCopy = (buffer: Buffer, start: number, end: number): Buffer => Buffer.from(buffer.subarray(start, end))

const lengthIsShortest = (packetStart: number, bodyStart: number, end: number): boolean =>
  varintBytes(end - bodyStart) === bodyStart - packetStart - 1

const longLength = () => new ProtocolError(Reason.malformedPacket, 'a remaining length with more bytes than it needs')
const protocolError = (message: string) => new ProtocolError(Reason.protocolError, message)
