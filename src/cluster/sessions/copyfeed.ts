// The owner's half of the copies at one other box: which records that box is to hold, and which it has.
//
//   changed records -> dirty -> batch --channel--> the box, which says how far it has come
//                        ^        '-- kept until then, and sent again over the next link
//   sessions that are new to it: all their records, behind what changes meanwhile
//
// What a record is when its batch is written counts, so a message that came and was acknowledged in one turn costs
// nothing here. While the box is heard, promises wait for it: in a lane of positions.

import { Deque } from '../../base/deque.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Lane, Positions } from '../../base/positions.ts'
import type { Kept } from '../../broker/ports.ts'
import { BATCH_HEADER_BYTES, beginBatch, encodeCopies } from '../../wire/link/copies.ts'
import { writeItem, writeRemoved } from '../../wire/link/records.ts'
import type { Channel } from '../ports.ts'

/** Bytes on their way that the box has not taken: what changes goes at once, sessions that are new to it a little at a time. */
const IN_FLIGHT_BYTES = limits.channelWindowBytes
const NEW_IN_FLIGHT_BYTES = 8 * limits.pieceBytes

interface Batch {
  readonly sequence: number
  readonly bytes: Buffer
  /** The first position that waits for it, or for one behind it. */
  readonly first: number
  /** What was staged up to here is in it, or before. */
  position: number
  /** The last record made so far, when everything that was to be sent is in it or before. */
  readonly recordId: number
  readonly atMs: number
}

export class CopyFeed {
  readonly peer: NodeId
  readonly #channel: Channel
  readonly #positions: Positions
  readonly #nowMs: () => number
  readonly #sendSoon: () => void
  readonly #lastId: () => number
  /** Tells apart the times that this feed began afresh. */
  #feed: number
  #sequence = 0
  readonly #dirty = new Set<Kept>()
  /** The first position of what is dirty; null: nobody waits for any of it. */
  #dirtyFirst: number | null = null
  /** Ids to be taken away. */
  readonly #gone = new Deque<number>()
  readonly #new = new Deque<Kept>()
  /** Records that the box has or is being sent, with the message that each is about. */
  readonly #sent = new Map<number, number>()
  /** How many of those each message has. */
  readonly #users = new Map<number, number>()
  readonly #batches = new Deque<Batch>()
  #batchBytes = 0
  /** The last batch handed to the channel on this link. */
  #handed = 0
  #lane: Lane | null = null
  #linked = false
  #agreed = false
  /** It is heard, but kept somebody waiting too long: nobody waits for it until it has everything. */
  #late = false
  /** The last batch with records of sessions that were new to the box. */
  #newTo = 0
  /** 'whole' is owed to the box when all it is to hold is in the batches. */
  #owesWhole = true
  /** Everything that was made up to this record is there. */
  copiedTo = 0
  /**
   * The same when the box was last not heard, and sessions may have been made of its copies, or when they were. Infinity:
   * neither.
   */
  brokeAt = Number.POSITIVE_INFINITY

  constructor(
    peer: NodeId,
    feed: number,
    channel: Channel,
    positions: Positions,
    nowMs: () => number,
    sendSoon: () => void,
    lastId: () => number,
  ) {
    this.peer = peer
    this.#feed = feed
    this.#channel = channel
    this.#positions = positions
    this.#nowMs = nowMs
    this.#sendSoon = sendSoon
    this.#lastId = lastId
  }

  /** The box is heard, and has all that was promised since. */
  get upToDate(): boolean {
    return this.#lane !== null && this.#agreed && this.#new.length === 0 && !this.#owesWhole
  }

  /** It has every session that it is to hold; what changes is promised only when it has that, too. */
  get holdsAll(): boolean {
    return this.upToDate && (this.#batches.peek()?.sequence ?? Number.POSITIVE_INFINITY) > this.#newTo
  }

  /** Promises wait for it. */
  get isHeard(): boolean {
    return this.#lane !== null
  }

  /** A record of a session that the box holds is new or another; returns the position that makes it safe there. */
  staged(kept: Kept): number {
    this.#dirty.add(kept)
    this.#sendSoon()
    if (this.#lane === null) return this.#positions.position
    const position = this.#lane.staged()
    this.#dirtyFirst ??= position
    return position
  }

  removed({ id }: Kept, kept: Kept): void {
    this.#dirty.delete(kept)
    if (!this.#sent.has(id)) return
    this.#gone.push(id)
    this.#sendSoon()
  }

  /** The box is to hold this session: all its records. */
  add(records: readonly Kept[]): void {
    for (const kept of records) this.#new.push(kept)
    this.#owesWhole = true
    this.#sendSoon()
  }

  /** It is not any more. */
  drop(records: readonly Kept[]): void {
    for (const kept of records) this.removed(kept, kept)
  }

  // The link

  linked(): void {
    this.#linked = true
    this.#agreed = false
    this.#handed = 0
  }

  unlinked(): void {
    this.#linked = false
    this.#late = false
    this.#agreed = false
    this.silent()
  }

  /** The box is not heard: nobody waits for it. */
  silent(): void {
    if (this.#lane !== null) this.used()
    this.#lane?.close()
    this.#lane = null
  }

  /** Sessions were made of what it holds: what comes there from now on is in a copy that nobody goes on with. */
  used(): void {
    this.brokeAt = Math.min(this.brokeAt, this.copiedTo)
  }

  /** It is heard again: what is promised from now on waits for it. */
  heard(): void {
    if (this.#linked && this.#agreed && !this.#late) this.#lane ??= this.#positions.lane('copies')
  }

  /** Whether it has kept somebody waiting for `longestMs`, though it is heard. */
  isLate(nowMs: number, longestMs: number): boolean {
    const oldest = this.#batches.peek()
    if (this.#lane === null || oldest === undefined || nowMs - oldest.atMs < longestMs) return false
    this.#late = true
    return true
  }

  /** The box says what it has; false: it must be given everything again, under the number that `begin` gets. */
  has(feed: number, sequence: number): boolean {
    const oldest = this.#batches.peek()?.sequence ?? this.#sequence + 1
    if (feed !== this.#feed || sequence > this.#sequence || sequence + 1 < oldest) return false
    this.#taken(sequence)
    this.#handed = sequence
    this.#agreed = true
    this.heard()
    this.#sendSoon()
    return true
  }

  /** Everything afresh: `records` are those of all sessions that the box is to hold. */
  begin(feed: number, records: readonly Kept[]): void {
    this.#feed = feed
    this.#sequence = 0
    this.#newTo = 0
    this.#dirty.clear()
    this.#gone.clear()
    this.#new.clear()
    this.#sent.clear()
    this.#users.clear()
    this.#batches.clear()
    this.#batchBytes = 0
    this.#handed = 0
    this.copiedTo = 0
    this.#owesWhole = true
    this.#channel.send(this.peer, encodeCopies({ kind: 'begin', feed }))
    this.#agreed = true
    this.add(records)
    this.heard()
  }

  took(feed: number, sequence: number): void {
    if (feed !== this.#feed) return
    if (sequence > this.#handed) throw new PeerError('copies: took what was not sent')
    this.#taken(sequence)
    this.#sendSoon()
  }

  #taken(sequence: number): void {
    let settled = 0
    for (
      let head = this.#batches.peek();
      head !== undefined && head.sequence <= sequence;
      head = this.#batches.peek()
    ) {
      this.#batches.shift()
      this.#batchBytes -= head.bytes.length
      this.copiedTo = Math.max(this.copiedTo, head.recordId)
      settled = head.position
    }
    // What is between it and the next is not ours, and does not wait for the next.
    if (settled > 0) this.#lane?.settled(Math.max(settled, (this.#batches.peek()?.first ?? 0) - 1))
    if (!this.#late || this.#batches.length > 0 || this.#dirty.size > 0) return
    this.#late = false
    this.heard()
  }

  // What goes out

  /** Writes what has changed, and sends what there is room for. */
  flush(): void {
    if (!this.#linked || !this.#agreed) return
    while (this.#batchBytes < IN_FLIGHT_BYTES && (this.#dirty.size > 0 || this.#gone.length > 0)) this.#write(false)
    while (this.#dirty.size === 0 && this.#new.length > 0 && this.#batchBytes < NEW_IN_FLIGHT_BYTES) this.#write(true)
    this.#settleEmpty()
    this.#hand()
    if (!this.#owesWhole || this.#new.length > 0 || this.#dirty.size > 0 || this.#handed < this.#sequence) return
    this.#owesWhole = this.#channel.send(this.peer, encodeCopies({ kind: 'whole' })) !== 'sent'
  }

  /** What was staged and taken back within the turn waits for nothing. */
  #settleEmpty(): void {
    if (this.#dirty.size > 0) return
    this.#dirtyFirst = null
    if (this.#lane === null) return
    const last = this.#batches.at(this.#batches.length - 1)
    if (last === undefined) this.#lane.settled(this.#positions.position)
    else last.position = this.#positions.position
  }

  #write(fresh: boolean): void {
    const writer = beginBatch(++this.#sequence)
    if (fresh) {
      while (this.#new.length > 0 && writer.length < limits.pieceBytes) this.#put(writer, this.#new.shift()!)
    } else {
      for (const kept of this.#dirty) {
        if (writer.length >= limits.pieceBytes) break
        this.#dirty.delete(kept)
        this.#put(writer, kept)
      }
      // After what takes its place: a copy has a message twice rather than not at all.
      if (this.#dirty.size === 0) {
        while (this.#gone.length > 0 && writer.length < limits.pieceBytes) this.#remove(writer, this.#gone.shift()!)
      }
    }
    if (writer.length === BATCH_HEADER_BYTES) {
      this.#sequence--
      return
    }
    const bytes = writer.done()
    if (fresh) this.#newTo = this.#sequence
    const all = this.#dirty.size === 0 && this.#new.length === 0
    // What is dirty still has later positions, or shares one with what is in here: it waits for the batch that ends it.
    const position = this.#dirty.size === 0 ? this.#positions.position : 0
    this.#batches.push({
      sequence: this.#sequence,
      bytes,
      first: this.#dirtyFirst ?? this.#positions.position + 1,
      position,
      recordId: all ? this.#lastId() : 0,
      atMs: this.#nowMs(),
    })
    this.#batchBytes += bytes.length
    if (this.#dirty.size === 0) this.#dirtyFirst = null
  }

  #put(writer: ReturnType<typeof beginBatch>, kept: Kept): void {
    const { id, value } = kept
    // Gone again since.
    if (value === null) return
    const about = value.messageRecord
    if (!this.#sent.has(id)) {
      // What changes goes before the rest of a session that is new to the box, but never before the session itself.
      const session = value.sessionRecord
      if (session && session.id !== id && !this.#sent.has(session.id)) this.#put(writer, session)
      this.#sent.set(id, about?.id ?? 0)
      if (about !== undefined) {
        const users = this.#users.get(about.id) ?? 0
        if (users === 0 && about.value !== null) writeItem(writer, about.id, about.value, this.#nowMs())
        this.#users.set(about.id, users + 1)
      }
    }
    writeItem(writer, id, value, this.#nowMs())
  }

  #remove(writer: ReturnType<typeof beginBatch>, id: number): void {
    const about = this.#sent.get(id)
    if (about === undefined) return
    this.#sent.delete(id)
    if (about > 0) {
      const users = this.#users.get(about)! - 1
      if (users === 0) this.#users.delete(about)
      else this.#users.set(about, users)
    }
    writeRemoved(writer, id)
  }

  #hand(): void {
    for (let index = 0; index < this.#batches.length; index++) {
      const { sequence, bytes } = this.#batches.at(index)!
      if (sequence <= this.#handed) continue
      if (this.#channel.send(this.peer, bytes) !== 'sent') return
      this.#handed = sequence
    }
  }
}
