// Messages on their way to a member that could not take them.
//
//   parked  member 8 | waited u48 | items u32+, as they stand in a batch between boxes (wire/link/forward.ts)
//
// waited: milliseconds that the items had waited when the record was written, to be taken off what is left of them.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'

export interface StoredParked {
  readonly member: NodeId
  readonly waitedMs: number
  readonly items: Buffer
}

export function writeParked(into: ByteWriter, { member, waitedMs, items }: StoredParked): void {
  into.id(member).u48(Math.floor(waitedMs)).u32(items.length).raw(items)
}

/** Null: it cannot be read. The items are a view. */
export function readParked(body: Buffer): StoredParked | null {
  const reader = new ByteReader(body)
  const parked = { member: reader.id<NodeId>(), waitedMs: reader.u48(), items: reader.view(reader.u32()) }
  return reader.broken || parked.items.length === 0 ? null : parked
}
