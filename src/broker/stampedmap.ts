// A map in which the latest write wins, by hybrid stamp: what several boxes have written comes to the same in any order.
// What was removed stays as a tombstone, so that an older write cannot bring it back.

import type { SharedEntry } from '../base/shared.ts'
import { compareStamps, type Stamp } from '../base/stamps.ts'

export interface Stamped<Value> {
  readonly key: string
  readonly stamp: Stamp
  /** Null: removed. */
  readonly value: Value | null
}

export class StampedEntry<Value> implements SharedEntry, Stamped<Value> {
  readonly key: string
  stamp: Stamp
  value: Value | null
  hash = 0
  next: SharedEntry | null = null

  constructor({ key, stamp, value }: Stamped<Value>) {
    this.key = key
    this.stamp = stamp
    this.value = value
  }
}

export class StampedMap<Value> {
  readonly #entries = new Map<string, StampedEntry<Value>>()
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

  /** With a value, or as a tombstone. */
  entry(key: string): StampedEntry<Value> | undefined {
    return this.#entries.get(key)
  }

  /** Takes what was written, unless it knows of something as late; returns the entry when it did. */
  put(written: Stamped<Value>): StampedEntry<Value> | null {
    const { key, stamp, value } = written
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const made = new StampedEntry(written)
      this.#entries.set(key, made)
      if (value !== null) this.#living++
      return made
    }
    if (compareStamps(stamp, entry.stamp) <= 0) return null
    this.#living += (value === null ? 0 : 1) - (entry.value === null ? 0 : 1)
    entry.stamp = stamp
    entry.value = value
    return entry
  }

  /** Forgets that there ever was such a key. */
  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    if (entry.value !== null) this.#living--
  }

  entries(): IterableIterator<StampedEntry<Value>> {
    return this.#entries.values()
  }

  values(): Value[] {
    const values: Value[] = []
    for (const { value } of this.#entries.values()) if (value !== null) values.push(value)
    return values
  }
}
