// Enrolment: what a box that wants to be let in (J) and a member (M) say to each other inside a stream that is sealed with
// the key of a code, of the cluster's password, or, where people compare words, with a key that everybody knows. Frames
// as on links (frame.ts), all on channel 0.
//
//   J -> M  confirm     as on links: both hellos, name, version
//   M -> J  confirm
//   J -> M  request     8 cluster that J gives up (zero: none)   32 commitment   public key   name of the member replaced
//   M -> J  offer       32 commitment   CA certificates                          by approval only; then the numbers
//   J -> M  reveal      16 nonce                                                 that the commitments are made of, so
//   M -> J  reveal      16 nonce                                                 that both show the same words
//   M -> J  granted     certificate   CA certificates   key of the CA (empty: J does not get it)   4 how often it was replaced
//   M -> J  refused     1 reason   text for people
//   J -> M  taken       everything is on disk
//
// A text is 2 bytes of length and UTF-8; a list is 1 byte of count and its texts. Between reveal and granted, while people
// compare, ping and pong keep the stream alive. What stands behind a body is of a later version and ignored.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import { type ClusterId, NO_CLUSTER } from '../../base/ids.ts'
import { readText } from './confirm.ts'

export const EnrolKind = {
  request: 32,
  offer: 33,
  reveal: 34,
  granted: 35,
  refused: 36,
  taken: 37,
} as const

export const NONCE_BYTES = 16
export const COMMITMENT_BYTES = 32
const NAME_CHARACTERS_MAX = 255
const WORDS_CHARACTERS_MAX = 512
/** Characters of a certificate or key in PEM: an RSA one of 4096 bits has 3,300. */
const PEM_CHARACTERS_MAX = 12_000
const ANCHORS_MAX = 3

export interface EnrolRequest {
  /** The cluster of one that the box gives up to join; null: it belongs to none. */
  readonly givesUp: ClusterId | null
  readonly commitment: Buffer
  readonly publicKey: string
  /** The name of the member whose place it takes; empty: nobody's. */
  readonly replaces: string
}

export function encodeRequest(request: EnrolRequest): Buffer {
  return new ByteWriter()
    .id(request.givesUp ?? NO_CLUSTER)
    .raw(request.commitment)
    .text(request.publicKey)
    .text(request.replaces)
    .done()
}

export function decodeRequest(bytes: Buffer, start: number, end: number): EnrolRequest {
  const reader = new ByteReader(bytes, start, end)
  const cluster = reader.id<ClusterId>()
  const commitment = Buffer.from(reader.view(COMMITMENT_BYTES))
  const publicKey = readPem(reader)
  const replaces = readText(reader, NAME_CHARACTERS_MAX)
  if (reader.broken) throw new PeerError('truncated frame')
  return { givesUp: cluster === NO_CLUSTER ? null : cluster, commitment, publicKey, replaces }
}

export interface EnrolOffer {
  readonly commitment: Buffer
  readonly anchors: readonly string[]
}

export function encodeOffer(offer: EnrolOffer): Buffer {
  const writer = new ByteWriter().raw(offer.commitment)
  writeAnchors(writer, offer.anchors)
  return writer.done()
}

export function decodeOffer(bytes: Buffer, start: number, end: number): EnrolOffer {
  const reader = new ByteReader(bytes, start, end)
  const commitment = Buffer.from(reader.view(COMMITMENT_BYTES))
  const anchors = readAnchors(reader)
  if (reader.broken) throw new PeerError('truncated frame')
  return { commitment, anchors }
}

/** The nonce is a copy. */
export function decodeReveal(bytes: Buffer, start: number, end: number): Buffer {
  if (end - start < NONCE_BYTES) throw new PeerError('truncated frame')
  return Buffer.from(bytes.subarray(start, start + NONCE_BYTES))
}

export interface EnrolGrant {
  readonly certificate: string
  /** Certificates of the CA, the one in use first. */
  readonly anchors: readonly string[]
  /** Null: this box is not to sign for others. */
  readonly caKey: string | null
  /** How often the CA of the cluster was replaced. */
  readonly generation: number
}

export function encodeGrant(grant: EnrolGrant): Buffer {
  const writer = new ByteWriter().text(grant.certificate)
  writeAnchors(writer, grant.anchors)
  return writer
    .text(grant.caKey ?? '')
    .u32(grant.generation)
    .done()
}

export function decodeGrant(bytes: Buffer, start: number, end: number): EnrolGrant {
  const reader = new ByteReader(bytes, start, end)
  const certificate = readPem(reader)
  const anchors = readAnchors(reader)
  const caKey = readPem(reader)
  const generation = reader.u32()
  if (reader.broken) throw new PeerError('truncated frame')
  return { certificate, anchors, caKey: caKey === '' ? null : caKey, generation }
}

/** Numbers are only added. */
const REFUSALS = {
  1: 'expired',
  2: 'used up',
  3: 'nobody can sign',
  4: 'cannot be replaced',
  5: 'too many are waiting',
  6: 'the other way round',
  7: 'changed on the way',
  8: 'failed',
} as const

export type EnrolRefusalReason = (typeof REFUSALS)[keyof typeof REFUSALS] | 'unknown'

const codes = new Map(Object.entries(REFUSALS).map(([code, reason]) => [reason as EnrolRefusalReason, Number(code)]))

export interface EnrolRefusal {
  readonly reason: EnrolRefusalReason
  readonly words: string
}

export function encodeRefusal({ reason, words }: EnrolRefusal): Buffer {
  return new ByteWriter()
    .u8(codes.get(reason) ?? 0)
    .text(words.slice(0, WORDS_CHARACTERS_MAX))
    .done()
}

export function decodeRefusal(bytes: Buffer, start: number, end: number): EnrolRefusal {
  const reader = new ByteReader(bytes, start, end)
  const reason = REFUSALS[reader.u8() as keyof typeof REFUSALS] ?? 'unknown'
  const words = readText(reader, WORDS_CHARACTERS_MAX)
  if (reader.broken) throw new PeerError('truncated frame')
  return { reason, words }
}

function writeAnchors(writer: ByteWriter, anchors: readonly string[]): void {
  const listed = anchors.slice(0, ANCHORS_MAX)
  writer.u8(listed.length)
  for (const anchor of listed) writer.text(anchor)
}

function readAnchors(reader: ByteReader): string[] {
  const count = reader.u8()
  if (count > ANCHORS_MAX || (count === 0 && !reader.broken)) throw new PeerError('bad number of CA certificates')
  return Array.from({ length: count }, () => readPem(reader))
}

/** Lines and all: what it says is for the host to judge. */
function readPem(reader: ByteReader): string {
  const text = reader.text()
  if (text.length > PEM_CHARACTERS_MAX) throw new PeerError('text too long')
  return text
}
