// The disk under the store as the core sees it: a queue of numbered batches. Appended at the tail, each whole or not at
// all, read once at start, dropped from the head. What is in a batch is the store's own business.

import type { HostError } from '../errors.ts'

/** What opening found. */
export interface OpenedEngine {
  /** The number of the last batch that was read; 0: none. The next one appended is greater. */
  readonly lastBatch: number
  /** What could not be read and where it was set aside, in words for `problems`; empty: all was well. */
  readonly damaged: readonly string[]
}

export interface StoreEngine {
  /** Reads all batches, oldest first; their bytes are valid during the call only. `done` is called once. */
  open(batch: (number: number, bytes: Buffer) => void, done: (result: OpenedEngine | HostError) => void): void
  /**
   * Appends a batch; `done` gets null when it is on disk, whatever happens to the power now. One append at a time, with
   * growing numbers: after an error nobody knows whether the batch is there, and its number is not used again.
   */
  append(number: number, bytes: Buffer, done: (error: HostError | null) => void): void
  /** Batches below `number` are not needed any more. Their room is given back sooner or later. */
  drop(below: number): void
  /** Bytes that it takes on the disk. */
  readonly bytes: number
  close(done: () => void): void
}
