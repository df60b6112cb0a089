// Marks on the channel `forward`: how a box learns that all that a member has sent it until now has come (CLUSTER 6).
//
//   ask    6 | number u32     tell me behind what you have for me now
//   mark   7 | number u32     this stands behind it
//
// Forgotten with the link, and asked again over the next one. The other kinds of the channel: forward.ts, taken.ts.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'

const ASK = 6
const MARK = 7

export interface MarkMessage {
  readonly kind: 'ask' | 'mark'
  readonly number: number
}

export const encodeMark = ({ kind, number }: MarkMessage): Buffer =>
  new ByteWriter(8)
    .u8(kind === 'ask' ? ASK : MARK)
    .u32(number)
    .done()

/** Null: none of these. Throws PeerError for what breaks the layout. */
export function decodeMark(bytes: Buffer): MarkMessage | null {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (kind !== ASK && kind !== MARK) return null
  const number = reader.u32()
  if (reader.broken) throw new PeerError('forwarding: a mark cut short')
  return { kind: kind === ASK ? 'ask' : 'mark', number }
}
