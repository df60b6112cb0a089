// Boxes that wait for people, as the member that they talk to tells the others of them: an entry of its part, by the
// box's id.
//
//   address, name, words, name of the member it replaces (empty: none)   texts
//   anything behind is of a later version and ignored
//
// And the wish of people on one member, to the member that the box talks to (channel `approve`):
//
//   1 approve   number 4, id of the box 8, words that were compared      2 answer   number 4, text (empty: it is in)

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import { isId, type NodeId } from '../../base/ids.ts'
import { readText } from './confirm.ts'

const CHARACTERS_MAX = 255
const ANSWER_CHARACTERS_MAX = 1024
/** Of the longest entry. */
export const WAITING_BYTES_MAX = 4 * (2 + 4 * CHARACTERS_MAX)
/** Of the longest message. */
export const APPROVE_BYTES_MAX = 16 + 4 * ANSWER_CHARACTERS_MAX

export interface WaitingBox {
  readonly address: string
  readonly name: string
  readonly words: string
  readonly replaces: string
}

export function encodeWaiting({ address, name, words, replaces }: WaitingBox): Buffer {
  const writer = new ByteWriter()
  for (const text of [address, name, words, replaces]) writer.text(text.slice(0, CHARACTERS_MAX))
  return writer.done()
}

export function decodeWaiting(bytes: Buffer): WaitingBox {
  const reader = new ByteReader(bytes)
  const [address, name, words, replaces] = Array.from({ length: 4 }, () => readText(reader, CHARACTERS_MAX))
  if (reader.broken) throw new PeerError('truncated entry of a waiting box')
  return { address: address!, name: name!, words: words!, replaces: replaces! }
}

/** Throws PeerError for an entry that no member may have. */
export function checkWaiting(key: string, value: Buffer): void {
  if (!isId(key)) throw new PeerError('a waiting box without an id')
  decodeWaiting(value)
}

export type ApproveMessage =
  | { readonly kind: 'approve'; readonly number: number; readonly node: NodeId; readonly words: string }
  | { readonly kind: 'answer'; readonly number: number; readonly wrong: string }

const KINDS = { approve: 1, answer: 2 } as const

export function encodeApprove(message: ApproveMessage): Buffer {
  const writer = new ByteWriter().u8(KINDS[message.kind]).u32(message.number)
  if (message.kind === 'approve') writer.id(message.node).text(message.words)
  else writer.text(message.wrong.slice(0, ANSWER_CHARACTERS_MAX))
  return writer.done()
}

/** Null for a kind of a later version; throws PeerError. */
export function decodeApprove(bytes: Buffer): ApproveMessage | null {
  const reader = new ByteReader(bytes)
  const kind = reader.u8()
  if (kind !== KINDS.approve && kind !== KINDS.answer) return null
  const number = reader.u32()
  const message: ApproveMessage =
    kind === KINDS.approve
      ? { kind: 'approve', number, node: reader.id<NodeId>(), words: readText(reader, CHARACTERS_MAX) }
      : { kind: 'answer', number, wrong: readText(reader, ANSWER_CHARACTERS_MAX) }
  if (reader.broken) throw new PeerError('truncated message')
  return message
}
