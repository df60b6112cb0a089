// The keeper as the broker has it: what is kept here, and what of it is copied to another box. Records that belong to no
// session, and those of sessions without a copy, pass through.

import type { Positions } from '../../base/positions.ts'
import type { Keeper, Kept } from '../../broker/ports.ts'
import type { Recordable } from '../../wire/record/batch.ts'

/** Hears of the records of sessions; `session`: the number of the session's own record. */
export interface CopyTap {
  /** A record is new or another: returns the position that makes it safe in the copy; null: it is in none. */
  staged(kept: Kept, session: number): number | null
  removed(kept: Kept, session: number): void
}

export class CopiedRecords implements Keeper {
  readonly durable: boolean
  readonly #inner: Keeper
  readonly #positions: Positions
  tap: CopyTap | null = null
  /** The number of the last record made. */
  lastId = 0

  constructor(inner: Keeper, positions: Positions) {
    this.#inner = inner
    this.#positions = positions
    this.durable = inner.durable
  }

  get full(): boolean {
    return this.#inner.full
  }

  get position(): number {
    return this.#positions.position
  }

  get safe(): number {
    return this.#positions.safe
  }

  get ours(): number {
    return this.#positions.ours
  }

  get asked(): number {
    return this.#positions.asked
  }

  put(value: Recordable): Kept {
    const kept = this.#inner.put(value)
    this.lastId = kept.id
    if (this.tap !== null) this.#staged(kept, value)
    return kept
  }

  changed(kept: Kept): number {
    const position = this.#inner.changed(kept)
    const { value } = kept
    if (this.tap === null || value === null) return position
    return Math.max(position, this.#staged(kept, value) ?? 0)
  }

  remove(kept: Kept, replaced = false): void {
    const session = kept.value?.sessionRecord
    this.#inner.remove(kept, replaced)
    if (session !== undefined && session !== null) this.tap?.removed(kept, session.id)
  }

  watch(moved: () => void, failed?: () => void): void {
    this.#inner.watch(moved, failed)
  }

  #staged(kept: Kept, { sessionRecord }: Recordable): number | null {
    if (sessionRecord === undefined || sessionRecord === null) return null
    return this.tap!.staged(kept, sessionRecord.id)
  }
}
