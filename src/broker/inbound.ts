// QoS 2 messages a client has begun to send: each is kept from PUBLISH to PUBREL, and routed at PUBREL, so that a resent
// PUBLISH is never a second message. Belongs to the session.

import type { Message } from '../wire/message.ts'

export class Inbound {
  #messages: Map<number, Message> | null = null
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
  begin(packetId: number, message: Message): void {
    this.#messages ??= new Map()
    this.#messages.set(packetId, message)
    this.#bytes += message.payload.length
  }

  /** [MQTT-4.3.3-12] After PUBREL the id is new. Null: no exchange with this id. */
  release(packetId: number): Message | null {
    const message = this.#messages?.get(packetId)
    if (message === undefined) return null
    this.#messages!.delete(packetId)
    this.#bytes -= message.payload.length
    return message
  }

  clear(): void {
    this.#messages = null
    this.#bytes = 0
  }
}
