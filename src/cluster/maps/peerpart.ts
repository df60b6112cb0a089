// A member's part of an OwnedMap as this node holds it: followed over the owner's own link only.
//
//   away --linked--> asked --resume--> current
//                    asked --begin--> filling --end--> sweeping --swept--> current
//   current --gap, wrong digest--> asked          any linked --begin--> filling          any --unlinked--> away
//
// While filling, entries of the time before stay valid until they are overwritten or, at the end, swept: what was
// known is never gone for the time of a transfer.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { type Change, type Entry, KEY_BYTES_MAX, NOWHERE, type Position, type Summary } from '../../wire/link/owned.ts'
import { Digest } from './digest.ts'
import { compareIncarnations } from './ownpart.ts'

export interface PartBounds {
  readonly valueBytesMax: number
  readonly entriesMax: number
  /** Throws PeerError for an entry that a member may not have. */
  check(key: string, value: Buffer): void
}

/** Told of each entry that appears, changes or goes (null); `before` is null when it was not there. */
export type PartChanged = (key: string, value: Buffer | null, before: Buffer | null) => void

type PartState = 'away' | 'asked' | 'filling' | 'sweeping' | 'current'

export class PeerPart {
  readonly owner: NodeId
  readonly #bounds: PartBounds
  readonly #changed: PartChanged
  #state: PartState = 'away'
  /** Entries of this incarnation. */
  #entries = new Map<string, Buffer>()
  /** Entries of the time before `begin` that have not come again yet. */
  #former = new Map<string, Buffer>()
  #digest = new Digest()
  #position: Position = NOWHERE
  /** Whether `#entries` is all that the owner had at `#position`. */
  #whole = false
  #restarted = false

  constructor(owner: NodeId, bounds: PartBounds, changed: PartChanged) {
    this.owner = owner
    this.#bounds = bounds
    this.#changed = changed
  }

  get state(): PartState {
    return this.#state
  }

  /** Whether all that the owner had at `position` is held, and nothing else. */
  get whole(): boolean {
    return this.#whole
  }

  /** While entries go that did not come again: its owner has begun anew since they were set. */
  get restarted(): boolean {
    return this.#state === 'sweeping' && this.#restarted
  }

  get position(): Position {
    return this.#position
  }

  get size(): number {
    return this.#entries.size + this.#former.size
  }

  get(key: string): Buffer | undefined {
    return this.#entries.get(key) ?? this.#former.get(key)
  }

  *entries(): IterableIterator<[string, Buffer]> {
    yield* this.#entries
    yield* this.#former
  }

  get summary(): Summary {
    const { high, low } = this.#digest
    return { sequence: this.#position.sequence, count: this.#entries.size, high, low }
  }

  /** An entry that an earlier run of this node had: it counts until the owner's own word comes. */
  recall(key: string, value: Buffer): void {
    if (this.size >= this.#bounds.entriesMax || this.get(key) !== undefined) return
    this.#former.set(key, value)
    this.#changed(key, value, null)
  }

  /** A question to the owner is on its way; what comes before the answer is not for us. */
  asked(): void {
    this.#state = 'asked'
  }

  /** What is held is not what the owner has: ask for all of it. */
  distrust(): void {
    this.#whole = false
  }

  away(): void {
    this.#state = 'away'
  }

  resume(sequence: number): void {
    if (this.#state !== 'asked' || !this.#whole || sequence !== this.#position.sequence) {
      throw new PeerError('owned map: resumed where nobody asked')
    }
    this.#state = 'current'
  }

  begin(position: Position): void {
    // The owner may begin again at any time: when deltas that we lack are no longer kept, or at a higher incarnation.
    if (this.#state === 'away') throw new PeerError('owned map: a part without a link')
    if (position.incarnation.node !== this.owner) throw new PeerError('owned map: the incarnation of another node')
    if (compareIncarnations(position.incarnation, this.#position.incarnation) < 0) {
      throw new PeerError('owned map: a part went back to an older incarnation')
    }
    if (this.#former.size === 0) {
      this.#former = this.#entries
      this.#entries = new Map()
    } else {
      for (const [key, value] of this.#entries) this.#former.set(key, value)
      this.#entries.clear()
    }
    this.#digest = new Digest()
    if (this.#position !== NOWHERE && position.run !== this.#position.run) this.#restarted = true
    this.#position = position
    this.#whole = false
    this.#state = 'filling'
  }

  fill(entries: readonly Entry[]): void {
    if (this.#state === 'asked') return
    if (this.#state !== 'filling') throw new PeerError('owned map: entries out of place')
    for (const { key, value } of entries) this.#set(key, value)
  }

  /** False: what came is not what the owner has. */
  end(summary: Summary): boolean {
    if (this.#state === 'asked') return true
    if (this.#state !== 'filling') throw new PeerError('owned map: an end out of place')
    this.#state = 'sweeping'
    return this.agrees(summary)
  }

  /** Removes up to `max` entries that did not come again; true when none are left. */
  sweep(max: number): boolean {
    if (this.#state !== 'sweeping') return true
    let left = max
    for (const [key, value] of this.#former) {
      if (left-- === 0) return false
      this.#former.delete(key)
      this.#changed(key, null, value)
    }
    this.#former = new Map()
    this.#restarted = false
    this.#state = 'current'
    this.#whole = true
    return true
  }

  /** 'gap': deltas are missing, ask again. 'ignored': it was on its way before our question. */
  delta(sequence: number, changes: readonly Change[]): 'applied' | 'ignored' | 'gap' {
    if (this.#state === 'asked') return 'ignored'
    if (this.#state === 'away') throw new PeerError('owned map: a delta without a link')
    if (sequence !== this.#position.sequence + 1) return 'gap'
    for (const { key, value } of changes) {
      if (value === null) this.#remove(key)
      else this.#set(key, value)
    }
    this.#position = { ...this.#position, sequence }
    return 'applied'
  }

  /** Whether the part looks as its owner says. */
  agrees(summary: Summary): boolean {
    const { high, low } = this.#digest
    return (
      summary.sequence === this.#position.sequence &&
      summary.count === this.#entries.size &&
      summary.high === high &&
      summary.low === low
    )
  }

  #set(key: string, value: Buffer): void {
    if (value.length > this.#bounds.valueBytesMax) throw new PeerError('owned map: value too long')
    // A key that fits its length field fits KEY_BYTES_MAX; U+FFFD for broken bytes may make it longer once decoded.
    if (key.length > KEY_BYTES_MAX) throw new PeerError('owned map: key too long')
    const before = this.#entries.get(key)
    if (before !== undefined) {
      if (before.equals(value)) return
      this.#bounds.check(key, value)
      this.#digest.remove(key, before)
      this.#hold(key, value, before)
      return
    }
    const former = this.#former.get(key)
    if (former === undefined) {
      this.#bounds.check(key, value)
      if (this.size >= this.#bounds.entriesMax) throw new PeerError('owned map: too many entries')
      this.#hold(key, value, null)
      return
    }
    if (former.equals(value)) {
      this.#former.delete(key)
      this.#entries.set(key, former)
      this.#digest.add(key, former)
      return
    }
    this.#bounds.check(key, value)
    this.#former.delete(key)
    this.#hold(key, value, former)
  }

  #hold(key: string, value: Buffer, before: Buffer | null): void {
    const kept = keep(value)
    this.#entries.set(key, kept)
    this.#digest.add(key, kept)
    this.#changed(key, kept, before)
  }

  #remove(key: string): void {
    const before = this.#entries.get(key)
    if (before !== undefined) {
      this.#entries.delete(key)
      this.#digest.remove(key, before)
      this.#changed(key, null, before)
      return
    }
    const former = this.#former.get(key)
    if (former === undefined) return
    this.#former.delete(key)
    this.#changed(key, null, former)
  }
}

const EMPTY = Buffer.alloc(0)
const BYTES = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]))

/** A copy that outlives the message. Values of a byte, such as flags, are shared: a million of them cost nothing. */
function keep(value: Buffer): Buffer {
  if (value.length === 0) return EMPTY
  return value.length === 1 ? BYTES[value[0]!]! : Buffer.from(value)
}
