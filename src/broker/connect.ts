// What a CONNECT gets: refused with a reason, or the terms of the connection. Decided without side effects.

import { ProtocolError } from '../base/errors.ts'
import type { ClientId } from '../base/ids.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { parseTopicName } from '../topic/name.ts'
import { encodeConnack } from '../wire/mqtt/encode.ts'
import type { ConnackValues, ConnectPacket, Version } from '../wire/mqtt/packets.ts'
import type { BrokerSettings } from './settings.ts'

export interface Refusal {
  readonly refused: ReasonCode
  readonly why: string
}

export interface Terms {
  readonly clientId: ClientId
  /** Seconds that the session lasts without a connection. */
  readonly expirySec: number
  /** Milliseconds of silence after which the client is taken for dead; Infinity: it may be silent. */
  readonly silenceMs: number
  /** QoS 1 and 2 messages under way to the client at once. */
  readonly window: number
  /** What an MQTT 5 client is told of all this; a 3.x client is told nothing. */
  readonly told: Partial<ConnackValues>
}

/** What the CONNECT asks for and this broker does not have, whoever asks; null: nothing. */
export function objection(packet: ConnectPacket, settings: BrokerSettings): Refusal | null {
  const { limits } = settings
  const { will } = packet
  if (will === null) return null
  const topic = parseTopicName(will.topic, limits.maxTopicLevels)
  if (topic instanceof ProtocolError) return refuse(Reason.topicNameInvalid, topic.message)
  // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
  if (will.qos > limits.maxQoS) return refuse(Reason.qosNotSupported, 'will QoS not supported')
  if (will.retain && !limits.retain) return refuse(Reason.retainNotSupported, 'retained will not supported')
  return null
}

/** The terms for a client that may connect. `madeUp` gives a client id to one that has none; `proof` is our last word in
 * an enhanced authentication. */
export function termsFor(packet: ConnectPacket, settings: BrokerSettings, madeUp: () => string, proof?: Buffer): Terms {
  const { limits } = settings
  const assigned = packet.clientId === '' ? madeUp() : null
  const clientId = (assigned ?? packet.clientId) as ClientId
  const expirySec = cappedExpirySec(packet.sessionExpirySec, settings)
  const keepAliveSec = grantedKeepAliveSec(packet, limits.maxKeepAliveSec)
  const told: { -readonly [K in keyof ConnackValues]?: ConnackValues[K] } = {
    receiveMaximum: limits.maxInflight,
    maximumPacketSize: limits.maxPacketSize,
  }
  // [MQTT-4.12.0-5]
  if (packet.authenticationMethod !== null) told.authenticationMethod = packet.authenticationMethod
  if (proof !== undefined) told.authenticationData = proof
  if (limits.maxTopicAlias > 0) told.topicAliasMaximum = limits.maxTopicAlias
  if (expirySec !== packet.sessionExpirySec) told.sessionExpirySec = expirySec
  // [MQTT-3.2.2-9]
  if (limits.maxQoS < 2) told.maximumQoS = limits.maxQoS
  if (!limits.retain) told.retainAvailable = false
  // [MQTT-3.2.2-16]
  if (assigned !== null) told.assignedClientId = assigned
  if (keepAliveSec !== packet.keepAliveSec) told.serverKeepAliveSec = keepAliveSec
  // [MQTT-3.1.2-28] A prefix for response topics that is this client's own.
  if (packet.requestResponseInformation) told.responseInformation = `response/${encodeURIComponent(clientId)}`
  return {
    clientId,
    expirySec,
    // [MQTT-3.1.2-22] One and a half times the keep alive.
    silenceMs: keepAliveSec === 0 ? Number.POSITIVE_INFINITY : keepAliveSec * 1500,
    window: Math.min(packet.receiveMaximum, limits.maxInflight),
    told,
  }
}

/**
 * The CONNACK of a refusal: without its reason string where the client takes no packet of that size; null: with no word
 * at all. [MQTT-3.2.2-19]
 */
export function refusalConnack({ refused, why }: Refusal, version: Version, sizeMax: number): Buffer | null {
  const values: ConnackValues = { sessionPresent: false, reason: refused, reasonString: why }
  const whole = encodeConnack(values, version)
  if (whole === null || whole.length <= sizeMax) return whole
  const short = encodeConnack({ sessionPresent: false, reason: refused }, version)!
  return short.length <= sizeMax ? short : null
}

/** [MQTT-3.1.2-24] Whether the client takes its own CONNACK; everything smaller that we must say fits then as well. */
export function takesConnack({ told }: Terms, { version, maximumPacketSize }: ConnectPacket): boolean {
  if (maximumPacketSize === null) return true
  return encodeConnack({ ...told, sessionPresent: false, reason: Reason.success }, version)!.length <= maximumPacketSize
}

export const cappedExpirySec = (wantedSec: number, settings: BrokerSettings): number =>
  Math.min(wantedSec, settings.sessions.maxExpirySec)

/** Only an MQTT 5 client can be told to keep alive more often than it wants. [MQTT-3.2.2-22] */
function grantedKeepAliveSec(packet: ConnectPacket, maxSec: number): number {
  const wantedSec = packet.keepAliveSec
  if (packet.version !== 5 || maxSec >= 65_535) return wantedSec
  return wantedSec === 0 || wantedSec > maxSec ? maxSec : wantedSec
}

export const NO_ROOM: Refusal = { refused: Reason.packetTooLarge, why: 'its maximum packet size is too small' }

const refuse = (refused: ReasonCode, why: string): Refusal => ({ refused, why })
