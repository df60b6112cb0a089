// What all boxes hold alike, because the latest write of a key counts everywhere (CLUSTER 4): an entry, a table of them
// as whoever keeps the values sees it, and the replica that looks after its likeness with the other boxes.

import type { NodeId } from './ids.ts'
import { compareStamps, type Stamp } from './stamps.ts'

export interface SharedEntry {
  readonly key: string
  stamp: Stamp
  /** Of the key, and the next entry in the same leaf of the hash tree: the replica's own. */
  hash: number
  next: SharedEntry | null
}

/** The values, kept by whoever uses them. */
export interface SharedTable<Entry extends SharedEntry = SharedEntry> {
  get(key: string): Entry | undefined
  /** Removed or expired: only key and stamp are left of it. */
  isGone(entry: Entry): boolean
  /** What it holds, as it travels; null: it is gone. */
  read(entry: Entry): Buffer | null
  /**
   * Takes what another box wrote later than what stands here, and copies what it keeps of the bytes. Null: it cannot
   * be taken, because there is no room. Throws PeerError for what makes no sense.
   */
  write(key: string, value: Buffer | null, stamp: Stamp, from: NodeId): Entry | null
  /** The entry counts as written then, earlier or later than before; its value stays. */
  restamp(entry: Entry, stamp: Stamp): void
  /** The entry is out of the tree: nobody needs to know any more that it was there. */
  forget(entry: Entry): void
  /** The newest stamp of what was forgotten, to be kept as long as the entries are; null: it says nothing any more. */
  horizonMoved(horizon: Stamp | null): void
}

/** What a table asks of whoever makes it alike on all boxes. */
export interface Replica {
  /** Entries with a stamp up to here that nobody knows any more were removed; null: nothing was forgotten yet. */
  readonly horizon: Stamp | null
  /** As many entries as there may be. */
  readonly full: boolean
  /** For a write of this node: later than all that was seen. */
  stamp(): Stamp
  /**
   * The entry is new (`before` is null) or has another stamp than before. `tell`: the other boxes are to hear of it
   * from here; else they hear of it in another way, or know it.
   */
  wrote(entry: SharedEntry, before: Stamp | null, tell: boolean): void
  /** Whether a write of another box is later than what stands here (`before`; null: nothing is known of the key). */
  takes(before: Stamp | null, stamp: Stamp): boolean
  /** There was no room for an entry. */
  refused(): void
  /** Forgets an entry as if it had never been, here alone. */
  drop(key: string): void
  /** A stamp that an earlier run has kept. */
  recall(stamp: Stamp): void
  /** What an earlier run had forgotten. */
  restore(horizon: Stamp): void
}

/** Nobody shares the table: what is removed is forgotten at once. */
export class NoReplica implements Replica {
  readonly horizon = null
  readonly full = false
  readonly #table: SharedTable
  #writes = 0

  constructor(table: SharedTable) {
    this.#table = table
  }

  stamp(): Stamp {
    return { wallMs: ++this.#writes, counter: 0, node: NOBODY }
  }

  wrote(entry: SharedEntry): void {
    if (this.#table.isGone(entry)) this.#table.forget(entry)
  }

  takes(before: Stamp | null, stamp: Stamp): boolean {
    return before === null || compareStamps(stamp, before) > 0
  }

  drop(key: string): void {
    const entry = this.#table.get(key)
    if (entry !== undefined) this.#table.forget(entry)
  }

  refused(): void {}
  recall(): void {}
  restore(): void {}
}

const NOBODY = '0000000000000000' as NodeId
