// What travels on the channel of an OwnedMap: followers ask, the owner answers with what changed or with the whole part.
//
//   follow   1 | flags u8 . incarnation 16 . run u32 . sequence u48         follower: this is what I hold of your part
//   resume   2 | sequence u48                                               owner: deltas go on after this one
//   begin    3 | incarnation 16 . run u32 . sequence u48                    owner: the whole part follows
//   entries  4 | { key u16+utf8 . value u32+bytes } ...                     owner: some of it
//   end      5 | sequence u48 . count u32 . digest u32 u32                  owner: that was all
//   more     6 |                                                            follower: `entries` handled, send more
//   delta    7 | sequence u48 . { 0 key | 1 key value } ...                 owner: what changed in one turn
//   taken    8 | flags u8 . sequence u48                                    follower: applied up to here
//   digest   9 | sequence u48 . count u32 . digest u32 u32                  owner: what it should look like now
//
// follow flags, bit 0: the follower holds the part whole at that place; else it needs all of it. taken flags, bit 0:
// the part is whole; without it only the deltas since `begin` are applied. Unknown kinds are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'

const FOLLOW = 1
const RESUME = 2
const BEGIN = 3
const ENTRIES = 4
const END = 5
const MORE = 6
const DELTA = 7
const TAKEN = 8
const DIGEST = 9

const WHOLE = 1
const REMOVED = 0
const SET = 1

/** A place in the history of a part: sequences count within one incarnation, and `run` tells apart equal stamps. */
export interface Position {
  readonly incarnation: Stamp
  readonly run: number
  readonly sequence: number
}

/** What a part looks like at a sequence: how many entries, and their hash. */
export interface Summary {
  readonly sequence: number
  readonly count: number
  readonly high: number
  readonly low: number
}

/** One entry that changed; null: it is gone. Values that were read are views: copy what outlives the message. */
export interface Change {
  readonly key: string
  readonly value: Buffer | null
}

export interface Entry extends Change {
  readonly value: Buffer
}

export type OwnedMessage =
  | { readonly kind: 'follow'; readonly whole: boolean; readonly position: Position }
  | { readonly kind: 'resume'; readonly sequence: number }
  | { readonly kind: 'begin'; readonly position: Position }
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  | { readonly kind: 'end'; readonly summary: Summary }
  | { readonly kind: 'more' }
  | { readonly kind: 'delta'; readonly sequence: number; readonly changes: readonly Change[] }
  | { readonly kind: 'taken'; readonly whole: boolean; readonly sequence: number }
  | { readonly kind: 'digest'; readonly summary: Summary }

/** Longest key, in bytes: that of an MQTT string. */
export const KEY_BYTES_MAX = limits.mqttStringBytes
/** Bytes of a key and a value with their lengths and the mark of a change, for budgets. */
export const entryBytes = (keyBytes: number, valueBytes: number): number => 7 + keyBytes + valueBytes

/** Held by a follower that knows nothing yet. */
export const NOWHERE: Position = {
  incarnation: { wallMs: 0, counter: 0, node: '0000000000000000' as NodeId },
  run: 0,
  sequence: 0,
}

export function encodeOwned(message: OwnedMessage): Buffer {
  switch (message.kind) {
    case 'follow':
      return writePosition(new ByteWriter(32).u8(FOLLOW).u8(message.whole ? WHOLE : 0), message.position).done()
    case 'resume':
      return new ByteWriter(8).u8(RESUME).u48(message.sequence).done()
    case 'begin':
      return writePosition(new ByteWriter(32).u8(BEGIN), message.position).done()
    case 'entries': {
      const writer = new ByteWriter(1024).u8(ENTRIES)
      for (const { key, value } of message.entries) writer.text(key).u32(value.length).raw(value)
      return writer.done()
    }
    case 'end':
      return writeSummary(new ByteWriter(20).u8(END), message.summary).done()
    case 'more':
      return new ByteWriter(1).u8(MORE).done()
    case 'delta': {
      const writer = new ByteWriter(64).u8(DELTA).u48(message.sequence)
      for (const { key, value } of message.changes) {
        writer.u8(value === null ? REMOVED : SET).text(key)
        if (value !== null) writer.u32(value.length).raw(value)
      }
      return writer.done()
    }
    case 'taken':
      return new ByteWriter(8)
        .u8(TAKEN)
        .u8(message.whole ? WHOLE : 0)
        .u48(message.sequence)
        .done()
    case 'digest':
      return writeSummary(new ByteWriter(20).u8(DIGEST), message.summary).done()
  }
}

/** Reads a message; null: of a kind that a newer version speaks. Throws PeerError for what breaks the layout. */
export function decodeOwned(bytes: Buffer): OwnedMessage | null {
  const reader = new ByteReader(bytes)
  const message = read(reader)
  if (message === null) {
    if (bytes.length === 0) throw new PeerError('owned map: empty message')
    return null
  }
  if (reader.broken) throw new PeerError(`owned map: ${message.kind} cut short`)
  return message
}

function read(reader: ByteReader): OwnedMessage | null {
  switch (reader.u8()) {
    case FOLLOW:
      return { kind: 'follow', whole: (reader.u8() & WHOLE) !== 0, position: readPosition(reader) }
    case RESUME:
      return { kind: 'resume', sequence: reader.u48() }
    case BEGIN:
      return { kind: 'begin', position: readPosition(reader) }
    case ENTRIES: {
      const entries: Entry[] = []
      while (reader.remaining > 0) entries.push({ key: reader.text(), value: reader.view(reader.u32()) })
      return { kind: 'entries', entries }
    }
    case END:
      return { kind: 'end', summary: readSummary(reader) }
    case MORE:
      return { kind: 'more' }
    case DELTA:
      return { kind: 'delta', sequence: reader.u48(), changes: readChanges(reader) }
    case TAKEN:
      return { kind: 'taken', whole: (reader.u8() & WHOLE) !== 0, sequence: reader.u48() }
    case DIGEST:
      return { kind: 'digest', summary: readSummary(reader) }
    default:
      return null
  }
}

function readChanges(reader: ByteReader): readonly Change[] {
  const changes: Change[] = []
  while (reader.remaining > 0) {
    const mark = reader.u8()
    if (mark > SET) throw new PeerError(`owned map: change of kind ${mark}`)
    const key = reader.text()
    changes.push({ key, value: mark === SET ? reader.view(reader.u32()) : null })
  }
  return changes
}

function writePosition(writer: ByteWriter, { incarnation, run, sequence }: Position): ByteWriter {
  const stamp = Buffer.allocUnsafe(STAMP_BYTES)
  writeStamp(incarnation, stamp, 0)
  return writer.raw(stamp).u32(run).u48(sequence)
}

function readPosition(reader: ByteReader): Position {
  const stamp = reader.view(STAMP_BYTES)
  if (reader.broken) return NOWHERE
  return { incarnation: readStamp(stamp, 0), run: reader.u32(), sequence: reader.u48() }
}

const writeSummary = (writer: ByteWriter, { sequence, count, high, low }: Summary): ByteWriter =>
  writer.u48(sequence).u32(count).u32(high).u32(low)

const readSummary = (reader: ByteReader): Summary => ({
  sequence: reader.u48(),
  count: reader.u32(),
  high: reader.u32(),
  low: reader.u32(),
})
