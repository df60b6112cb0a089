// Records of sessions on their way between boxes, in the layouts of wire/record.
//
//   item   kind u8 | id u48 | length u32 | body          kind 0: the record `id` is removed, no length, no body
//
// id: what the sending box calls the record; bodies refer to each other by these numbers. What is left of durations in a
// body counts from the moment it is read.

import type { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import { type Recordable, RecordKind } from '../record/batch.ts'

/** A record as it came: its body is a view. */
export interface ReadItem {
  readonly id: number
  readonly kind: number
  readonly body: Buffer
}

/** Returns the bytes that it took. */
export function writeItem(into: ByteWriter, id: number, value: Recordable, nowMs: number): number {
  const at = into.u8(value.kind).u48(id).length32()
  value.write(into, nowMs)
  return into.behind(at) + ITEM_BYTES
}

export function writeRemoved(into: ByteWriter, id: number): void {
  into.u8(RecordKind.removed).u48(id)
}

const ITEM_BYTES = 11

/** Reads items to the end of what there is. Throws PeerError when they do not add up. */
export function readItems(reader: ByteReader): ReadItem[] {
  const items: ReadItem[] = []
  while (reader.remaining > 0) {
    const kind = reader.u8()
    const id = reader.u48()
    const body = kind === RecordKind.removed ? NOTHING : reader.view(reader.u32())
    items.push({ id, kind, body })
  }
  if (reader.broken) throw new PeerError('records cut short')
  return items
}

const NOTHING = Buffer.alloc(0)
