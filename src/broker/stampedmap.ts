// A map in which the latest write wins, by hybrid stamp: what several boxes have written comes to the same in any order.
// What was removed stays as a tombstone, so that an older write cannot bring it back.

import { compareStamps, type Stamp } from '../base/stamps.ts'

export interface Stamped<Value> {
  readonly key: string
  readonly stamp: Stamp
  /** Null: removed. */
  readonly value: Value | null
}

export class StampedMap<Value> {
  readonly #entries = new Map<string, Stamped<Value>>()
  #living = 0

  /** Keys with a value. */
  get size(): number {
    return this.#living
  }

  /** Keys with a value or a tombstone. */
  get entryCount(): number {
    return this.#entries.size
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value ?? undefined
  }

  /** Whether anything was ever written to the key. */
  has(key: string): boolean {
    return this.#entries.has(key)
  }

  /** Takes the entry unless it knows one that is as late; returns whether it did. */
  put(entry: Stamped<Value>): boolean {
    const before = this.#entries.get(entry.key)
    if (before !== undefined && compareStamps(entry.stamp, before.stamp) <= 0) return false
    this.#set(entry, before)
    return true
  }

  /** Takes the entry in the place of one with the same stamp, or of none; returns whether it did. */
  putAgain(entry: Stamped<Value>): boolean {
    const before = this.#entries.get(entry.key)
    if (before !== undefined && compareStamps(entry.stamp, before.stamp) !== 0) return false
    this.#set(entry, before)
    return true
  }

  #set(entry: Stamped<Value>, before: Stamped<Value> | undefined): void {
    this.#living += (entry.value === null ? 0 : 1) - ((before?.value ?? null) === null ? 0 : 1)
    this.#entries.set(entry.key, entry)
  }

  entries(): IterableIterator<Stamped<Value>> {
    return this.#entries.values()
  }

  values(): Value[] {
    const values: Value[] = []
    for (const { value } of this.#entries.values()) if (value !== null) values.push(value)
    return values
  }
}
