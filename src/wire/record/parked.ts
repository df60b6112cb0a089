// Messages on their way to a member that could not take them.
//
//   parked  member 8 | waited u48 | items u32+, as they stand in a batch between boxes (wire/link/forward.ts)
//
// waited: milliseconds that the items had waited when the record was written, to be taken off what is left of them.
// Its highest bit: the items were on their way to another box, whose sessions go on at this member.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'

export interface StoredParked {
  readonly member: NodeId
  readonly waitedMs: number
  readonly items: Buffer
  readonly handed: boolean
}

const HANDED = 2 ** 47

export function writeParked(into: ByteWriter, { member, waitedMs, items, handed }: StoredParked): void {
  const waited = Math.floor(waitedMs) + (handed ? HANDED : 0)
  into.id(member).u48(waited).u32(items.length).raw(items)
}

/** Null: it cannot be read. The items are a view. */
export function readParked(body: Buffer): StoredParked | null {
  const reader = new ByteReader(body)
  const [member, waited, items] = [reader.id<NodeId>(), reader.u48(), reader.view(reader.u32())]
  if (reader.broken || items.length === 0) return null
  return { member, waitedMs: waited % HANDED, items, handed: waited >= HANDED }
}
