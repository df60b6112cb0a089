// Who waits for which sequence of this node's own part, and how far each follower has come.

import type { NodeId } from '../../base/ids.ts'
import type { SnapshotCursor } from './ownpart.ts'

/** A member as a follower of this node's part. */
export class Follower {
  readonly peer: NodeId
  /** The channel to it is open. */
  linked = false
  /** It has said what it holds, so deltas may go. */
  following = false
  /** The answer to it that has not been sent yet. */
  due: 'nothing' | 'resume' | 'begin' = 'nothing'
  /** The snapshot on its way, if any. */
  snapshot: SnapshotCursor | null = null
  /** Bytes of the snapshot that the channel had no room for. */
  unsent: Buffer | null = null
  /** Messages of entries that it has not asked to go on after. */
  entriesInFlight = 0
  /** The last delta handed to the channel, or the one after which it was told that deltas go on. */
  sent = -1
  /** It holds the part whole up to here; -1: not at all. */
  whole = -1
  /** Where the snapshot began that it is filling, and the last delta it has applied since. */
  begun = 0
  applied = -1
  /** It kept somebody waiting too long: nobody waits for it again until it has come to here; -1: it did not. */
  lateUntil = -1

  constructor(peer: NodeId) {
    this.peer = peer
  }

  /** Whether the delta of that number is applied at the follower. */
  has(sequence: number): boolean {
    return this.whole >= sequence || (this.applied >= sequence && sequence > this.begun)
  }

  /**
   * It must be given everything again. What it has taken stays taken: a part keeps its former entries while it fills.
   */
  restart(): void {
    this.due = 'begin'
    this.snapshot = null
    this.unsent = null
  }

  /** Nothing is known of what it holds. */
  forget(): void {
    this.whole = -1
    this.applied = -1
  }

  unlink(): void {
    this.linked = false
    this.following = false
    this.due = 'nothing'
    this.snapshot = null
    this.unsent = null
    this.entriesInFlight = 0
    this.sent = -1
    this.lateUntil = -1
    this.forget()
  }
}

interface Waiting {
  readonly sinceMs: number
  readonly done: (() => void)[]
}

/** Callbacks by the sequence they wait for. */
export class Waiters {
  readonly #bySequence = new Map<number, Waiting>()

  /** Sequences that somebody waits for, the longest awaited first. */
  get sequences(): IterableIterator<number> {
    return this.#bySequence.keys()
  }

  /** Who has waited longest, and since when. */
  get oldest(): { readonly sequence: number; readonly sinceMs: number } | null {
    for (const [sequence, { sinceMs }] of this.#bySequence) return { sequence, sinceMs }
    return null
  }

  get isEmpty(): boolean {
    return this.#bySequence.size === 0
  }

  add(sequence: number, nowMs: number, done: () => void): void {
    const waiting = this.#bySequence.get(sequence)
    if (waiting === undefined) this.#bySequence.set(sequence, { sinceMs: nowMs, done: [done] })
    else waiting.done.push(done)
  }

  release(sequence: number): void {
    const waiting = this.#bySequence.get(sequence)
    if (waiting === undefined) return
    this.#bySequence.delete(sequence)
    for (const done of waiting.done) done()
  }
}
