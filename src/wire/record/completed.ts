// A message of QoS 2 that the client of a session has completed: what counts of it is its id.
//
//   completed  session u48 | flags u8 | node 8 | incarnation u48 | counter u48
//
// session: the id of its record. flags: bit 0: it came by a shared subscription.

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Origin } from '../message.ts'

const SHARED = 0x01

export interface StoredCompleted {
  readonly session: number
  readonly shared: boolean
  readonly origin: Origin
  readonly counter: number
}

export function writeCompleted(into: ByteWriter, { session, shared, origin, counter }: StoredCompleted): void {
  into
    .u48(session)
    .u8(shared ? SHARED : 0)
    .id(origin.node)
    .u48(origin.incarnation)
    .u48(counter)
}

/** Null: it cannot be read. */
export function readCompleted(body: Buffer): StoredCompleted | null {
  const reader = new ByteReader(body)
  const session = reader.u48()
  const shared = (reader.u8() & SHARED) !== 0
  const origin = { node: reader.id<NodeId>(), incarnation: reader.u48() }
  const counter = reader.u48()
  return reader.broken ? null : { session, shared, origin, counter }
}
