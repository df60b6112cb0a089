// What one member may not have, as another is given it that goes on with its sessions.

import { BATCH_HEADER_BYTES } from '../../wire/link/forward.ts'
import type { SentBatch } from './batches.ts'
import { type WaitingItem, writeWaited } from './linkqueue.ts'
import type { ParkedItems } from './parking.ts'

/** The items of a batch, as bytes of their own. */
export function itemsOf({ bytes, start, end, first, last, atMs }: SentBatch): ParkedItems {
  const items = Buffer.from(bytes.subarray(start + BATCH_HEADER_BYTES, end))
  return { bytes: items, start: 0, end: items.length, count: last - first + 1, atMs }
}

/** Out of what waits; QoS 0 is for nobody else. */
export function* queued(queue: Iterable<WaitingItem>, nowMs: number): IterableIterator<ParkedItems> {
  for (const item of queue) {
    if (item.bytes === null || item.qos === 0 || item.kept?.value === null) continue
    const items = Buffer.alloc(item.bytes.length)
    writeWaited(item, items, 0, nowMs)
    yield { bytes: items, start: 0, end: items.length, count: item.count, atMs: nowMs }
  }
}
