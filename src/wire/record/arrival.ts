// How far the messages of a member have been received, as of the batch that this stands in: what they staged is in it, or
// in one before.
//
//   arrival  member 8 | run 8 | received u48
//
// run: the life of the sender's numbers in which `received` counts (wire/link/taken.ts).

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'

export interface StoredArrival {
  readonly member: NodeId
  readonly run: string
  readonly received: number
}

export function writeArrival(into: ByteWriter, { member, run, received }: StoredArrival): void {
  into.id(member).id(run).u48(received)
}

/** Null: it cannot be read. */
export function readArrival(body: Buffer): StoredArrival | null {
  const reader = new ByteReader(body)
  const arrival = { member: reader.id<NodeId>(), run: reader.id<string>(), received: reader.u48() }
  return reader.broken ? null : arrival
}
