// What was acknowledged to a publisher and is not safe at a member yet, because the member is cut off, dead or late:
// kept in this node's store until the member has it, and found again after a restart (CLUSTER 6).

import type { ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Positions } from '../../base/positions.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../../broker/ports.ts'
import { ageItems } from '../../wire/link/forward.ts'
import { type Recordable, RecordKind } from '../../wire/record/batch.ts'
import { readParked, writeParked } from '../../wire/record/parked.ts'
import type { QueueBounds } from './linkqueue.ts'

/** `count` items in bytes [start, end), with the expiry that they had at `atMs`. */
export interface ParkedItems {
  readonly count: number
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly atMs: number
}

const KINDS: readonly number[] = [RecordKind.parked, RecordKind.arrival, RecordKind.route]

/**
 * Where what is parked, how far it was received, and whom it is for, is kept; outlives the identity that this node has in the
 * cluster.
 */
export class Safekeeping {
  readonly keeper: Keeper
  readonly positions: Positions
  /** Of what is parked for one member. */
  readonly bounds: () => QueueBounds
  /** What is kept outlives this run. */
  readonly lasting: boolean
  /** Who takes what is found at start, by the kind of record; nobody does without a cluster. */
  readonly takers = new Map<number, (record: FoundRecord, found: Found) => void>()

  /** `disk`: where it outlives this run; null: nowhere. */
  constructor(keeper: Keeper, positions: Positions, bounds: () => QueueBounds, disk: Keeper | null = keeper) {
    this.keeper = keeper
    this.positions = positions
    this.bounds = bounds
    this.lasting = disk !== null
  }

  /** Takes a record found at start, if it is one of these. */
  found(record: FoundRecord, found: Found): boolean {
    if (!KINDS.includes(record.kind)) return false
    const taker = this.takers.get(record.kind)
    if (taker === undefined) found.remove(record.kept)
    else taker(record, found)
    return true
  }
}

class ParkedRecord implements Recordable {
  readonly kind = RecordKind.parked
  readonly member: NodeId
  readonly #items: ParkedItems
  readonly #handed: boolean

  constructor(member: NodeId, items: ParkedItems, handed: boolean) {
    this.member = member
    this.#items = items
    this.#handed = handed
  }

  /** Messages. */
  get count(): number {
    return this.#items.count
  }

  write(into: ByteWriter, nowMs: number): void {
    const { bytes, start, end, atMs } = this.#items
    const waitedMs = Math.max(0, nowMs - atMs)
    writeParked(into, { member: this.member, waitedMs, items: bytes.subarray(start, end), handed: this.#handed })
  }
}

/** Found after a restart. */
export interface FoundParked extends ParkedItems {
  readonly member: NodeId
  readonly kept: Kept
  /** They were on their way to another member first. */
  readonly handed: boolean
}

/** Told of what is parked, and of what is not any more. */
export interface ParkingTap {
  /** What its publisher waits for beside the store is staged in this call. */
  parked(kept: Kept): void
  released(kept: Kept): void
}

export class Parking {
  readonly positions: Positions
  readonly #keeping: Safekeeping
  /** By number. */
  readonly #records = new Map<number, Kept>()
  tap: ParkingTap | null = null
  /** Messages in them, by member. */
  readonly #messages = new Map<NodeId, number>()

  constructor(keeping: Safekeeping) {
    this.#keeping = keeping
    this.positions = keeping.positions
  }

  /** Messages that are parked for the member. */
  of(member: NodeId): number {
    return this.#messages.get(member) ?? 0
  }

  bounds(): QueueBounds {
    return this.#keeping.bounds()
  }

  /** The items must stay as they are, but for their expiry, until `release`. `handed`: they were on their way elsewhere. */
  park(member: NodeId, items: ParkedItems, handed = false): Kept {
    const kept = this.#keeping.keeper.put(this.#counted(new ParkedRecord(member, items, handed)))
    this.tap?.parked(kept)
    this.#records.set(kept.id, kept)
    return kept
  }

  /** Records that stand for something. */
  get count(): number {
    return this.#records.size
  }

  get records(): Iterable<Kept> {
    return this.#records.values()
  }

  /** Another box, which held that record for this one, has passed it on: what waits with it goes nowhere. */
  passedOn(id: number): void {
    const kept = this.#records.get(id)
    if (kept !== undefined) this.release(kept)
  }

  release(kept: Kept): void {
    if (!(kept.value instanceof ParkedRecord)) return
    const { member, count } = kept.value
    const left = this.#messages.get(member)! - count
    if (left > 0) this.#messages.set(member, left)
    else this.#messages.delete(member)
    this.#records.delete(kept.id)
    this.tap?.released(kept)
    this.#keeping.keeper.remove(kept)
  }

  /** For people: which members are out of reach, and have messages here; `alone`: which no second box has. */
  problems(
    known: (member: NodeId) => { readonly name: string; readonly linked: boolean } | undefined,
    alone = false,
  ): string[] {
    const found: string[] = []
    for (const [id, count] of this.#messages) {
      const member = known(id)
      if (member?.linked === true) continue
      const what = count === 1 ? 'message is' : 'messages are'
      const where = alone ? 'here alone (copies 1 of 2)' : 'here'
      const until = 'for its sessions until it is back'
      found.push(`${member?.name ?? id} is out of reach: ${count} ${what} parked ${where} ${until}`)
    }
    return found
  }

  #counted(record: ParkedRecord): ParkedRecord {
    this.#messages.set(record.member, (this.#messages.get(record.member) ?? 0) + record.count)
    return record
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
    const at = { count, bytes: items, start: 0, end: items.length, atMs: record.countedFromMs }
    found.adopt(record.kept, this.#counted(new ParkedRecord(parked!.member, at, parked!.handed)))
    this.#records.set(record.kept.id, record.kept)
    return { ...at, member: parked!.member, kept: record.kept, handed: parked!.handed }
  }
}
