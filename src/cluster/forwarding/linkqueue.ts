// Messages that wait for a member which cannot take them now: in order, bounded by number and bytes. QoS 0 is out first,
// by the bound of the link; QoS 1 and 2 have the bound of a session's queue, for that is where they would wait.

import { Deque } from '../../base/deque.ts'
import type { Kept } from '../../broker/ports.ts'
import { ageItems, writeExpiry } from '../../wire/link/forward.ts'
import type { Late, QoS } from '../../wire/message.ts'
import type { ClusterSettings } from '../settings.ts'

export interface WaitingItem {
  readonly qos: QoS
  /** As they go into a batch; null: dropped to make room, and passed over. */
  bytes: Buffer | null
  /** How many items that is. */
  readonly count: number
  /** When their expiry was as it stands in `bytes`. */
  readonly atMs: number
  /** Monotonic milliseconds; Infinity: never, or as the items say. */
  readonly expiresAt: number
  /** Where the remaining expiry of a single item stands in `bytes`; -1: the items say themselves when they expire. */
  readonly expiryAt: number
  /** Whether they may have come before, another way. */
  late: Late
  /** The position that is held up until they are safe; 0: none. */
  position: number
  /** Their record in the store; null: not parked. */
  kept: Kept | null
}

/** One item that has come just now. Written out: this is done for each message of a crowded link. */
export const waiting = (qos: QoS, bytes: Buffer, atMs: number, expiresAt: number, expiryAt: number): WaitingItem => ({
  qos,
  bytes,
  count: 1,
  atMs,
  expiresAt,
  expiryAt,
  late: false,
  position: 0,
  kept: null,
})

export interface QueueBounds {
  readonly maxMessages: number
  readonly maxBytes: number
}

export class LinkQueue {
  readonly #bounds: ClusterSettings['linkQueue']
  /** Of QoS 1 and 2. */
  readonly #stored: () => QueueBounds
  /** Told of each that was dropped for want of room. */
  readonly #dropped: (item: WaitingItem) => void
  readonly #items = new Deque<WaitingItem>()
  /** Those of `#items` that have QoS 0, and the others, in order: the oldest is found at once. */
  readonly #qos0 = new Deque<WaitingItem>()
  readonly #qos12 = new Deque<WaitingItem>()
  #count = 0
  #bytes = 0
  #storedCount = 0
  #storedBytes = 0

  constructor(bounds: ClusterSettings['linkQueue'], stored: () => QueueBounds, dropped: (item: WaitingItem) => void) {
    this.#bounds = bounds
    this.#stored = stored
    this.#dropped = dropped
  }

  /** Messages that wait. */
  get length(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** When the oldest came that somebody waits for; null: nobody does. */
  get awaitedSince(): number | null {
    const oldest = this.#qos12.peek()
    return oldest === undefined || oldest.position === 0 ? null : oldest.atMs
  }

  /** Takes the item, or drops it; what it pushes out is dropped. False: it was not taken. */
  push(item: WaitingItem): boolean {
    const length = item.bytes!.length
    if (!(item.qos === 0 ? this.#makeRoom(length) : this.#makeStoredRoom(length))) {
      this.#dropped(item)
      return false
    }
    this.#items.push(item)
    ;(item.qos === 0 ? this.#qos0 : this.#qos12).push(item)
    this.#count += item.count
    this.#bytes += length
    if (item.qos > 0) {
      this.#storedCount += item.count
      this.#storedBytes += length
    }
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
    ;(item.qos === 0 ? this.#qos0 : this.#qos12).shift()
    this.#forget(item)
  }

  /** Drops what has QoS 0. */
  dropQoS0(): void {
    for (let item = this.#qos0.shift(); item !== undefined; item = this.#qos0.shift()) this.#drop(item)
  }

  /** Those that wait, in order. */
  *[Symbol.iterator](): IterableIterator<WaitingItem> {
    for (const item of this.#items) if (item.bytes !== null) yield item
  }

  /** Forgets everything. */
  clear(): void {
    this.#items.clear()
    this.#qos0.clear()
    this.#qos12.clear()
    this.#count = 0
    this.#bytes = 0
    this.#storedCount = 0
    this.#storedBytes = 0
  }

  /** For one of QoS 0. */
  #makeRoom(length: number): boolean {
    while (this.#count > 0 && !this.#fits(length)) {
      const oldest = this.#bounds.whenFull === 'drop-oldest' ? this.#qos0.shift() : undefined
      if (oldest === undefined) return false
      this.#drop(oldest)
    }
    return true
  }

  /** For one that is not given up as long as anything else can be. */
  #makeStoredRoom(length: number): boolean {
    while (this.#qos0.length > 0 && !this.#fits(length)) this.#drop(this.#qos0.shift()!)
    const { maxMessages, maxBytes } = this.#stored()
    while (this.#storedCount > 0 && (this.#storedCount >= maxMessages || this.#storedBytes + length > maxBytes)) {
      this.#drop(this.#qos12.shift()!)
    }
    return true
  }

  #fits(length: number): boolean {
    return this.#count < this.#bounds.maxMessages && this.#bytes + length <= this.#bounds.maxBytes
  }

  #drop(item: WaitingItem): void {
    this.#dropped(item)
    this.#forget(item)
  }

  #forget(item: WaitingItem): void {
    this.#count -= item.count
    this.#bytes -= item.bytes!.length
    if (item.qos > 0) {
      this.#storedCount -= item.count
      this.#storedBytes -= item.bytes!.length
    }
    item.bytes = null
  }
}

/** Writes what waited at `at`, with what is left of its expiry now. The store may still want it as it was. */
export function writeWaited(
  { bytes, expiresAt, expiryAt, atMs }: WaitingItem,
  into: Buffer,
  at: number,
  nowMs: number,
): void {
  bytes!.copy(into, at)
  if (expiryAt < 0) ageItems(into, at, at + bytes!.length, nowMs - atMs)
  else if (expiresAt !== Number.POSITIVE_INFINITY) writeExpiry(into, at + expiryAt, expiresAt - nowMs)
}
