// Messages for a box whose sessions go on here go round them, as if a member had handed them over.

import type { LocalDelivery } from '../../broker/ports.ts'
import { BATCH_HEADER_BYTES, BatchReader, writeBatchHeader } from '../../wire/link/forward.ts'
import type { Late } from '../../wire/message.ts'

/** `items`: as they stand in a batch. */
export function deliverAgain(items: Buffer, local: LocalDelivery, nowMs: number, late: Late = 'handed'): void {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES + items.length)
  writeBatchHeader(bytes, 1, 0, late)
  items.copy(bytes, BATCH_HEADER_BYTES)
  const reader = new BatchReader()
  reader.open(bytes)
  for (let message = reader.next(nowMs); message !== null; message = reader.next(nowMs)) {
    local.deliverFromPeer(message, reader.late, reader.targets)
  }
}
