// What members say to each other about the CA itself, on the channel `ca`: that it was replaced, and where its key lies.
//
//   0  kind  1
//
//   1 offer    how often the CA was replaced 4, flags 1 (bit 0: the CA before is compromised), certificate of the CA as
//              text, number of CAs before it 1 (at most 8), each, the last one first: its certificate as text, the
//              certificate of the one that followed it signed by it as text, for how long it is still believed 6 (ms);
//              then the private key as text: empty for all but the one that is to have it too
//   2 key      fingerprint of the CA as text, its private key as text
//   3 seal     number 1 (at most 8), each: id 8 of a member that keeps the key; who is not among them deletes it
//   4 rotate   flags 1 (bit 0: the CA is compromised): the sender asks a member that has the key
//   5 refused  why not, as text
//
// A text is 2 bytes of length and UTF-8. Kinds of later versions are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { readText } from './confirm.ts'
import { FINGERPRINT_CHARACTERS_MAX, readPem } from './issue.ts'

/** CAs that were replaced within the time that one is still believed. */
export const EARLIER_MAX = 8
const KEEPERS_MAX = 8
const WORDS_CHARACTERS_MAX = 255
/** Two texts for each of the earlier ones, and the CA itself. */
export const AUTHORITY_BYTES_MAX = 192 * 1024
const COMPROMISED = 1
const KIND = { offer: 1, key: 2, seal: 3, rotate: 4, refused: 5 } as const

export interface OfferedEarlier {
  readonly certificate: string
  readonly cross: string
  readonly leftMs: number
}

export interface Offer {
  readonly generation: number
  readonly compromised: boolean
  readonly certificate: string
  readonly earlier: readonly OfferedEarlier[]
  /** Null: the key stays where it is. */
  readonly privateKey: string | null
}

export type AuthorityMessage =
  | ({ readonly kind: 'offer' } & Offer)
  | { readonly kind: 'key'; readonly authority: string; readonly privateKey: string }
  | { readonly kind: 'seal'; readonly keepers: readonly NodeId[] }
  | { readonly kind: 'rotate'; readonly compromised: boolean }
  | { readonly kind: 'refused'; readonly words: string }

export function encodeAuthority(message: AuthorityMessage): Buffer {
  const writer = new ByteWriter(4096)
  writer.u8(KIND[message.kind])
  switch (message.kind) {
    case 'offer':
      writer.u32(message.generation).u8(message.compromised ? COMPROMISED : 0)
      writer.text(message.certificate).u8(message.earlier.length)
      for (const { certificate, cross, leftMs } of message.earlier) writer.text(certificate).text(cross).u48(leftMs)
      writer.text(message.privateKey ?? '')
      break
    case 'key':
      writer.text(message.authority).text(message.privateKey)
      break
    case 'seal':
      writer.u8(message.keepers.length)
      for (const id of message.keepers) writer.id(id)
      break
    case 'rotate':
      writer.u8(message.compromised ? COMPROMISED : 0)
      break
    case 'refused':
      writer.text(message.words.slice(0, WORDS_CHARACTERS_MAX))
  }
  return writer.done()
}

/** Null: of a later version, to be skipped. Throws PeerError. */
export function decodeAuthority(bytes: Buffer): AuthorityMessage | null {
  const reader = new ByteReader(bytes)
  const message = readMessage(reader)
  if (reader.broken) throw new PeerError('truncated message')
  return message
}

function readMessage(reader: ByteReader): AuthorityMessage | null {
  switch (reader.u8()) {
    case KIND.offer:
      return {
        kind: 'offer',
        generation: reader.u32(),
        compromised: (reader.u8() & COMPROMISED) !== 0,
        certificate: readPem(reader),
        earlier: readList(reader, EARLIER_MAX, () => {
          return { certificate: readPem(reader), cross: readPem(reader), leftMs: reader.u48() }
        }),
        privateKey: readPem(reader) || null,
      }
    case KIND.key:
      return { kind: 'key', authority: readText(reader, FINGERPRINT_CHARACTERS_MAX), privateKey: readPem(reader) }
    case KIND.seal:
      return { kind: 'seal', keepers: readList(reader, KEEPERS_MAX, () => reader.id<NodeId>()) }
    case KIND.rotate:
      return { kind: 'rotate', compromised: (reader.u8() & COMPROMISED) !== 0 }
    case KIND.refused:
      return { kind: 'refused', words: readText(reader, WORDS_CHARACTERS_MAX) }
    default:
      return null
  }
}

function readList<T>(reader: ByteReader, max: number, read: () => T): T[] {
  const count = reader.u8()
  if (count > max) throw new PeerError('too long a list')
  const list: T[] = []
  for (let index = 0; index < count && !reader.broken; index++) list.push(read())
  return list
}
