// QoS 1 and 2 messages sent to a client and not yet done with: packet ids, what each waits for, and the order they were
// sent in. Belongs to the session: it outlives connections.
//
// Packet ids are given in sequence; an id lives in slot (id mod capacity). Two ids never share a slot, because a taken
// slot makes the sequence skip on. Looking an id up is one array access.

import { assert } from '../base/errors.ts'
import type { Origin } from '../wire/message.ts'
import type { Awaiting, Delivery } from './delivery.ts'
import { sameOrigin } from './recentids.ts'

export interface Outgoing {
  readonly packetId: number
  readonly delivery: Delivery
  awaiting: Awaiting
  /** Its place in the order of first sending. */
  readonly order: number
  /** The store's position from which on what is said next about it may be said. */
  safeAt: number
}

const PACKET_ID_MAX = 0xffff
const CAPACITY_MIN = 4

export class Inflight {
  #slots: (Outgoing | null)[] | null = null
  #size = 0
  #lastId = 0
  #lastOrder = 0

  get size(): number {
    return this.#size
  }

  /** Gives the delivery a packet id that is free. [MQTT-2.2.1-4] [MQTT-4.3.2-1] */
  admit(delivery: Delivery): Outgoing {
    assert(this.#size < PACKET_ID_MAX, 'window over its bound')
    let slots = (this.#slots ??= new Array(CAPACITY_MIN).fill(null))
    if (this.#size === slots.length) slots = this.#grow(slots)
    const mask = slots.length - 1
    let id = this.#lastId
    do {
      id = id === PACKET_ID_MAX ? 1 : id + 1
    } while (slots[id & mask] !== null)
    this.#lastId = id
    const outgoing: Outgoing = {
      packetId: id,
      delivery,
      awaiting: delivery.qos === 1 ? 'puback' : 'pubrec',
      order: ++this.#lastOrder,
      safeAt: 0,
    }
    slots[id & mask] = outgoing
    this.#size++
    return outgoing
  }

  /** One that was under way when an earlier run ended; in the order in which they were sent. */
  restore(packetId: number, delivery: Delivery, awaiting: Awaiting): void {
    let slots = (this.#slots ??= new Array(CAPACITY_MIN).fill(null))
    while (slots[packetId & (slots.length - 1)] !== null && slots.length <= PACKET_ID_MAX) slots = this.#grow(slots)
    slots[packetId & (slots.length - 1)] = { packetId, delivery, awaiting, order: ++this.#lastOrder, safeAt: 0 }
    if (this.#lastId === 0) this.#lastId = packetId
    this.#size++
  }

  /** The next id is the one behind this, whatever is restored. */
  startBehind(id: number): void {
    this.#lastId = id & PACKET_ID_MAX || PACKET_ID_MAX
  }

  find(packetId: number): Outgoing | null {
    if (this.#slots === null) return null
    const outgoing = this.#slots[packetId & (this.#slots.length - 1)]!
    return outgoing !== null && outgoing.packetId === packetId ? outgoing : null
  }

  /** The exchange is complete; the id is free again. */
  release(outgoing: Outgoing): void {
    const slots = this.#slots!
    slots[outgoing.packetId & (slots.length - 1)] = null
    this.#size--
  }

  /** Whether the message with that id is under way; `shared`: by a shared subscription. */
  holds(origin: Origin, counter: number, shared: boolean): boolean {
    if (this.#slots === null) return false
    for (const outgoing of this.#slots) {
      if (outgoing === null) continue
      const { message, share } = outgoing.delivery
      if (message.counter === counter && (share !== null) === shared && sameOrigin(message.origin, origin)) return true
    }
    return false
  }

  /** All of them, in the order they were first sent, for a resumed session. */
  inOrder(): Outgoing[] {
    if (this.#slots === null) return []
    return this.#slots.filter((outgoing) => outgoing !== null).sort((a, b) => a.order - b.order)
  }

  clear(): void {
    this.#slots = null
    this.#size = 0
  }

  #grow(slots: (Outgoing | null)[]): (Outgoing | null)[] {
    const grown: (Outgoing | null)[] = new Array(slots.length * 2).fill(null)
    const mask = grown.length - 1
    for (const outgoing of slots) if (outgoing !== null) grown[outgoing.packetId & mask] = outgoing
    this.#slots = grown
    return grown
  }
}
