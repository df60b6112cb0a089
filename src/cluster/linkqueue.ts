// Messages that wait for a member whose link has no room: in order, bounded by number and bytes, QoS 0 out first.

import { Deque } from '../base/deque.ts'
import type { QoS } from '../wire/message.ts'
import type { ClusterSettings } from './settings.ts'

export interface WaitingItem {
  readonly qos: QoS
  /** As it goes into a batch; null: it was dropped to make room, and is passed over. */
  bytes: Buffer | null
  /** Monotonic milliseconds; Infinity: never. */
  readonly expiresAt: number
  /** Where its remaining expiry stands in `bytes`. */
  readonly expiryAt: number
}

export class LinkQueue {
  readonly #bounds: ClusterSettings['linkQueue']
  /** Told of each item that was dropped for want of room. */
  readonly #dropped: (qos: QoS) => void
  readonly #items = new Deque<WaitingItem>()
  /** Those of `#items` that have QoS 0, in order: the oldest is found at once. */
  readonly #qos0 = new Deque<WaitingItem>()
  #count = 0
  #bytes = 0

  constructor(bounds: ClusterSettings['linkQueue'], dropped: (qos: QoS) => void) {
    this.#bounds = bounds
    this.#dropped = dropped
  }

  get length(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many of that QoS wait. */
  countOf(qos: QoS): number {
    let count = 0
    for (const item of this.#items) if (item.bytes !== null && item.qos === qos) count++
    return count
  }

  /** Takes the item, or drops it; what it pushes out is dropped. False: it was not taken. */
  push(item: WaitingItem): boolean {
    const length = item.bytes!.length
    const evicts = item.qos > 0 || this.#bounds.whenFull === 'drop-oldest'
    while (this.#count > 0 && !this.#fits(length)) {
      const oldest = evicts ? this.#qos0.shift() : undefined
      if (oldest === undefined) {
        this.#dropped(item.qos)
        return false
      }
      this.#forget(oldest)
      this.#dropped(0)
    }
    this.#items.push(item)
    if (item.qos === 0) this.#qos0.push(item)
    this.#count++
    this.#bytes += length
    return true
  }

  /** The item that is next. */
  peek(): WaitingItem | undefined {
    for (;;) {
      const item = this.#items.peek()
      if (item === undefined || item.bytes !== null) return item
      this.#items.shift()
    }
  }

  /** Takes out the item that `peek` has shown. */
  shift(): void {
    const item = this.peek()
    if (item === undefined) return
    this.#items.shift()
    if (item.qos === 0) this.#qos0.shift()
    this.#forget(item)
  }

  /** Forgets everything. */
  clear(): void {
    this.#items.clear()
    this.#qos0.clear()
    this.#count = 0
    this.#bytes = 0
  }

  #fits(length: number): boolean {
    return this.#count < this.#bounds.maxMessages && this.#bytes + length <= this.#bounds.maxBytes
  }

  #forget(item: WaitingItem): void {
    this.#count--
    this.#bytes -= item.bytes!.length
    item.bytes = null
  }
}
