// A durable route of a member: what one of its persistent sessions wants.
//
//   route  member 8 | filter u16+utf8

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'

export interface StoredRoute {
  readonly member: NodeId
  readonly filter: string
}

export function writeRoute(into: ByteWriter, { member, filter }: StoredRoute): void {
  into.id(member).text(filter)
}

/** Null: it cannot be read. */
export function readRoute(body: Buffer): StoredRoute | null {
  const reader = new ByteReader(body)
  const route = { member: reader.id<NodeId>(), filter: reader.text() }
  return reader.broken ? null : route
}
