// What can be set of the broker, in the units the code uses. Defaults are those of the configuration file.

import type { QoS } from '../wire/message.ts'

export interface BrokerSettings {
  readonly sessions: {
    /** Longest session expiry granted, in seconds. */
    readonly maxExpirySec: number
    readonly queue: {
      readonly maxMessages: number
      readonly maxBytes: number
      /** Whether QoS 0 messages are queued for a session that is away. */
      readonly qos0: boolean
      readonly whenFull: 'drop-oldest' | 'drop-newest' | 'disconnect'
    }
  }
  readonly limits: {
    readonly maxConnections: number
    /** Bytes of a whole MQTT packet, header included. */
    readonly maxPacketSize: number
    readonly maxQoS: QoS
    readonly retain: boolean
    /** Our own Receive Maximum, and the most we have in flight to one client. */
    readonly maxInflight: number
    readonly maxTopicLevels: number
    readonly maxTopicAlias: number
    /** Seconds; the largest keep alive granted. */
    readonly maxKeepAliveSec: number
    /** Milliseconds from accept to CONNECT. */
    readonly connectTimeoutMs: number
    /** PUBLISH packets read of one client in a second; null: as many as come. */
    readonly messagesPerSecond: number | null
    /** Bytes read of one client in a second; null: as many as come. */
    readonly bytesPerSecond: number | null
  }
}

export const defaultBrokerSettings: BrokerSettings = {
  sessions: {
    maxExpirySec: 7 * 24 * 3600,
    queue: { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024, qos0: false, whenFull: 'drop-oldest' },
  },
  limits: {
    maxConnections: 20_000,
    maxPacketSize: 4 * 1024 * 1024,
    maxQoS: 2,
    retain: true,
    maxInflight: 64,
    maxTopicLevels: 200,
    maxTopicAlias: 64,
    maxKeepAliveSec: 65_535,
    connectTimeoutMs: 10_000,
    messagesPerSecond: null,
    bytesPerSecond: null,
  },
}
