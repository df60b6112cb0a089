// What other boxes have parked for members out of reach, as this box holds it for them, in memory. When such a box is gone
// for a while, this one parks it itself and hands it over; when it comes back, each of the two has what the other lacks:
//
//   held --its box is gone--> taken over --the member has it--> passed on
//    ^ '--its box lets it go--> (gone)    '--its box has it again, and this one has not passed it on--> held
//                                          passed on --its box has it again--> its box is told, and lets it go
//
// A box that begins anew numbers its records anew: what was held before is known by what it is.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { MiB } from '../../base/limits.ts'
import type { Kept } from '../../broker/ports.ts'
import { type CopyMessage, encodeCopies } from '../../wire/link/copies.ts'
import { ageItems, BatchReader } from '../../wire/link/forward.ts'
import type { ReadItem } from '../../wire/link/records.ts'
import { RecordKind } from '../../wire/record/batch.ts'
import { readParked } from '../../wire/record/parked.ts'
import type { Channel, FeatureWorld, Membership } from '../ports.ts'
import type { ParkedItems } from './parking.ts'

/** A box that is gone for so long is not just being started again: its own disk has everything, too. */
const TAKE_OVER_MS = 15_000
/** Of all boxes together: beyond that, they are told that there is no room. */
const HELD_BYTES_MAX = 64 * MiB

/** Items for a member, out of one record. */
export interface HeldItems extends ParkedItems {
  readonly member: NodeId
  readonly handed: boolean
}

interface HeldRecord extends HeldItems {
  /** What it is, whatever its number: the member, and the id of the first message that has one. */
  readonly key: string
  /** What this box has made of it; null: nothing yet. One that has no value any more was passed on. */
  taken: Kept | null
}

/** Records named in one message. */
const DONE_MAX = 10_000

const PASSED_ON: Kept = { id: 0, value: null }

/** Of one box. */
class Held {
  feed = 0
  /** The last batch that is in here. */
  sequence = 0
  bytes = 0
  readonly records = new Map<number, HeldRecord>()
  /** Of an earlier feed, until the new one is whole. */
  former: Map<string, HeldRecord> | null = null
  goneSinceMs: number | null = null
  /** Records of the box that were passed on already. */
  done: number[] = []
  due = false
}

export interface HeldParkedHome {
  /** Parks here, and hands over, what another box had parked; null: there is nothing to wait for. */
  takeOver(items: HeldItems): Kept | null
  /** The other box has it again. */
  release(kept: Kept): void
}

export class HeldParked {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #channel: Channel
  readonly #home: HeldParkedHome
  readonly #speakSoon: () => void
  readonly #held = new Map<NodeId, Held>()
  readonly #reader = new BatchReader()

  constructor(
    world: FeatureWorld,
    membership: Membership,
    channel: Channel,
    home: HeldParkedHome,
    speakSoon: () => void,
  ) {
    this.#world = world
    this.#membership = membership
    this.#channel = channel
    this.#home = home
    this.#speakSoon = speakSoon
  }

  linked(peer: NodeId): void {
    const { feed, sequence } = this.#held.get(peer) ?? { feed: 0, sequence: 0 }
    this.#channel.send(peer, encodeCopies({ kind: 'have', feed, sequence }))
  }

  /** From a box whose messages are held here; throws PeerError. */
  received(owner: NodeId, message: CopyMessage & { kind: 'begin' | 'batch' | 'whole' }): void {
    switch (message.kind) {
      case 'begin':
        return this.#begun(owner, message.feed)
      case 'batch':
        return this.#batch(owner, message)
      case 'whole':
        return this.#whole(owner)
    }
  }

  /** Says how far each box's records have come, and which of them were passed on. */
  acknowledge(): void {
    for (const [owner, held] of this.#held) {
      if (!held.due) continue
      held.due = false
      const { feed, sequence, done } = held
      held.done = []
      this.#channel.send(owner, encodeCopies({ kind: 'took', feed, sequence }))
      for (let at = 0; at < done.length; at += DONE_MAX) {
        this.#channel.send(owner, encodeCopies({ kind: 'done', ids: done.slice(at, at + DONE_MAX) }))
      }
    }
  }

  /** Looks for boxes that are gone. */
  look(nowMs: number): void {
    for (const [owner, held] of this.#held) {
      const member = this.#membership.member(owner)
      if (member?.linked === true || member?.state === 'alive' || member?.state === 'suspect') {
        held.goneSinceMs = null
        continue
      }
      held.goneSinceMs ??= nowMs
      const left = member?.state === 'left'
      if (!left && nowMs - held.goneSinceMs < TAKE_OVER_MS) continue
      for (const record of held.former?.values() ?? []) this.#takeOver(record)
      for (const record of held.records.values()) this.#takeOver(record)
      if (left) this.#held.delete(owner)
    }
  }

  #begun(owner: NodeId, feed: number): void {
    const held = this.#held.get(owner) ?? new Held()
    // It has them held elsewhere now; what it has not looked through is not among them.
    if (feed === 0) {
      this.#held.delete(owner)
      for (const record of held.former?.values() ?? []) this.#takeOver(record)
      return
    }
    held.former ??= new Map()
    for (const record of held.records.values()) held.former.set(record.key, record)
    held.records.clear()
    held.bytes = 0
    held.feed = feed
    held.sequence = 0
    held.done = []
    this.#held.set(owner, held)
  }

  #batch(owner: NodeId, { sequence, items }: CopyMessage & { kind: 'batch' }): void {
    const held = this.#held.get(owner)
    if (held === undefined || sequence <= held.sequence) return
    let bytes = 0
    for (const each of this.#held.values()) bytes += each.bytes
    if (bytes > HELD_BYTES_MAX) return this.#refuse(owner)
    for (const item of items) {
      if (item.kind === RecordKind.removed) this.#remove(held, item.id)
      else if (item.kind === RecordKind.parked) this.#put(held, item)
      else throw new PeerError('park: a record of another kind')
    }
    held.sequence = sequence
    held.due = true
    this.#speakSoon()
  }

  #put(held: Held, { id, body }: ReadItem): void {
    const parked = readParked(body)
    if (parked === null) throw new PeerError('park: a record that cannot be read')
    const { member, handed, waitedMs } = parked
    const bytes = Buffer.from(parked.items)
    const count = ageItems(bytes, 0, bytes.length, waitedMs)
    if (count < 1) throw new PeerError('park: items that cannot be read')
    const atMs = this.#world.clock.now()
    const key = this.#keyOf(member, bytes, count)
    // What is handed over in whole batches may be of QoS 0 alone, which is promised to nobody.
    if (key === null) return
    const record: HeldRecord = { member, handed, bytes, count, start: 0, end: bytes.length, atMs, key, taken: null }
    const taken = held.former?.get(key)?.taken ?? null
    held.former?.delete(key)
    if (taken !== null && taken.value === null) {
      held.done.push(id)
      return
    }
    if (taken !== null) this.#home.release(taken)
    held.bytes += bytes.length - (held.records.get(id)?.bytes.length ?? 0)
    held.records.set(id, record)
  }

  #remove(held: Held, id: number): void {
    const record = held.records.get(id)
    if (record === undefined) return
    held.records.delete(id)
    held.bytes -= record.bytes.length
    if (record.taken !== null) this.#home.release(record.taken)
  }

  /** What was held of a box before, and that it has not itself any more, was lost there. */
  #whole(owner: NodeId): void {
    const held = this.#held.get(owner)
    if (held === undefined || held.former === null) return
    const { former } = held
    held.former = null
    for (const record of former.values()) this.#takeOver(record)
  }

  #takeOver(record: HeldRecord): void {
    if (record.taken !== null) return
    this.#world.meter.count('park.taken-over', record.count)
    record.taken = this.#home.takeOver(record) ?? PASSED_ON
  }

  #refuse(owner: NodeId): void {
    this.#world.meter.count('park.refused')
    this.#held.delete(owner)
    this.#channel.send(owner, encodeCopies({ kind: 'full' }))
  }

  /** Null: nothing in it has an id. Throws PeerError. */
  #keyOf(member: NodeId, bytes: Buffer, count: number): string | null {
    this.#reader.openItems(bytes, 0, bytes.length)
    let first = this.#reader.next(0)
    while (first !== null && first.qos === 0) first = this.#reader.next(0)
    if (first === null) return null
    const { origin, counter } = first
    return `${member} ${origin.node} ${origin.incarnation} ${counter} ${count}`
  }
}
