// QoS 2 messages a client has begun to send: each is kept from PUBLISH to PUBREL, and routed at PUBREL, so that a resent
// PUBLISH is never a second message. Belongs to the session.

import type { Message } from '../wire/message.ts'
import type { Use } from './keeping.ts'

export class Inbound {
  #messages: Map<number, Message> | null = null
  /** What the store keeps of them, by packet id. */
  #uses: Map<number, Use> | null = null
  /**
   * Those that were released in an earlier run, or at another box, by packet id: the client may not have heard of it and
   * release them again. It may also have, and begin another under the id. [MQTT-4.3.3-6]
   */
  #released: Map<number, Use> | null = null
  #bytes = 0

  get size(): number {
    return this.#messages === null ? 0 : this.#messages.size
  }

  get bytes(): number {
    return this.#bytes
  }

  has(packetId: number): boolean {
    return this.#messages?.has(packetId) ?? false
  }

  /** [MQTT-4.3.3-10] The id stays taken until PUBREL. */
  begin(packetId: number, message: Message, use: Use | null = null): void {
    if (use !== null) (this.#uses ??= new Map()).set(packetId, use)
    this.#messages ??= new Map()
    this.#messages.set(packetId, message)
    this.#bytes += message.payload.length
  }

  /** One that was released before: its packet id is not taken. */
  released(packetId: number, use: Use): void {
    ;(this.#released ??= new Map()).set(packetId, use)
  }

  /** What the store keeps of one that was released before, for whoever ends that. */
  takeReleased(packetId: number): Use | null {
    const use = this.#released?.get(packetId) ?? null
    this.#released?.delete(packetId)
    return use
  }

  /** [MQTT-4.3.3-12] After PUBREL the id is new. Null: no exchange with this id. */
  release(packetId: number): Message | null {
    const message = this.#messages?.get(packetId)
    if (message === undefined) return null
    this.#messages!.delete(packetId)
    this.#bytes -= message.payload.length
    return message
  }

  /** What the store keeps of all exchanges. */
  uses(): readonly Use[] {
    return [...(this.#released?.values() ?? []), ...(this.#uses?.values() ?? [])]
  }

  /** What the store keeps of it, for whoever ends that. */
  takeUse(packetId: number): Use | null {
    const use = this.#uses?.get(packetId) ?? null
    this.#uses?.delete(packetId)
    return use
  }

  /** Ends all exchanges; returns what the store keeps of them. */
  clear(): readonly Use[] {
    const uses = this.uses()
    this.#uses = null
    this.#released = null
    this.#messages = null
    this.#bytes = 0
    return uses
  }
}
