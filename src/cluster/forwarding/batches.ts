// The batches for one member: the one being gathered, and those that were made, until the member has said that it has
// them; where something in one must outlive the member's death, until it is safe there. Over a new link they go again.
//
//   oldest  [ received, not safe ][ handed to the channel ][ not handed yet ][ being gathered ]  youngest
//
// Batches stand one behind the other in shared buffers, without others between them; a buffer is used again when the last
// batch in it is forgotten.

import { Deque } from '../../base/deque.ts'
import { limits } from '../../base/limits.ts'
import type { Kept } from '../../broker/ports.ts'
import { ageItems, BATCH_HEADER_BYTES, writeBatchHeader } from '../../wire/link/forward.ts'
import type { Late } from '../../wire/message.ts'

/** A batch travels in one frame. */
export const BATCH_BYTES = limits.pieceBytes
/** Buffers kept for the next batches, of all members together. */
const FREE_MAX = 64
/** An expiry that is off by less than this is not worth a walk. */
const AGED_MS = 100

/** Bytes [start, end) of a buffer: header and items. */
export interface SentBatch {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** Numbers of its first and last item. */
  readonly first: number
  readonly last: number
  /** The position that is held up until it is safe at the member; 0: none. */
  position: number
  /** It is forgotten when it is safe there, not when it is received. */
  readonly needsSafe: boolean
  /** What the store keeps of it. */
  records: Kept[] | null
  /** When the expiry of its items was as it stands there. */
  atMs: number
  /** Something in it expires. */
  readonly expires: boolean
}

const free: Buffer[] = []

export class Batches {
  readonly #sent = new Deque<SentBatch>()
  /** Told of each batch that is forgotten. */
  readonly #forgotten: (batch: SentBatch) => void
  /** How many of the oldest were handed to the channel on this link, or are there already. */
  #handed = 0
  #sentBytes = 0
  /** The number of the last item in a batch. */
  #sequence = 0
  #chunk: Buffer | null = null
  #start = 0
  #at = 0
  #items = 0
  #position = 0
  #records: Kept[] | null = null
  #expires = false
  /** Whether what is gathered may have come to the member before, another way. */
  late: Late = false

  constructor(forgotten: (batch: SentBatch) => void) {
    this.#forgotten = forgotten
  }

  /** Items in the batch being gathered. */
  get items(): number {
    return this.#items
  }

  /** Where the next item goes. */
  get at(): number {
    return this.#at
  }

  get sequence(): number {
    return this.#sequence
  }

  /** Bytes that the member has not taken. */
  get sentBytes(): number {
    return this.#sentBytes
  }

  /** Messages that were not handed to the channel. */
  get waiting(): number {
    const next = this.next
    return this.#items + (next === undefined ? 0 : this.#sequence - next.first + 1)
  }

  get isEmpty(): boolean {
    return this.#items === 0 && this.#sent.length === 0
  }

  /** Whether an item of that length needs a batch of its own behind the one being gathered. */
  lacksRoom(length: number): boolean {
    return this.#items > 0 && this.#at + length > this.#chunk!.length
  }

  /** The buffer for an item that does not lack room; it goes at `at`. */
  room(length: number): Buffer {
    let chunk = this.#chunk
    if (this.#items > 0) return chunk!
    if (chunk === null || this.#start + BATCH_HEADER_BYTES + length > chunk.length) {
      chunk = free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES)
      this.#chunk = chunk
      this.#start = 0
    }
    this.#at = this.#start + BATCH_HEADER_BYTES
    return chunk
  }

  /** `position`: of what is awaited of the items; 0: nothing. */
  wrote(length: number, count: number, position: number, expires: boolean): void {
    this.#at += length
    this.#items += count
    if (position > 0) this.#position = position
    if (expires) this.#expires = true
  }

  /** The store keeps the item that was written last. */
  keep(kept: Kept): void {
    if (this.#records === null) this.#records = [kept]
    else this.#records.push(kept)
  }

  /** Ends the batch being gathered. */
  seal(nowMs: number): void {
    if (this.#items === 0) return
    this.#push(this.#chunk!, this.#start, this.#at, nowMs)
    this.#start = this.#at
  }

  /** A batch of its own for items that fit no other; the one being gathered must have ended. */
  own(items: Buffer, count: number, position: number, kept: Kept | null, expires: boolean, nowMs: number): void {
    const bytes = Buffer.allocUnsafe(BATCH_HEADER_BYTES + items.length)
    items.copy(bytes, BATCH_HEADER_BYTES)
    this.#items = count
    this.#position = position
    if (kept !== null) this.keep(kept)
    this.#expires = expires
    this.#push(bytes, 0, bytes.length, nowMs)
    // What comes behind it stands in another buffer: one that has batches on both sides of it would be taken for free
    // when those before it are forgotten.
    this.#chunk = null
    this.#start = 0
  }

  #push(bytes: Buffer, start: number, end: number, atMs: number): void {
    writeBatchHeader(bytes, this.#sequence + 1, start, this.late)
    this.#sent.push({
      bytes,
      start,
      end,
      first: this.#sequence + 1,
      last: this.#sequence + this.#items,
      position: this.#position,
      needsSafe: this.#position > 0 || this.#records !== null,
      records: this.#records,
      atMs,
      expires: this.#expires,
    })
    this.#sentBytes += end - start
    this.#sequence += this.#items
    this.#items = 0
    this.#position = 0
    this.#records = null
    this.#expires = false
  }

  // Those that were made.

  /** The batch that is to be handed over next. */
  get next(): SentBatch | undefined {
    return this.#sent.at(this.#handed)
  }

  /** When the oldest batch was made that somebody waits for; null: nobody does. */
  get awaitedSince(): number | null {
    for (let index = 0; index < this.#sent.length; index++) {
      const { position, atMs } = this.#sent.at(index)!
      if (position > 0) return atMs
    }
    return null
  }

  get oldest(): SentBatch | undefined {
    return this.#sent.peek()
  }

  handed(): void {
    this.#handed++
  }

  /**
   * The member has everything up to `received`, and up to `safe` it is safe there. Returns the position that nobody has
   * to wait for any more; 0: none.
   */
  release(received: number, safe: number): number {
    let position = 0
    for (let batch = this.#sent.peek(); batch !== undefined; batch = this.#sent.peek()) {
      if (batch.last > (batch.needsSafe ? safe : received)) break
      if (batch.position > 0) position = batch.position
      this.#forget()
    }
    return position
  }

  /** A new link: all that comes after `received` goes again. */
  again(received: number): void {
    this.#handed = 0
    for (let batch = this.next; batch !== undefined && batch.last <= received; batch = this.next) this.#handed++
  }

  /** The member has begun anew: what it took before, its clients may have had. */
  markLate(): void {
    for (const batch of this.#sent) writeBatchHeader(batch.bytes, batch.first, batch.start, 'late')
  }

  [Symbol.iterator](): IterableIterator<SentBatch> {
    return this.#sent[Symbol.iterator]()
  }

  clear(): void {
    while (this.#sent.length > 0) this.#forget()
    this.#handed = 0
  }

  #forget(): void {
    const batch = this.#sent.shift()!
    this.#sentBytes -= batch.end - batch.start
    if (this.#handed > 0) this.#handed--
    this.#forgotten(batch)
    const { bytes } = batch
    const oldest = this.#sent.peek()
    if (oldest?.bytes === bytes) return
    if (bytes !== this.#chunk) {
      if (bytes.length === BATCH_BYTES && free.length < FREE_MAX) free.push(bytes)
    } else if (oldest === undefined && this.#items === 0) {
      this.#start = 0
    }
  }
}

/** Brings down what is left of each expiry by the time that the batch has waited. */
export function age(batch: SentBatch, nowMs: number): void {
  const waitedMs = nowMs - batch.atMs
  if (!batch.expires || waitedMs < AGED_MS) return
  ageItems(batch.bytes, batch.start + BATCH_HEADER_BYTES, batch.end, waitedMs)
  batch.atMs = nowMs
}
