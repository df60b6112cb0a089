// What a client sends besides PUBLISH, decoded in one pass over its bytes (connect.ts, requests.ts). PUBLISH has its view
// (publish.ts).

import { assert, ProtocolError } from '../../base/errors.ts'
import { Reason } from '../../base/reasons.ts'
import { AckView, isAck } from './acks.ts'
import { BytePass } from './byte-pass.ts'
import { connectError, readConnect } from './connect.ts'
import type { ClientPacket, Version } from './packets.ts'
import { readAuth, readDisconnect, readPingreq, readSubscribe, readUnsubscribe } from './requests.ts'
import { varintBytes } from './varint.ts'

const CONNECT = 1
const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const PINGREQ = 12
const DISCONNECT = 14
const AUTH = 15

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
    const packet = readConnect(buffer, packetStart, bodyStart, end)
    if (packet instanceof ProtocolError || packet.version !== 5) return packet
    return lengthIsShortest(packetStart, bodyStart, end) ? packet : connectError(longLength(), 5)
  }
  assert(type !== PUBLISH, 'a PUBLISH is read by its view')
  // [MQTT-1.5.5-1]
  if (version === 5 && !lengthIsShortest(packetStart, bodyStart, end)) return longLength()
  if (isAck(buffer[packetStart]!)) {
    const ack = new AckView()
    return ack.read(buffer, packetStart, bodyStart, end, version) ?? ack
  }
  return request(type, buffer[packetStart]!, new BytePass(buffer, bodyStart, end), version)
}

function request(type: number, first: number, pass: BytePass, version: Version): ClientPacket | ProtocolError {
  switch (type) {
    case SUBSCRIBE:
      return readSubscribe(pass, first, version)
    case UNSUBSCRIBE:
      return readUnsubscribe(pass, first, version)
    case PINGREQ:
      return readPingreq(pass, first, version)
    case DISCONNECT:
      return readDisconnect(pass, first, version)
    case AUTH:
      return readAuth(pass, first, version)
    case CONNECT:
      // [MQTT-3.1.0-2]
      return protocolError('a second CONNECT')
    default:
      return protocolError(`packet type ${type} from a client`)
  }
}

const lengthIsShortest = (packetStart: number, bodyStart: number, end: number): boolean =>
  varintBytes(end - bodyStart) === bodyStart - packetStart - 1

const longLength = () => new ProtocolError(Reason.malformedPacket, 'a remaining length with more bytes than it needs')
const protocolError = (message: string) => new ProtocolError(Reason.protocolError, message)
