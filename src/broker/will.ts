// When a will is published (MQTT 3.1.2.5), decided without side effects.

import type { ClientId, NodeId } from '../base/ids.ts'
import { compareStamps, type Stamp } from '../base/stamps.ts'
import type { Origin } from '../wire/message.ts'
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

/**
 * The id of the message that the will of a client becomes when its box is gone: the same whoever publishes it, so that two
 * who both do give one delivery (CLUSTER 7). No node has such an id: it is made from the client's.
 */
export function willId(
  clientId: ClientId,
  { wallMs, counter }: Stamp,
): { readonly origin: Origin; readonly counter: number } {
  let [high, low] = [0x811c9dc5, 0x01000193]
  for (let index = 0; index < clientId.length; index++) {
    high = Math.imul(high ^ clientId.charCodeAt(index), 0x01000193)
    low = Math.imul(low ^ high ^ (clientId.charCodeAt(index) << 8), 0x85ebca6b)
  }
  const node = [high, low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('') as NodeId
  return { origin: { node, incarnation: wallMs }, counter: counter + 1 }
}

/**
 * Whether the will of a client that is connected was published by mistake, where nobody knew of that: the will is that of
 * its CONNECT, or of an earlier one and was published after it. `epoch`: of the CONNECT that it has its connection by.
 */
export function isMistaken(epoch: Stamp, willOf: Stamp, publishedAt: Stamp | null): boolean {
  const order = compareStamps(epoch, willOf)
  return order === 0 || (order > 0 && publishedAt !== null && compareStamps(publishedAt, epoch) > 0)
}
