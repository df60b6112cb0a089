// What members tell each other of boxes that were removed, on the channel `revocations`. What was said is never taken
// back, so it may come in any order, from anybody, and as often as you like.
//
//   0  kind  1
//   1  number of entries  2   (at most 256; a longer list is several messages)
//
//   1 removed    each: node id 8, fingerprint of its key as text (empty: not known)
//   2 kept       each: node id 8: the sender has that on its disk
//
// Kinds of later versions are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { readText } from './confirm.ts'
import { FINGERPRINT_CHARACTERS_MAX } from './issue.ts'

export const ENTRIES_MAX = 256
const REMOVED = 1
const KEPT = 2

export interface Revocation {
  readonly node: NodeId
  /** Of its key: a box that comes back with another id and the same key is the same box. Empty: not known. */
  readonly key: string
}

export type RevocationMessage =
  | { readonly kind: 'removed'; readonly entries: readonly Revocation[] }
  | { readonly kind: 'kept'; readonly nodes: readonly NodeId[] }

export function encodeRevocations(message: RevocationMessage): Buffer {
  const writer = new ByteWriter(1024)
  if (message.kind === 'removed') {
    writer.u8(REMOVED).u16(message.entries.length)
    for (const { node, key } of message.entries) writer.id(node).text(key)
  } else {
    writer.u8(KEPT).u16(message.nodes.length)
    for (const node of message.nodes) writer.id(node)
  }
  return writer.done()
}

/** Null: of a later version, to be skipped. Throws PeerError. */
export function decodeRevocations(bytes: Buffer): RevocationMessage | null {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (kind !== REMOVED && kind !== KEPT) return null
  const count = reader.u16()
  if (count > ENTRIES_MAX) throw new PeerError('too many revocations in one message')
  const entries: Revocation[] = []
  for (let index = 0; index < count && !reader.broken; index++) {
    const node = reader.id<NodeId>()
    entries.push({ node, key: kind === REMOVED ? readText(reader, FINGERPRINT_CHARACTERS_MAX) : '' })
  }
  if (reader.broken) throw new PeerError('a list of revocations that does not add up')
  return kind === REMOVED ? { kind: 'removed', entries } : { kind: 'kept', nodes: entries.map(({ node }) => node) }
}
