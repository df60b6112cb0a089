// What goes to one member: small messages gathered in a batch, sent at the end of the turn or when it is full; what
// cannot go now waits in a queue behind it. Batches are kept until the member has them, and go again over a new link.
//
//   item -> batch --flush--> sent, and kept --taken--> forgotten
//     '--> queue, while the member is away, silent or slow --room--> batch
//
//   away --linked--> greeting --here: what it has--> open          any --unlinked--> away
//
// While the member is open and heard, an acknowledgement waits until its messages are safe there (in a lane of
// positions). When it is not, they are parked in the store first, and then nobody waits any more.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { MiB } from '../../base/limits.ts'
import type { Lane } from '../../base/positions.ts'
import type { Kept } from '../../broker/ports.ts'
import { BATCH_HEADER_BYTES } from '../../wire/link/forward.ts'
import { encodeTaken, type RunId, type TakenMessage } from '../../wire/link/taken.ts'
import type { Late, QoS } from '../../wire/message.ts'
import { Behind } from '../links/behind.ts'
import type { Channel, MemberView } from '../ports.ts'
import type { ClusterSettings } from '../settings.ts'
import { age, BATCH_BYTES, Batches } from './batches.ts'
import { LinkQueue, type WaitingItem, waiting, writeWaited } from './linkqueue.ts'
import type { FoundParked, ParkedItems, Parking } from './parking.ts'
import { itemsOf, queued } from './undelivered.ts'

/** Bytes sent and not taken yet: more waits in the queue. */
const SENT_BYTES_MAX = 8 * MiB
export type DropReason = 'full' | 'parking-full' | 'dead' | 'left' | 'expired'

export interface OutgoingWorld {
  /** This life of our numbers. */
  readonly run: RunId
  readonly parking: Parking
  now(): number
  dropped(reason: DropReason, qos: QoS, count: number): void
  count(name: string): void
}

export class Outgoing {
  readonly peer: NodeId
  readonly #channel: Channel
  readonly #world: OutgoingWorld
  readonly #queue: LinkQueue
  readonly #batches: Batches
  #state: 'away' | 'greeting' | 'open' = 'away'
  /** It is not silent, as far as the members know. */
  #heard = true
  /** It is dead, or left. */
  isGone = false
  /** Open and heard: messages may go as they come. */
  #flows = false
  /** Messages of QoS 0. */
  dropped = 0
  /** The life of it that we spoke with last. */
  #peerRun: RunId | null = null
  /** The number that the member expects next on this link; 0: it has not been told. */
  #announced = 0
  /** Of what is awaited of this member; null: nobody waits for it. */
  #lane: Lane | null = null
  /** Lanes that end when what was parked for them is in the store. */
  #closing: { readonly lane: Lane; readonly position: number }[] = []
  readonly #behind: Behind
  /** It kept somebody waiting too long: nobody waits for it again until this is safe there; 0: it did not. */
  #lateUntil = 0

  constructor(peer: NodeId, channel: Channel, bounds: ClusterSettings['linkQueue'], world: OutgoingWorld) {
    this.peer = peer
    this.#channel = channel
    this.#world = world
    const { parking } = world
    this.#behind = new Behind(peer, channel)
    this.#batches = new Batches(({ records }) => {
      if (records !== null) for (const kept of records) parking.release(kept)
    })
    this.#queue = new LinkQueue(
      bounds,
      () => parking.bounds(),
      (item) => this.#dropped(item.qos > 0 ? 'parking-full' : this.isGone ? 'dead' : 'full', item),
    )
  }

  /** Open and heard. */
  get flows(): boolean {
    return this.#flows
  }

  /** Messages that were not handed to the channel. */
  get waiting(): number {
    return this.#queue.length + this.#batches.waiting
  }

  /** Whether there is something to `flush`. */
  get isDirty(): boolean {
    return this.#batches.items > 0
  }

  // The hot path.

  /**
   * Where in the batch the caller may write an item of `length` bytes, followed by `wrote`; null: it must be given to
   * `take` as bytes.
   */
  reserve(length: number): Buffer | null {
    return this.#flows && this.#queue.length === 0 ? this.#fit(length) : null
  }

  /** Where a reserved item begins. */
  get at(): number {
    return this.#batches.at
  }

  /** `awaited`: its publisher is to wait until it is safe at the member. */
  wrote(length: number, awaited: boolean, expires: boolean): void {
    const batches = this.#batches
    const { at } = batches
    const lane = awaited ? this.#lane : null
    batches.wrote(length, 1, lane === null ? 0 : lane.staged(), expires)
    // Nobody waits for the member: kept here before its publisher is answered.
    if (awaited && lane === null) batches.keep(this.#park(Buffer.from(batches.room(0).subarray(at, at + length))))
  }

  /** Takes an item that stands in bytes [start, start + length) of somebody else's buffer. False: dropped. */
  take(
    bytes: Buffer,
    start: number,
    length: number,
    qos: QoS,
    awaited: boolean,
    expiresAt: number,
    expiryAt: number,
  ): boolean {
    const batch = this.reserve(length)
    if (batch !== null) {
      bytes.copy(batch, this.#batches.at, start, start + length)
      this.wrote(length, awaited, expiresAt !== Number.POSITIVE_INFINITY)
      return true
    }
    const own = Buffer.from(bytes.subarray(start, start + length))
    const item = waiting(qos, own, this.#world.now(), expiresAt, expiryAt)
    if (awaited && this.#lane !== null) item.position = this.#lane.staged()
    else if (awaited) item.kept = this.#park(item.bytes!)
    if (!this.#queue.push(item)) return false
    // Nothing is in its way but its size.
    if (this.#flows && this.#queue.length === 1) this.#pumpQueue()
    return true
  }

  /** Ends the batch being gathered and sends it, if there is one. */
  flush(): void {
    this.#batches.seal(this.#world.now())
    if (this.#flows) this.#transmit()
  }

  // What becomes of the link.

  link(): void {
    this.unlink()
    this.#state = 'greeting'
  }

  unlink(): void {
    this.#state = 'away'
    this.#behind.clear()
    this.#change()
  }

  /** What the members table says of it. */
  is(state: MemberView['state']): void {
    this.#heard = state === 'alive'
    this.isGone = state === 'dead' || state === 'left'
    this.#change()
    // What nobody keeps for it is gone.
    if (this.isGone) this.#queue.dropQoS0()
  }

  /** It is no member any more. */
  leave(): void {
    this.unlink()
    for (const item of this.#queue) this.#dropped('left', item)
    this.#queue.clear()
    this.#batches.clear()
    for (const { lane } of this.#closing) lane.close()
    this.#closing = []
  }

  /** It says what it has of us; throws PeerError. */
  here(message: TakenMessage & { kind: 'here' }): void {
    if (this.#state !== 'greeting') throw new PeerError('forwarding: here where nobody asked')
    const known = message.known === this.#world.run
    if (known && message.received > this.#batches.sequence) throw new PeerError('forwarding: took what was not sent')
    if (this.#peerRun !== null && this.#peerRun !== message.own) {
      this.#batches.markLate()
      for (const item of this.#queue) item.late = 'late'
    }
    this.#peerRun = message.own
    this.#lateUntil = 0
    if (known) this.#batches.release(message.received, message.safe)
    this.#batches.again(known ? message.received : 0)
    this.#announced = 0
    this.#state = 'open'
    this.#change()
  }

  /** It says how far it has come; throws PeerError. */
  taken(message: TakenMessage & { kind: 'taken' }): void {
    if (this.#state !== 'open') throw new PeerError('forwarding: taken before here')
    if (message.received > this.#batches.sequence) throw new PeerError('forwarding: took what was not sent')
    const position = this.#batches.release(message.received, message.safe)
    if (position > 0) this.#lane?.settled(position)
    if (this.#lateUntil > 0 && message.safe >= this.#lateUntil) {
      this.#lateUntil = 0
      this.#change()
    }
    if (this.#queue.length > 0) this.room()
  }

  /** There is room again on the link: what was held back first, then what waits behind it. */
  room(): void {
    if (!this.#flows) return
    this.#transmit()
    this.#pumpQueue()
  }

  /** Says something behind all that there is for the member now; forgotten with the link. */
  behind(bytes: Buffer): void {
    const after = this.#batches.sequence + this.#batches.items + this.#queue.length
    if (this.#behind.add(bytes, after)) this.room()
    else this.#world.count('forward.behind.full')
  }

  /** The store has more than before: lanes end behind what was parked for them. */
  safeMoved(): void {
    if (this.#closing.length === 0) return
    const { stored } = this.#world.parking.positions
    this.#closing = this.#closing.filter(({ lane, position }) => {
      if (position > stored) return true
      lane.close()
      return false
    })
  }

  /** Whether it has kept somebody waiting for `longestMs`, though it is heard: then nobody waits for it any more. */
  look(nowMs: number, longestMs: number): void {
    if (this.#lane === null) return
    const since = this.#batches.awaitedSince ?? this.#queue.awaitedSince
    if (since === null || nowMs - since < longestMs) return
    this.#world.count('forward.late')
    this.#batches.seal(nowMs)
    this.#lateUntil = this.#batches.sequence
    this.#change()
  }

  /** What the member may not have, in order and with its expiry as it is now: for who stands in for it. */
  undelivered(): readonly ParkedItems[] {
    const nowMs = this.#world.now()
    this.#batches.seal(nowMs)
    return [...Array.from(this.#batches, itemsOf), ...queued(this.#queue, nowMs)]
  }

  /** The items that the member may not have, where they stand; `sent`: it may have them. */
  *held(): IterableIterator<readonly [bytes: Buffer, start: number, end: number, sent: boolean]> {
    this.#batches.seal(this.#world.now())
    for (const { bytes, start, end } of this.#batches) yield [bytes, start + BATCH_HEADER_BYTES, end, true]
    for (const { bytes, late } of this.#queue) yield [bytes!, 0, bytes!.length, late !== false]
  }

  /** Takes what an earlier run of this node had parked, or what another member does not get. */
  restore({ bytes, atMs, count, kept, handed }: FoundParked): void {
    const late: Late = handed ? 'handed' : 'late'
    const rest = { expiresAt: Number.POSITIVE_INFINITY, expiryAt: -1, late, position: 0, kept }
    this.#queue.push({ qos: 1, bytes, count, atMs, ...rest })
  }

  /** Brings flowing and waiting in step with what is known of the member. */
  #change(): void {
    this.#flows = this.#state === 'open' && this.#heard
    const awaits = this.#flows && this.#lateUntil === 0
    if (!awaits) this.#closeLane()
    else this.#lane ??= this.#world.parking.positions.lane('theirs')
    if (this.#flows) this.room()
    else this.#batches.seal(this.#world.now())
  }

  // Batches.

  #fit(length: number): Buffer | null {
    if (BATCH_HEADER_BYTES + length > BATCH_BYTES) return null
    if (this.#batches.lacksRoom(length)) this.flush()
    return this.#blocked ? null : this.#batches.room(length)
  }

  /** The channel has no room, or the member takes too long. */
  get #blocked(): boolean {
    return this.#batches.next !== undefined || this.#batches.sentBytes >= SENT_BYTES_MAX
  }

  #transmit(): void {
    for (let batch = this.#batches.next; batch !== undefined; batch = this.#batches.next) {
      if (batch.first !== this.#announced) {
        const begin = encodeTaken({ kind: 'begin', run: this.#world.run, sequence: batch.first })
        if (this.#channel.send(this.peer, begin) !== 'sent') return
        this.#announced = batch.first
      }
      age(batch, this.#world.now())
      if (this.#channel.send(this.peer, batch.bytes.subarray(batch.start, batch.end)) !== 'sent') return
      this.#announced = batch.last + 1
      this.#batches.handed()
    }
    this.#behind.gone(this.#announced - 1, this.#batches.items === 0 && this.#queue.length === 0)
  }

  // What waits.

  #pumpQueue(): void {
    const { now } = this.#world
    for (let item = this.#queue.peek(); item !== undefined && !this.#blocked; item = this.#queue.peek()) {
      const isExpired = item.expiresAt <= now()
      // What has a record without a value was passed on by another box.
      if (isExpired || item.kept?.value === null) {
        if (isExpired) this.#dropped('expired', item)
        this.#queue.shift()
        continue
      }
      if (item.late !== this.#batches.late) this.flush()
      this.#batches.late = item.late
      if (!this.#put(item)) break
      this.#queue.shift()
    }
    this.flush()
    this.#batches.late = false
    this.#settleIdle()
  }

  /** Puts what waited into the batch, or into one of its own. False: there is no room. */
  #put(item: WaitingItem): boolean {
    const batches = this.#batches
    const { count, position, kept } = item
    const { length } = item.bytes!
    const expires = item.expiryAt < 0 || item.expiresAt !== Number.POSITIVE_INFINITY
    const chunk = this.#fit(length)
    if (chunk !== null) {
      writeWaited(item, chunk, batches.at, this.#world.now())
      batches.wrote(length, count, position, expires)
      if (kept !== null) batches.keep(kept)
      return true
    }
    this.flush()
    if (this.#blocked) return false
    const bytes = Buffer.allocUnsafe(length)
    writeWaited(item, bytes, 0, this.#world.now())
    batches.own(bytes, count, position, kept, expires, this.#world.now())
    this.#transmit()
    return true
  }

  #dropped(reason: DropReason, item: WaitingItem): void {
    if (item.kept !== null) this.#world.parking.release(item.kept)
    if (item.qos === 0) this.dropped += item.count
    this.#world.dropped(reason, item.qos, item.count)
  }

  // What is awaited, and what is parked.

  #park(bytes: Buffer): Kept {
    const atMs = this.#world.now()
    return this.#world.parking.park(this.peer, { count: 1, bytes, start: 0, end: bytes.length, atMs })
  }

  /** Nobody waits for the member any more, once all that was awaited of it is parked, and in the store. */
  #closeLane(): void {
    const lane = this.#lane
    if (lane === null) return
    this.#lane = null
    const { parking, now } = this.#world
    this.#batches.seal(now())
    for (const batch of this.#batches) {
      if (batch.position === 0) continue
      batch.records ??= []
      batch.records.push(parking.park(this.peer, itemsOf(batch)))
      batch.position = 0
    }
    for (const item of this.#queue) {
      if (item.position > 0) item.kept ??= this.#park(item.bytes!)
      item.position = 0
    }
    this.#closing.push({ lane, position: parking.positions.position })
    this.safeMoved()
  }

  /** What was awaited and is not any more, because it expired or had to give way, holds nobody up. */
  #settleIdle(): void {
    if (this.#batches.isEmpty && this.#queue.length === 0) this.#lane?.settled(this.#world.parking.positions.position)
  }
}
