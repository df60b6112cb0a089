// What one member may not have, as another is given it that goes on with its sessions.

import { BATCH_HEADER_BYTES } from '../wire/link/forward.ts'
import type { SentBatch } from './batches.ts'
import { type WaitingItem, writeWaited } from './linkqueue.ts'
import type { ParkedItems } from './parking.ts'

export interface Undelivered extends ParkedItems {
  readonly count: number
}

/** Out of batches that were made and are not safe at the member. */
export function* batched(batches: Iterable<SentBatch>): IterableIterator<Undelivered> {
  for (const { bytes, start, end, first, last, atMs } of batches) {
    const items = Buffer.from(bytes.subarray(start + BATCH_HEADER_BYTES, end))
    yield { bytes: items, start: 0, end: items.length, count: last - first + 1, atMs }
  }
}

/** Out of what waits; QoS 0 is for nobody else. */
export function* queued(queue: Iterable<WaitingItem>, nowMs: number): IterableIterator<Undelivered> {
  for (const item of queue) {
    if (item.bytes === null || item.qos === 0) continue
    const items = Buffer.alloc(item.bytes.length)
    writeWaited(item, items, 0, nowMs)
    yield { bytes: items, start: 0, end: items.length, count: item.count, atMs: nowMs }
  }
}
