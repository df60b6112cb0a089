// One record as the store knows it, and the list of those that are on disk, oldest writing first: its head says from
// where on the disk's batches are still needed.

import type { Kept } from '../broker/ports.ts'
import type { Recordable } from '../wire/record/batch.ts'

export class Entry implements Kept {
  readonly id: number
  /** Null: removed. */
  value: Recordable | null
  /** The batch that holds its last writing; 0: none. */
  batch = 0
  /** The position it is staged at; 0: it is not. */
  stagedAt = 0
  /** The position of its last change since it was staged. */
  changedAt = 0
  /** Removed in favour of something staged after it: no promise made on it is kept before that is on disk. */
  replaced = false
  /** In a batch that failed: nobody knows whether that is on the disk. */
  tried = false
  /** In the batch that is on its way to the disk. */
  writing = false
  /** Bytes of its last writing. */
  bytes = 0
  older: Entry | null = null
  newer: Entry | null = null

  constructor(id: number, value: Recordable) {
    this.id = id
    this.value = value
  }
}

export class AgeList {
  oldest: Entry | null = null
  #newest: Entry | null = null
  count = 0
  /** Bytes of all in it. */
  bytes = 0

  /** Puts a new entry, or one of the list, at its young end. */
  renew(entry: Entry, batch: number, bytes: number): void {
    if (entry.batch !== 0) this.take(entry)
    entry.batch = batch
    entry.bytes = bytes
    entry.older = this.#newest
    if (this.#newest === null) this.oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
    this.count++
    this.bytes += bytes
  }

  take(entry: Entry): void {
    if (entry.older === null) this.oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === null) this.#newest = entry.older
    else entry.newer.older = entry.older
    entry.older = null
    entry.newer = null
    entry.batch = 0
    this.count--
    this.bytes -= entry.bytes
  }
}
