// The MQTT control packets as values, one type for all versions: what a version lacks has the value that means the same.
// PUBLISH has its own reader (publish.ts), because every message passes through it.

import type { QoS } from '../message.ts'

/** 3 is MQTT 3.1 (MQIsdp), 4 is 3.1.1, 5 is 5.0. */
export type Version = 3 | 4 | 5

export type UserProperty = readonly [name: string, value: string]

export interface WillPacket {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly payload: Buffer
  /** Seconds; 0 for 3.x. */
  readonly delaySec: number
  /** Seconds, or null: never expires. */
  readonly expirySec: number | null
  /** Pass-through properties as encoded, as in Message.properties. */
  readonly properties: Buffer
}

export interface ConnectPacket {
  readonly kind: 'connect'
  readonly version: Version
  /** The bridge bit of mosquitto's and others' bridges (protocol level 0x83, 0x84). */
  readonly bridge: boolean
  readonly cleanStart: boolean
  readonly keepAliveSec: number
  readonly clientId: string
  readonly username: string | null
  readonly password: Buffer | null
  readonly will: WillPacket | null
  /** Seconds; 0xffffffff: never. For 3.x: 0 with clean session, else 0xffffffff. */
  readonly sessionExpirySec: number
  /** 65,535 when absent. */
  readonly receiveMaximum: number
  /** Bytes; null: no limit. */
  readonly maximumPacketSize: number | null
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly authenticationMethod: string | null
  readonly authenticationData: Buffer | null
}

export interface SubscribeEntry {
  /** As sent; checked for UTF-8 but not yet as a topic filter. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly kind: 'subscribe'
  readonly packetId: number
  /** 1 to 268,435,455; null: none. */
  readonly subscriptionId: number | null
  readonly entries: readonly SubscribeEntry[]
}

export interface UnsubscribePacket {
  readonly kind: 'unsubscribe'
  readonly packetId: number
  readonly filters: readonly string[]
}

export interface DisconnectPacket {
  readonly kind: 'disconnect'
  readonly reason: number
  /** null: not changed. */
  readonly sessionExpirySec: number | null
}

export interface AuthPacket {
  readonly kind: 'auth'
  readonly reason: number
  readonly method: string | null
  readonly data: Buffer | null
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP, read by our own codec. */
export interface AckPacket {
  readonly kind: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  readonly packetId: number
  readonly reason: number
}

/** What a client sends, without PUBLISH. */
export type ClientPacket =
  | ConnectPacket
  | SubscribePacket
  | UnsubscribePacket
  | DisconnectPacket
  | AuthPacket
  | AckPacket
  | { readonly kind: 'pingreq' }

export interface ConnackValues {
  readonly sessionPresent: boolean
  /** An MQTT 5 reason code; translated for 3.x. */
  readonly reason: number
  readonly sessionExpirySec?: number
  readonly receiveMaximum?: number
  readonly maximumQoS?: QoS
  readonly retainAvailable?: boolean
  readonly maximumPacketSize?: number
  readonly assignedClientId?: string
  readonly topicAliasMaximum?: number
  readonly reasonString?: string
  readonly serverKeepAliveSec?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Buffer
}

export interface DisconnectValues {
  readonly reason: number
  readonly reasonString?: string
  readonly serverReference?: string
}
