// When a will is published (MQTT 3.1.2.5), decided without side effects.

import type { WillPacket } from '../wire/mqtt/packets.ts'

export type WillFate = 'drop' | 'now' | { readonly at: number }

/**
 * The fate of a will whose connection has just closed. `said` is whether the client said DISCONNECT with reason 0x00;
 * `endsAt` is when the session ends unless the client is back. [MQTT-3.1.2-8] [MQTT-3.14.4-3]
 */
export function willFate(will: WillPacket, said: boolean, nowMs: number, endsAt: number): WillFate {
  if (said) return 'drop'
  const at = Math.min(nowMs + will.delaySec * 1000, endsAt)
  return at <= nowMs ? 'now' : { at }
}
