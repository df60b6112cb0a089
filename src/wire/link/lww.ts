// What travels on the two channels of a map in which the latest write wins: what was just written, and how two boxes
// find and repair what differs between them. Whoever lacks something asks; nobody is sent what was not asked for.
//
//   change    1 | item ...                                          written just now
//   root      2 | view . hash u32 u32                               this is what I have
//   ask       3 | branch u8 ...                                     tell me their leaves; none: the branches
//   branches  4 | view . 64 x (hash u32 u32)
//   leaves    5 | branch u8 . 64 x (hash u32 u32)
//   compare   6 | horizon 16 . part . { key u16+utf8 . stamp 16 } ...   all that I have of this part of a leaf
//   entries   7 | item ...                                          what you lack
//   gone      8 | horizon 16 . { key u16+utf8 . stamp 16 } ...      what was removed so long ago that I forgot it
//   done      9 | part                                              that was all of this part
//
//   item   key u16+utf8 | stamp 16 | 0 removed, or 1 . value u32+bytes
//   view   flags u8 | horizon 16          flags, bit 0: I am asking others myself, so wait with asking me
//   part   leaf u16 | part u16 | parts u16
//
// horizon: all zeros is none. Unknown kinds are skipped.

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'

const CHANGE = 1
const ROOT = 2
const ASK = 3
const BRANCHES = 4
const LEAVES = 5
const COMPARE = 6
const ENTRIES = 7
const GONE = 8
const DONE = 9

const BUSY = 1
const REMOVED = 0
const SET = 1

const FAN = 64
const LEAVES_MAX = FAN * FAN
const HASHES_BYTES = FAN * 8

/** One write. Values that were read are views: copy what outlives the message. */
export interface LwwItem {
  readonly key: string
  readonly stamp: Stamp
  /** Null: removed, or expired. */
  readonly value: Buffer | null
}

export type LwwKnown = Pick<LwwItem, 'key' | 'stamp'>

/** One of `parts` of a leaf, by the keys' hashes. */
export interface LwwPart {
  readonly leaf: number
  readonly part: number
  readonly parts: number
}

export interface LwwHash {
  readonly high: number
  readonly low: number
}

export type LwwMessage =
  | { readonly kind: 'change' | 'entries'; readonly items: readonly LwwItem[] }
  | { readonly kind: 'root'; readonly busy: boolean; readonly horizon: Stamp | null; readonly hash: LwwHash }
  | { readonly kind: 'ask'; readonly branches: readonly number[] }
  | {
      readonly kind: 'branches'
      readonly busy: boolean
      readonly horizon: Stamp | null
      readonly hashes: readonly LwwHash[]
    }
  | { readonly kind: 'leaves'; readonly branch: number; readonly hashes: readonly LwwHash[] }
  | {
      readonly kind: 'compare'
      readonly horizon: Stamp | null
      readonly part: LwwPart
      readonly have: readonly LwwKnown[]
    }
  | { readonly kind: 'gone'; readonly horizon: Stamp | null; readonly have: readonly LwwKnown[] }
  | { readonly kind: 'done'; readonly part: LwwPart }

/** Bytes of items and of what is known of them, for budgets. */
export const itemBytes = (keyBytes: number, valueBytes: number): number => 2 + keyBytes + STAMP_BYTES + 5 + valueBytes
export const knownBytes = (keyBytes: number): number => 2 + keyBytes + STAMP_BYTES
/** Longest key, in bytes: that of an MQTT string. */
export const LWW_KEY_BYTES_MAX = limits.mqttStringBytes

export function encodeLww(message: LwwMessage): Buffer {
  switch (message.kind) {
    case 'change':
    case 'entries': {
      const writer = new ByteWriter(1024).u8(message.kind === 'change' ? CHANGE : ENTRIES)
      for (const { key, stamp, value } of message.items) {
        stampTo(writer.text(key), stamp).u8(value === null ? REMOVED : SET)
        if (value !== null) writer.u32(value.length).raw(value)
      }
      return writer.done()
    }
    case 'root':
      return hashTo(
        horizonTo(new ByteWriter(32).u8(ROOT).u8(message.busy ? BUSY : 0), message.horizon),
        message.hash,
      ).done()
    case 'ask': {
      const writer = new ByteWriter(1 + message.branches.length).u8(ASK)
      for (const branch of message.branches) writer.u8(branch)
      return writer.done()
    }
    case 'branches': {
      const writer = new ByteWriter(18 + HASHES_BYTES).u8(BRANCHES).u8(message.busy ? BUSY : 0)
      horizonTo(writer, message.horizon)
      for (const hash of message.hashes) hashTo(writer, hash)
      return writer.done()
    }
    case 'leaves': {
      const writer = new ByteWriter(2 + HASHES_BYTES).u8(LEAVES).u8(message.branch)
      for (const hash of message.hashes) hashTo(writer, hash)
      return writer.done()
    }
    case 'compare':
      return knownTo(partTo(horizonTo(new ByteWriter(1024).u8(COMPARE), message.horizon), message.part), message.have)
    case 'gone':
      return knownTo(horizonTo(new ByteWriter(256).u8(GONE), message.horizon), message.have)
    case 'done':
      return partTo(new ByteWriter(7).u8(DONE), message.part).done()
  }
}

/** Reads a message; null: of a kind that a newer version speaks. Throws PeerError for what breaks the layout. */
export function decodeLww(bytes: Buffer): LwwMessage | null {
  const reader = new ByteReader(bytes)
  const message = read(reader)
  if (message === null) {
    if (bytes.length === 0) throw new PeerError('shared map: empty message')
    return null
  }
  if (reader.broken) throw new PeerError(`shared map: ${message.kind} cut short`)
  return message
}

function read(reader: ByteReader): LwwMessage | null {
  switch (reader.u8()) {
    case CHANGE:
      return { kind: 'change', items: readItems(reader) }
    case ROOT:
      return { kind: 'root', busy: (reader.u8() & BUSY) !== 0, horizon: readHorizon(reader), hash: readHash(reader) }
    case ASK: {
      if (reader.remaining > FAN) throw new PeerError('shared map: asked for more branches than there are')
      const branches = [...reader.rest()]
      if (branches.some((branch) => branch >= FAN)) throw new PeerError('shared map: a branch that is none')
      return { kind: 'ask', branches }
    }
    case BRANCHES:
      return {
        kind: 'branches',
        busy: (reader.u8() & BUSY) !== 0,
        horizon: readHorizon(reader),
        hashes: readHashes(reader),
      }
    case LEAVES: {
      const branch = reader.u8()
      if (branch >= FAN) throw new PeerError('shared map: a branch that is none')
      return { kind: 'leaves', branch, hashes: readHashes(reader) }
    }
    case COMPARE:
      return { kind: 'compare', horizon: readHorizon(reader), part: readPart(reader), have: readKnown(reader) }
    case ENTRIES:
      return { kind: 'entries', items: readItems(reader) }
    case GONE:
      return { kind: 'gone', horizon: readHorizon(reader), have: readKnown(reader) }
    case DONE:
      return { kind: 'done', part: readPart(reader) }
    default:
      return null
  }
}

function readItems(reader: ByteReader): readonly LwwItem[] {
  const items: LwwItem[] = []
  while (reader.remaining > 0) {
    const key = reader.text()
    const stamp = stampFrom(reader)
    const mark = reader.u8()
    if (mark > SET) throw new PeerError(`shared map: an item of kind ${mark}`)
    items.push({ key, stamp, value: mark === SET ? reader.view(reader.u32()) : null })
  }
  return items
}

function readKnown(reader: ByteReader): readonly LwwKnown[] {
  const known: LwwKnown[] = []
  while (reader.remaining > 0) known.push({ key: reader.text(), stamp: stampFrom(reader) })
  return known
}

function readPart(reader: ByteReader): LwwPart {
  const part = { leaf: reader.u16(), part: reader.u16(), parts: reader.u16() }
  if (!reader.broken && (part.leaf >= LEAVES_MAX || part.part >= part.parts)) {
    throw new PeerError('shared map: a part of a leaf that is none')
  }
  return part
}

const readHash = (reader: ByteReader): LwwHash => ({ high: reader.u32(), low: reader.u32() })
const readHashes = (reader: ByteReader): LwwHash[] => Array.from({ length: FAN }, () => readHash(reader))

function readHorizon(reader: ByteReader): Stamp | null {
  const stamp = stampFrom(reader)
  return stamp.wallMs === 0 && stamp.counter === 0 && stamp.node === NOBODY ? null : stamp
}

const NOBODY = '0000000000000000' as Stamp['node']
const NO_STAMP: Stamp = { wallMs: 0, counter: 0, node: NOBODY }

function stampFrom(reader: ByteReader): Stamp {
  const bytes = reader.view(STAMP_BYTES)
  return reader.broken ? NO_STAMP : readStamp(bytes, 0)
}

const scratch = Buffer.alloc(STAMP_BYTES)

function stampTo(writer: ByteWriter, stamp: Stamp): ByteWriter {
  writeStamp(stamp, scratch, 0)
  return writer.raw(scratch)
}

const horizonTo = (writer: ByteWriter, horizon: Stamp | null): ByteWriter => stampTo(writer, horizon ?? NO_STAMP)
const hashTo = (writer: ByteWriter, { high, low }: LwwHash): ByteWriter => writer.u32(high).u32(low)
const partTo = (writer: ByteWriter, { leaf, part, parts }: LwwPart): ByteWriter => writer.u16(leaf).u16(part).u16(parts)

function knownTo(writer: ByteWriter, have: readonly LwwKnown[]): Buffer {
  for (const { key, stamp } of have) stampTo(writer.text(key), stamp)
  return writer.done()
}
