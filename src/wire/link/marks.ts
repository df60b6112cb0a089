// Marks on the channel `forward`: how a box learns that all that a member has sent it until now has come (CLUSTER 6).
//
//   ask    6 | number u32 . owner 8   tell me behind what you have for me, once you know what that box wants; without
//                                     owner: now
//   mark   7 | number u32             this stands behind it
//
// Forgotten with the link, and asked again over the next one. The other kinds of the channel: forward.ts, taken.ts.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'

const ASK = 6
const MARK = 7
const SHORT_BYTES = 5

export type MarkMessage =
  | { readonly kind: 'ask'; readonly number: number; readonly owner: NodeId | null }
  | { readonly kind: 'mark'; readonly number: number }

export function encodeMark(message: MarkMessage): Buffer {
  const writer = new ByteWriter(16).u8(message.kind === 'ask' ? ASK : MARK).u32(message.number)
  if (message.kind === 'ask' && message.owner !== null) writer.id(message.owner)
  return writer.done()
}

/** Null: none of these. Throws PeerError for what breaks the layout. */
export function decodeMark(bytes: Buffer): MarkMessage | null {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (kind !== ASK && kind !== MARK) return null
  const number = reader.u32()
  // An earlier version names nobody.
  const owner = kind === ASK && bytes.length > SHORT_BYTES ? reader.id<NodeId>() : null
  if (reader.broken) throw new PeerError('forwarding: a mark cut short')
  return kind === ASK ? { kind: 'ask', number, owner } : { kind: 'mark', number }
}
