// What goes to one member: small messages gathered in a batch, sent at the end of the turn or when it is full; what
// finds no room on the link waits in a queue behind it.
//
//   item -> batch --flush--> channel
//     |       '--'full'--> held until there is room
//     '--> queue, while a batch is held --room--> batch

import type { NodeId } from '../base/ids.ts'
import { limits } from '../base/limits.ts'
import { BATCH_HEADER_BYTES, writeBatchHeader, writeExpiry } from '../wire/link/forward.ts'
import type { QoS } from '../wire/message.ts'
import { LinkQueue } from './linkqueue.ts'
import type { Channel } from './ports.ts'
import type { ClusterSettings } from './settings.ts'

/** A batch travels in one frame. */
const BATCH_BYTES = limits.pieceBytes

export type DropReason = 'full' | 'unlinked' | 'expired'

export interface OutgoingWorld {
  now(): number
  dropped(reason: DropReason, qos: QoS, count: number): void
}

export class Outgoing {
  readonly peer: NodeId
  readonly #channel: Channel
  readonly #world: OutgoingWorld
  readonly #queue: LinkQueue
  /** null while there is no link. */
  #batch: Buffer | null = null
  #at = BATCH_HEADER_BYTES
  /** Messages in the batch; those of each QoS are needed only when the link goes. */
  #items = 0
  readonly #itemsOf = [0, 0, 0]
  /** The channel had no room for the batch. */
  #held = false
  /** Messages handed to the channel on this link. */
  #sequence = 0

  constructor(peer: NodeId, channel: Channel, bounds: ClusterSettings['linkQueue'], world: OutgoingWorld) {
    this.peer = peer
    this.#channel = channel
    this.#world = world
    this.#queue = new LinkQueue(bounds, (qos) => world.dropped('full', qos, 1))
  }

  get linked(): boolean {
    return this.#batch !== null
  }

  /** Messages that wait for room. */
  get waiting(): number {
    return this.#queue.length + (this.#held ? this.#items : 0)
  }

  /** Whether there is something to `flush`. */
  get isDirty(): boolean {
    return this.#items > 0 && !this.#held
  }

  link(): void {
    this.unlink()
    this.#batch = Buffer.allocUnsafeSlow(BATCH_BYTES)
    this.#sequence = 0
  }

  unlink(): void {
    for (const qos of [0, 1, 2] as const) {
      const count = this.#itemsOf[qos]! + this.#queue.countOf(qos)
      if (count > 0) this.#world.dropped('unlinked', qos, count)
    }
    this.#batch = null
    this.#empty()
    this.#held = false
    this.#queue.clear()
  }

  /**
   * Where in the batch the caller may write an item of `length` bytes, followed by `wrote`; null: it must be given to
   * `take` as bytes.
   */
  reserve(length: number): Buffer | null {
    return this.#queue.length > 0 ? null : this.#fit(length)
  }

  #fit(length: number): Buffer | null {
    if (this.#held || BATCH_HEADER_BYTES + length > BATCH_BYTES) return null
    if (this.#at + length > BATCH_BYTES) {
      this.flush()
      if (this.#held) return null
    }
    return this.#batch
  }

  /** Where a reserved item begins. */
  get at(): number {
    return this.#at
  }

  wrote(length: number, qos: QoS): void {
    this.#at += length
    this.#items++
    this.#itemsOf[qos]!++
  }

  /** Takes an item that stands in bytes [start, start + length) of somebody else's buffer. False: dropped. */
  take(bytes: Buffer, start: number, length: number, qos: QoS, expiresAt: number, expiryAt: number): boolean {
    const batch = this.reserve(length)
    if (batch !== null) {
      bytes.copy(batch, this.#at, start, start + length)
      this.wrote(length, qos)
      return true
    }
    if (this.#queue.length === 0) {
      this.flush()
      if (!this.#held && this.#sendLarge(bytes, start, length)) return true
    }
    return this.#queue.push({ qos, bytes: Buffer.from(bytes.subarray(start, start + length)), expiresAt, expiryAt })
  }

  /** Sends the batch, if there is one. */
  flush(): void {
    if (this.#items === 0 || this.#held || this.#batch === null) return
    writeBatchHeader(this.#batch, this.#sequence + 1)
    const answer = this.#channel.send(this.peer, this.#batch.subarray(0, this.#at))
    if (answer === 'unlinked') return this.unlink()
    this.#held = answer === 'full'
    if (this.#held) return
    this.#sequence += this.#items
    this.#empty()
  }

  /** The channel has room again: the held batch first, then what waits behind it. */
  room(): void {
    if (this.#batch === null) return
    this.#held = false
    this.flush()
    for (let item = this.#queue.peek(); item !== undefined && !this.#held; item = this.#queue.peek()) {
      const bytes = item.bytes!
      if (item.expiresAt !== Number.POSITIVE_INFINITY) {
        const leftMs = item.expiresAt - this.#world.now()
        if (leftMs <= 0) {
          this.#queue.shift()
          this.#world.dropped('expired', item.qos, 1)
          continue
        }
        writeExpiry(bytes, item.expiryAt, leftMs)
      }
      const batch = this.#fit(bytes.length)
      if (batch !== null) {
        bytes.copy(batch, this.#at)
        this.wrote(bytes.length, item.qos)
      } else {
        this.flush()
        // A large message that found no room is tried again at the next `room`; nothing may pass it meanwhile.
        if (this.#held || !this.#sendLarge(bytes, 0, bytes.length)) return
      }
      this.#queue.shift()
    }
    this.flush()
  }

  /** A message that fills no batch goes in one of its own. */
  #sendLarge(item: Buffer, start: number, length: number): boolean {
    const bytes = Buffer.allocUnsafe(BATCH_HEADER_BYTES + length)
    writeBatchHeader(bytes, this.#sequence + 1)
    item.copy(bytes, BATCH_HEADER_BYTES, start, start + length)
    if (this.#channel.send(this.peer, bytes) === 'full') return false
    this.#sequence++
    return true
  }

  #empty(): void {
    this.#at = BATCH_HEADER_BYTES
    this.#items = 0
    this.#itemsOf.fill(0)
  }
}
