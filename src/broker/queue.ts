// What waits for a session: bounded by messages and bytes, with a policy for the moment the bound is reached.

import { Deque } from '../base/deque.ts'
import type { Origin } from '../wire/message.ts'
import type { Delivery } from './delivery.ts'
import { type RecentIds, sameOrigin } from './recentids.ts'
import type { BrokerSettings } from './settings.ts'

export type QueueSettings = BrokerSettings['sessions']['queue']
export type Pushed = 'queued' | 'dropped-oldest' | 'dropped-newest' | 'refused'

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
    for (let index = this.length - 1; index >= 0; index--) {
      const delivery = this.#waiting!.at(index)!
      const { record } = delivery
      if (record !== null && record.id <= after) break
      if (record !== null) found.push(delivery)
    }
    return found.reverse()
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
