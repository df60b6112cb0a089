// What was acknowledged to a publisher and is not safe at a member yet, because the member is cut off, dead or late:
// kept in this node's store until the member has it, and found again after a restart (CLUSTER 6).

import type { ByteWriter } from '../base/bytes.ts'
import type { NodeId } from '../base/ids.ts'
import type { Positions } from '../base/positions.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../broker/ports.ts'
import { ageItems } from '../wire/link/forward.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { readParked, writeParked } from '../wire/record/parked.ts'
import type { QueueBounds } from './linkqueue.ts'

/** Items in bytes [start, end), with the expiry that they had at `atMs`. */
export interface ParkedItems {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly atMs: number
}

/** Where what is parked, and how far it was received, is kept; outlives the identity that this node has in the cluster. */
export class Safekeeping {
  readonly keeper: Keeper
  readonly positions: Positions
  /** Of what is parked for one member. */
  readonly bounds: () => QueueBounds
  /** Who takes what is found at start, by the kind of record; nobody does without a cluster. */
  readonly takers = new Map<number, (record: FoundRecord, found: Found) => void>()

  constructor(keeper: Keeper, positions: Positions, bounds: () => QueueBounds) {
    this.keeper = keeper
    this.positions = positions
    this.bounds = bounds
  }

  /** Takes a record found at start, if it is one of these. */
  found(record: FoundRecord, found: Found): boolean {
    if (record.kind !== RecordKind.parked && record.kind !== RecordKind.arrival) return false
    const taker = this.takers.get(record.kind)
    if (taker === undefined) found.remove(record.kept)
    else taker(record, found)
    return true
  }
}

class ParkedRecord implements Recordable {
  readonly kind = RecordKind.parked
  readonly #member: NodeId
  readonly #items: ParkedItems
  readonly #handed: boolean

  constructor(member: NodeId, items: ParkedItems, handed: boolean) {
    this.#member = member
    this.#items = items
    this.#handed = handed
  }

  write(into: ByteWriter, nowMs: number): void {
    const { bytes, start, end, atMs } = this.#items
    const waitedMs = Math.max(0, nowMs - atMs)
    writeParked(into, { member: this.#member, waitedMs, items: bytes.subarray(start, end), handed: this.#handed })
  }
}

/** Found after a restart. */
export interface FoundParked extends ParkedItems {
  readonly member: NodeId
  readonly count: number
  readonly kept: Kept
  /** They were on their way to another member first. */
  readonly handed: boolean
}

export class Parking {
  readonly positions: Positions
  readonly #keeping: Safekeeping
  /** Records that stand for something. */
  count = 0

  constructor(keeping: Safekeeping) {
    this.#keeping = keeping
    this.positions = keeping.positions
  }

  bounds(): QueueBounds {
    return this.#keeping.bounds()
  }

  /** The items must stay as they are, but for their expiry, until `release`. `handed`: they were on their way elsewhere. */
  park(member: NodeId, items: ParkedItems, handed = false): Kept {
    this.count++
    return this.#keeping.keeper.put(new ParkedRecord(member, items, handed))
  }

  release(kept: Kept): void {
    this.count--
    this.#keeping.keeper.remove(kept)
  }

  /** Takes a record found at start; null: it cannot be read, and is removed. */
  found(record: FoundRecord, found: Found): FoundParked | null {
    const parked = readParked(record.body)
    const items = parked === null ? null : Buffer.from(parked.items)
    const count = items === null ? 0 : ageItems(items, 0, items.length, parked!.waitedMs)
    if (items === null || count < 1) {
      found.remove(record.kept)
      return null
    }
    const at = { bytes: items, start: 0, end: items.length, atMs: record.countedFromMs }
    found.adopt(record.kept, new ParkedRecord(parked!.member, at, parked!.handed))
    this.count++
    return { ...at, member: parked!.member, count, kept: record.kept, handed: parked!.handed }
  }
}
