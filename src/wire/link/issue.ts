// What members say to each other about certificates, on the channel `issue`: who has the key of the CA, and requests to
// those who have it.
//
//   0  kind  1
//
//   1 stands     flags 1 (bit 0: has the key of the CA; bit 1: the key lies in its bundle too), how often the CA was
//                replaced 4, fingerprint of the CA in use as text
//   2 request    number 4, what 1, then
//                  1 own         public key as text: the sender asks for itself, so no id stands here
//                  2 let in      node id 8, public key as text: a box whose enrolment the sender vouches for
//                  3 service     common name as text, number of names 1, each a text, number of addresses 1, each a
//                                text, dated 1, from 6, to 6 (milliseconds since 1970; zero when not dated), public key
//   3 issued     number 4, certificate as text
//   4 refused    number 4, reason 1, words as text
//   5 renews     fingerprint of the key that the sender's next certificate is for, as text
//
// A text is 2 bytes of length and UTF-8. Kinds and reasons of later versions are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { ServiceSubject } from '../../base/ports/trust.ts'
import { readText } from './confirm.ts'

export const ISSUE_BYTES_MAX = 48 * 1024
const PEM_CHARACTERS_MAX = 8192
const NAME_CHARACTERS_MAX = 255
export const FINGERPRINT_CHARACTERS_MAX = 128
/** Names, and addresses, that one certificate may carry. */
export const NAMES_MAX = 64

const KIND = { stands: 1, request: 2, issued: 3, refused: 4, renews: 5 } as const
const HAS_KEY = 1
const IN_BUNDLE = 2
const WHAT = { own: 1, letIn: 2, service: 3 } as const

/** Why a request is refused. Numbers are only added. */
const REASONS = { 1: 'no key', 2: 'busy', 3: 'invalid', 4: 'failed' } as const
export type IssueRefusal = (typeof REASONS)[keyof typeof REASONS] | 'unknown'
const reasonCodes = new Map(Object.entries(REASONS).map(([code, reason]) => [reason as IssueRefusal, Number(code)]))

/** What a certificate is asked for. */
export type IssueWish =
  | { readonly what: 'own'; readonly publicKey: string }
  | { readonly what: 'let in'; readonly node: NodeId; readonly publicKey: string }
  | { readonly what: 'service'; readonly subject: ServiceSubject; readonly publicKey: string }

/** What a member tells of the CA that it uses. */
export interface Stands {
  readonly hasKey: boolean
  /** The key lies where people put it, too. */
  readonly inBundle: boolean
  /** How often the CA of this cluster was replaced. */
  readonly generation: number
  /** Fingerprint of the CA's certificate. */
  readonly authority: string
}

export type IssueMessage =
  | ({ readonly kind: 'stands' } & Stands)
  | { readonly kind: 'request'; readonly number: number; readonly wish: IssueWish }
  | { readonly kind: 'issued'; readonly number: number; readonly certificate: string }
  | { readonly kind: 'refused'; readonly number: number; readonly reason: IssueRefusal; readonly words: string }
  | { readonly kind: 'renews'; readonly key: string }

export function encodeIssue(message: IssueMessage): Buffer {
  const writer = new ByteWriter(1024)
  writer.u8(KIND[message.kind])
  switch (message.kind) {
    case 'stands':
      writer.u8((message.hasKey ? HAS_KEY : 0) | (message.inBundle ? IN_BUNDLE : 0))
      writer.u32(message.generation).text(message.authority)
      break
    case 'request':
      writer.u32(message.number)
      writeWish(writer, message.wish)
      break
    case 'issued':
      writer.u32(message.number).text(message.certificate)
      break
    case 'refused':
      writer.u32(message.number).u8(reasonCodes.get(message.reason) ?? 0)
      writer.text(message.words.slice(0, NAME_CHARACTERS_MAX))
      break
    case 'renews':
      writer.text(message.key)
  }
  return writer.done()
}

function writeWish(writer: ByteWriter, wish: IssueWish): void {
  switch (wish.what) {
    case 'own':
      writer.u8(WHAT.own).text(wish.publicKey)
      return
    case 'let in':
      writer.u8(WHAT.letIn).id(wish.node).text(wish.publicKey)
      return
    case 'service': {
      const { commonName, names, addresses, fromMs, toMs } = wish.subject
      writer.u8(WHAT.service).text(commonName.slice(0, NAME_CHARACTERS_MAX))
      for (const list of [names, addresses]) {
        writer.u8(Math.min(list.length, NAMES_MAX))
        for (const each of list.slice(0, NAMES_MAX)) writer.text(each.slice(0, NAME_CHARACTERS_MAX))
      }
      const dated = fromMs !== null && toMs !== null
      writer.u8(dated ? 1 : 0).u48(dated ? fromMs : 0)
      writer.u48(dated ? toMs : 0).text(wish.publicKey)
    }
  }
}

/** Null: of a later version, to be skipped. Throws PeerError. */
export function decodeIssue(bytes: Buffer): IssueMessage | null {
  const reader = new ByteReader(bytes)
  const message = readMessage(reader)
  if (reader.broken) throw new PeerError('truncated message')
  return message
}

function readMessage(reader: ByteReader): IssueMessage | null {
  switch (reader.u8()) {
    case KIND.stands: {
      const flags = reader.u8()
      const generation = reader.u32()
      const authority = readText(reader, FINGERPRINT_CHARACTERS_MAX)
      return {
        kind: 'stands',
        hasKey: (flags & HAS_KEY) !== 0,
        inBundle: (flags & IN_BUNDLE) !== 0,
        generation,
        authority,
      }
    }
    case KIND.request: {
      const number = reader.u32()
      const wish = readWish(reader)
      return wish === null ? null : { kind: 'request', number, wish }
    }
    case KIND.issued:
      return { kind: 'issued', number: reader.u32(), certificate: readPem(reader) }
    case KIND.refused: {
      const number = reader.u32()
      const reason = REASONS[reader.u8() as keyof typeof REASONS] ?? 'unknown'
      return { kind: 'refused', number, reason, words: readText(reader, NAME_CHARACTERS_MAX) }
    }
    case KIND.renews:
      return { kind: 'renews', key: readText(reader, FINGERPRINT_CHARACTERS_MAX) }
    default:
      return null
  }
}

function readWish(reader: ByteReader): IssueWish | null {
  switch (reader.u8()) {
    case WHAT.own:
      return { what: 'own', publicKey: readPem(reader) }
    case WHAT.letIn:
      return { what: 'let in', node: reader.id<NodeId>(), publicKey: readPem(reader) }
    case WHAT.service: {
      const commonName = readText(reader, NAME_CHARACTERS_MAX)
      const names = readTexts(reader)
      const addresses = readTexts(reader)
      const dated = reader.u8() !== 0
      const [fromMs, toMs] = [reader.u48(), reader.u48()]
      const subject = { commonName, names, addresses, fromMs: dated ? fromMs : null, toMs: dated ? toMs : null }
      return { what: 'service', subject, publicKey: readPem(reader) }
    }
    default:
      return null
  }
}

function readTexts(reader: ByteReader): string[] {
  const count = reader.u8()
  if (count > NAMES_MAX) throw new PeerError('too many names for a certificate')
  const texts: string[] = []
  for (let index = 0; index < count && !reader.broken; index++) texts.push(readText(reader, NAME_CHARACTERS_MAX))
  return texts
}

/** A text of many lines: nothing is taken out of it, and it is parsed before anybody reads it. */
export function readPem(reader: ByteReader, charactersMax = PEM_CHARACTERS_MAX): string {
  const text = reader.text()
  if (text.length > charactersMax) throw new PeerError('text too long')
  return text
}
