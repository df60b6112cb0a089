// Sessions between boxes: which box has which, and how one goes from box to box, on the channel `sessions`.
//
//   directory entry, under the client id
//     flags u8 | epoch 16 | base 16 | owner 8 | backup 8        flags: bit 0 it is over, bit 1 it began with Clean Start
//     backup: all zeros: none. base: the epoch at which it began; what older epochs have of it is not in it.
//   connected client, under the client id
//     epoch 16
//   channel
//     claim    1 | number u32 | epoch 16 | flags u8 | client u16+utf8 | account u16+utf8    flags bit 0: has an account
//     none     2 | number u32 | elsewhere 8                  nothing of it is here; zeros: nor known to be elsewhere
//     records  3 | side u8 . number u32 | part u8 | item ... part: 0 head, 1 head and that was it, 2 queue, 3 that was all
//     more     4 | side u8 . number u32                      one message of records was taken
//     routed   5 | number u32                                every member sends to the new owner now
//     whole    6 | side u8 . number u32                      all of it is there
//     offer    7 | number u32 | epoch 16 | client u16+utf8   I have something of this session of yours
//     stop     9 | side u8 . number u32                      nothing more of it is wanted
//     passed  10 | number u32 | member 8                     what that member had sent to the former owner is all there
//     wanted   8 | number u32 | what u8                      0 nothing, 1 what is new, 2 all, 3 ask again later
//     waits   11 | number u32                                it is here, and comes as soon as all of it has come here
//     hurry   12 | number u32                                its client waits elsewhere: nobody else is to be waited for
//
// Whoever asks gives the number; side: 0 the number of a claim, 1 of an offer. Unknown kinds are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { ClientId, NodeId } from '../../base/ids.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'
import { type ReadItem, readItems } from './records.ts'

const NOBODY = '0000000000000000' as NodeId
const OVER = 1
const FRESH = 2

export interface DirectoryEntry {
  readonly over: boolean
  /** It began with Clean Start: whatever there was before is not wanted. */
  readonly fresh: boolean
  readonly epoch: Stamp
  readonly base: Stamp
  readonly owner: NodeId
  readonly backup: NodeId | null
}

/** Bytes of the longest value that is accepted. */
export const ENTRY_BYTES_MAX = 128
export const CONNECTED_BYTES_MAX = 64

function stamp(into: ByteWriter, value: Stamp): ByteWriter {
  const bytes = Buffer.allocUnsafe(STAMP_BYTES)
  writeStamp(value, bytes, 0)
  return into.raw(bytes)
}

function stampOf(reader: ByteReader): Stamp {
  const bytes = reader.view(STAMP_BYTES)
  return reader.broken ? { wallMs: 0, counter: 0, node: NOBODY } : readStamp(bytes, 0)
}

export function encodeEntry({ over, fresh, epoch, base, owner, backup }: DirectoryEntry): Buffer {
  const writer = new ByteWriter(64).u8((over ? OVER : 0) | (fresh ? FRESH : 0))
  stamp(stamp(writer, epoch), base)
  return writer
    .id(owner)
    .id(backup ?? NOBODY)
    .done()
}

/** Throws PeerError. */
export function decodeEntry(value: Buffer): DirectoryEntry {
  const reader = new ByteReader(value)
  const flags = reader.u8()
  const epoch = stampOf(reader)
  const base = stampOf(reader)
  const owner = reader.id<NodeId>()
  const backup = reader.id<NodeId>()
  if (reader.broken) throw new PeerError('directory entry cut short')
  return {
    over: (flags & OVER) !== 0,
    fresh: (flags & FRESH) !== 0,
    epoch,
    base,
    owner,
    backup: backup === NOBODY ? null : backup,
  }
}

export function encodeConnected(epoch: Stamp): Buffer {
  return stamp(new ByteWriter(STAMP_BYTES), epoch).done()
}

/** Throws PeerError. */
export function decodeConnected(value: Buffer): Stamp {
  if (value.length < STAMP_BYTES) throw new PeerError('connected client without an epoch')
  return readStamp(value, 0)
}

const CLAIM = 1
const NONE = 2
const RECORDS = 3
const MORE = 4
const ROUTED = 5
const WHOLE = 6
const OFFER = 7
const WANTED = 8
const STOP = 9
const PASSED = 10
const WAITS = 11
const HURRY = 12

const PARTS = ['head', 'head-end', 'queue', 'end'] as const
export type Part = (typeof PARTS)[number]
const WANTS = ['nothing', 'new', 'all', 'later'] as const
export type Want = (typeof WANTS)[number]
const SIDES = ['claim', 'offer'] as const
export type Side = (typeof SIDES)[number]

export interface SessionClaim {
  readonly kind: 'claim'
  readonly number: number
  readonly epoch: Stamp
  readonly clientId: ClientId
  readonly account: string | null
}

export type SessionMessage =
  | SessionClaim
  | { readonly kind: 'none'; readonly number: number; readonly elsewhere: NodeId | null }
  | {
      readonly kind: 'records'
      readonly side: Side
      readonly number: number
      readonly part: Part
      readonly items: readonly ReadItem[]
    }
  | { readonly kind: 'more' | 'whole' | 'stop'; readonly side: Side; readonly number: number }
  | { readonly kind: 'routed'; readonly number: number }
  | { readonly kind: 'waits'; readonly number: number }
  | { readonly kind: 'hurry'; readonly number: number }
  | { readonly kind: 'passed'; readonly number: number; readonly member: NodeId }
  | { readonly kind: 'offer'; readonly number: number; readonly epoch: Stamp; readonly clientId: ClientId }
  | { readonly kind: 'wanted'; readonly number: number; readonly what: Want }

/** The head of a message of records; the items follow in the same writer. */
export function beginRecords(side: Side, number: number): ByteWriter {
  return new ByteWriter(1024).u8(RECORDS).u8(SIDES.indexOf(side)).u32(number).u8(0)
}

/** Bytes of such a message before its first item. */
export const RECORDS_HEADER_BYTES = 7

export function endRecords(writer: ByteWriter, part: Part): Buffer {
  const bytes = writer.done()
  bytes[RECORDS_HEADER_BYTES - 1] = PARTS.indexOf(part)
  return bytes
}

export function encodeSession(message: Exclude<SessionMessage, { kind: 'records' }>): Buffer {
  const writer = new ByteWriter(64)
  switch (message.kind) {
    case 'claim': {
      const { number, epoch, clientId, account } = message
      return stamp(writer.u8(CLAIM).u32(number), epoch)
        .u8(account === null ? 0 : 1)
        .text(clientId)
        .text(account ?? '')
        .done()
    }
    case 'none':
      return writer
        .u8(NONE)
        .u32(message.number)
        .id(message.elsewhere ?? NOBODY)
        .done()
    case 'more':
    case 'whole':
    case 'stop':
      return writer
        .u8({ more: MORE, whole: WHOLE, stop: STOP }[message.kind])
        .u8(SIDES.indexOf(message.side))
        .u32(message.number)
        .done()
    case 'routed':
    case 'waits':
    case 'hurry':
      return writer.u8({ routed: ROUTED, waits: WAITS, hurry: HURRY }[message.kind]).u32(message.number).done()
    case 'passed':
      return writer.u8(PASSED).u32(message.number).id(message.member).done()
    case 'offer':
      return stamp(writer.u8(OFFER).u32(message.number), message.epoch).text(message.clientId).done()
    case 'wanted':
      return writer.u8(WANTED).u32(message.number).u8(WANTS.indexOf(message.what)).done()
  }
}

/** Null: of a kind that a newer version speaks. Throws PeerError. */
export function decodeSession(bytes: Buffer): SessionMessage | null {
  const reader = new ByteReader(bytes)
  const message = read(reader)
  if (message !== null && reader.broken) throw new PeerError(`session ${message.kind} cut short`)
  return message
}

function read(reader: ByteReader): SessionMessage | null {
  switch (reader.u8()) {
    case CLAIM: {
      const number = reader.u32()
      const epoch = stampOf(reader)
      const flags = reader.u8()
      const clientId = reader.text() as ClientId
      const account = reader.text()
      return { kind: 'claim', number, epoch, clientId, account: (flags & 1) === 0 ? null : account }
    }
    case NONE: {
      const number = reader.u32()
      const elsewhere = reader.id<NodeId>()
      return { kind: 'none', number, elsewhere: elsewhere === NOBODY ? null : elsewhere }
    }
    case RECORDS: {
      const side = one(SIDES, reader.u8())
      const number = reader.u32()
      const part = one(PARTS, reader.u8())
      return { kind: 'records', side, number, part, items: readItems(reader) }
    }
    case MORE:
      return { kind: 'more', side: one(SIDES, reader.u8()), number: reader.u32() }
    case ROUTED:
      return { kind: 'routed', number: reader.u32() }
    case WAITS:
      return { kind: 'waits', number: reader.u32() }
    case HURRY:
      return { kind: 'hurry', number: reader.u32() }
    case PASSED:
      return { kind: 'passed', number: reader.u32(), member: reader.id<NodeId>() }
    case WHOLE:
      return { kind: 'whole', side: one(SIDES, reader.u8()), number: reader.u32() }
    case STOP:
      return { kind: 'stop', side: one(SIDES, reader.u8()), number: reader.u32() }
    case OFFER: {
      const number = reader.u32()
      const epoch = stampOf(reader)
      return { kind: 'offer', number, epoch, clientId: reader.text() as ClientId }
    }
    case WANTED:
      return { kind: 'wanted', number: reader.u32(), what: one(WANTS, reader.u8()) }
    default:
      reader.rest()
      return null
  }
}

function one<T>(of: readonly T[], index: number): T {
  const found = of[index]
  if (found === undefined) throw new PeerError('session message with an unknown number in it')
  return found
}
