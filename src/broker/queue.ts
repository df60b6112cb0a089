// What waits for a session: bounded by messages and bytes, with a policy for the moment the bound is reached.

import { Deque } from '../base/deque.ts'
import type { Message, Origin } from '../wire/message.ts'
import type { Delivery } from './delivery.ts'
import { type RecentIds, sameOrigin } from './recentids.ts'
import type { BrokerSettings } from './settings.ts'

export type QueueSettings = BrokerSettings['sessions']['queue']
export type Pushed = 'queued' | 'dropped-oldest' | 'dropped-newest' | 'refused'

/** Of two messages of one node. */
const isOlder = (a: Message, b: Message): boolean =>
  a.origin.incarnation < b.origin.incarnation ||
  (a.origin.incarnation === b.origin.incarnation && a.counter < b.counter)

export class SessionQueue {
  /** Made with the first message: most sessions never queue anything. */
  #waiting: Deque<Delivery> | null = null
  #bytes = 0
  #qos0 = 0
  /** This node's messages up to this one were published before the session came here; null: it has always been here. */
  since: number | null = null
  /** Messages of members that came here lately, waiting or not; null: none. */
  recent: RecentIds | null = null
  /** Messages that gave way in the last push, for the caller to count. */
  lastDropped = 0

  get length(): number {
    return this.#waiting === null ? 0 : this.#waiting.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether QoS 0 messages wait here: later ones must then wait behind them. */
  get holdsQoS0(): boolean {
    return this.#qos0 > 0
  }

  get qos0(): number {
    return this.#qos0
  }

  /**
   * Takes a delivery in, by the policy. 'dropped-oldest': taken, and `lastDropped` others gave way. 'dropped-newest' and
   * 'refused' (policy disconnect): not taken.
   */
  push(delivery: Delivery, settings: QueueSettings): Pushed {
    const waiting = (this.#waiting ??= new Deque())
    const bytes = delivery.bytes
    this.lastDropped = 0
    let outcome: Pushed = 'queued'
    if (waiting.length >= settings.maxMessages || this.#bytes + bytes > settings.maxBytes) {
      if (settings.whenFull === 'disconnect') return 'refused'
      if (settings.whenFull === 'drop-newest' || bytes > settings.maxBytes) return 'dropped-newest'
      while (
        waiting.length > 0 &&
        (waiting.length >= settings.maxMessages || this.#bytes + bytes > settings.maxBytes)
      ) {
        this.shift()!.forget()
        this.lastDropped++
      }
      outcome = 'dropped-oldest'
    }
    this.#put(waiting, delivery)
    return outcome
  }

  /**
   * The one pushed last came another way than those before it, or later: it goes before those that its origin has given
   * ids after it, so that they come in the order in which they were published. QoS 2 goes by when it was released.
   */
  putInOrder(): void {
    const waiting = this.#waiting
    if (waiting === null || waiting.length < 2) return
    const last = waiting.length - 1
    const { message } = waiting.at(last)!
    if (message.qos === 0) return
    let place = last
    for (let index = last - 1; index >= 0; index--) {
      const other = waiting.at(index)!.message
      if (other.qos !== message.qos || other.origin.node !== message.origin.node) continue
      if (isOlder(other, message)) break
      place = index
    }
    if (place < last) waiting.moveLast(place)
  }

  peek(): Delivery | undefined {
    return this.#waiting?.peek()
  }

  shift(): Delivery | undefined {
    const delivery = this.#waiting?.shift()
    if (delivery !== undefined) {
      this.#bytes -= delivery.bytes
      if (delivery.qos === 0) this.#qos0--
    }
    return delivery
  }

  /** Those that are kept under ids above `after`, in order. */
  above(after: number): Delivery[] {
    const found: Delivery[] = []
    if (this.#waiting === null) return found
    // Ids do not always grow along the queue: what came late stands where it belongs.
    for (const delivery of this.#waiting)
      if (delivery.record !== null && delivery.record.id > after) found.push(delivery)
    return found
  }

  /** Keeps, in order, those that `keep` is true of. */
  filter(keep: (delivery: Delivery) => boolean): void {
    for (let left = this.length; left > 0; left--) {
      const delivery = this.shift()!
      if (keep(delivery)) this.#put(this.#waiting!, delivery)
    }
  }

  /** Whether the message with that id waits here; `shared`: by a shared subscription. */
  holds(origin: Origin, counter: number, shared: boolean): boolean {
    for (let index = 0; index < this.length; index++) {
      const { message, share } = this.#waiting!.at(index)!
      if (message.counter === counter && (share !== null) === shared && sameOrigin(message.origin, origin)) return true
    }
    return false
  }

  /** Takes one in that waited when an earlier run ended. */
  restore(delivery: Delivery): void {
    this.#put((this.#waiting ??= new Deque()), delivery)
    this.putInOrder()
  }

  clear(): void {
    if (this.#waiting !== null) for (const delivery of this.#waiting) delivery.forget()
    this.#waiting = null
    this.#bytes = 0
    this.#qos0 = 0
  }

  #put(waiting: Deque<Delivery>, delivery: Delivery): void {
    waiting.push(delivery)
    this.#bytes += delivery.bytes
    if (delivery.qos === 0) this.#qos0++
  }
}
