// Values with names in the store, all in memory as well: for what is few and changes seldom.

import type { ByteWriter } from '../base/bytes.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../broker/ports.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { readKeyed, writeKeyed } from '../wire/record/keyed.ts'

class Keyed implements Recordable {
  readonly kind = RecordKind.keyed
  readonly space: string
  readonly key: string
  value: Buffer
  kept: Kept | null = null

  constructor(space: string, key: string, value: Buffer) {
    this.space = space
    this.key = key
    this.value = value
  }

  write(into: ByteWriter): void {
    writeKeyed(into, this)
  }
}

export class KeyedRecords {
  readonly #keeper: Keeper
  readonly #spaces = new Map<string, Map<string, Keyed>>()

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  get(space: string, key: string): Buffer | null {
    return this.#spaces.get(space)?.get(key)?.value ?? null
  }

  /** Returns the position that makes it safe. */
  put(space: string, key: string, value: Buffer): number {
    const known = this.#spaces.get(space)?.get(key)
    if (known !== undefined) {
      known.value = value
      return this.#keeper.changed(known.kept!)
    }
    const keyed = new Keyed(space, key, value)
    keyed.kept = this.#keeper.put(keyed)
    this.#add(keyed)
    return this.#keeper.position
  }

  remove(space: string, key: string): void {
    const keyed = this.#spaces.get(space)?.get(key)
    if (keyed === undefined) return
    this.#spaces.get(space)!.delete(key)
    this.#keeper.remove(keyed.kept!)
  }

  keys(space: string): readonly string[] {
    return [...(this.#spaces.get(space)?.keys() ?? [])]
  }

  /** Takes a record found at start, if it is one of these. */
  found(record: FoundRecord, found: Found): void {
    const stored = readKeyed(record.body)
    if (stored === null) return found.remove(record.kept)
    const keyed = new Keyed(stored.space, stored.key, stored.value)
    keyed.kept = record.kept
    found.adopt(record.kept, keyed)
    this.#add(keyed)
  }

  #add(keyed: Keyed): void {
    let space = this.#spaces.get(keyed.space)
    if (space === undefined) this.#spaces.set(keyed.space, (space = new Map()))
    space.set(keyed.key, keyed)
  }
}
