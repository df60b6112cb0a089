// Channel `relay`: a third member carries the bytes of a link between two that cannot reach each other. A circuit has a
// number on each of its two hops, given by who opens it there; it never has a third hop. What it carries is sealed by the
// two ends before it comes here.
//
//   0  kind     1
//   1  circuit  4    (bit 31: given by the node with the higher id of this hop)
//   5  body
//
//   1 open     node id 8         to the relay: to that member, please
//   2 opened   node id 8         from the relay: that member wants to speak with you
//   3 bytes    1 .. PIECE_BYTES
//   4 credit   number 4          bytes that the other end has consumed
//   5 end      nothing
//
// Kinds that are not known, and what stands behind a body, are of later versions and ignored.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'

export const RELAY_PIECE_BYTES = 8 * KiB
const HEADER_BYTES = 5
const KINDS = { open: 1, opened: 2, bytes: 3, credit: 4, end: 5 } as const

export type RelayMessage =
  | { readonly kind: 'open' | 'opened'; readonly circuit: number; readonly node: NodeId }
  | { readonly kind: 'bytes'; readonly circuit: number; readonly bytes: Buffer }
  | { readonly kind: 'credit'; readonly circuit: number; readonly consumed: number }
  | { readonly kind: 'end'; readonly circuit: number }

export function encodeRelay(message: RelayMessage): Buffer {
  const writer = new ByteWriter(HEADER_BYTES + 8).u8(KINDS[message.kind]).u32(message.circuit)
  if (message.kind === 'open' || message.kind === 'opened') writer.id(message.node)
  else if (message.kind === 'bytes') writer.raw(message.bytes)
  else if (message.kind === 'credit') writer.u32(message.consumed)
  return writer.done()
}

/** Null for a kind of a later version; throws PeerError. The bytes are those of `from`, valid as long as they are. */
export function decodeRelay(from: Buffer): RelayMessage | null {
  const reader = new ByteReader(from)
  const kind = reader.u8()
  if (kind > KINDS.end) return null
  const circuit = reader.u32()
  let message: RelayMessage | null = null
  if (kind === KINDS.open || kind === KINDS.opened) {
    message = { kind: kind === KINDS.open ? 'open' : 'opened', circuit, node: reader.id<NodeId>() }
  } else if (kind === KINDS.bytes) {
    const bytes = from.subarray(HEADER_BYTES)
    if (bytes.length === 0 || bytes.length > RELAY_PIECE_BYTES) throw new PeerError('relayed bytes out of bounds')
    message = { kind: 'bytes', circuit, bytes }
  } else if (kind === KINDS.credit) {
    message = { kind: 'credit', circuit, consumed: reader.u32() }
  } else if (kind === KINDS.end) {
    message = { kind: 'end', circuit }
  }
  if (reader.broken) throw new PeerError('truncated message')
  return message
}
