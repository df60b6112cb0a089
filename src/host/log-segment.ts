// One segment of the log: a file of a fixed length, written with zeros before it is used, so that appending to it changes
// no metadata of the file system and a flush costs the card one write. Old segments are used again under a new number.
//
//   header  'EMQL' | version u32 | number u48 | salt u32 | zero, to 32 bytes
//   batch   'EMQB' | length u32 | number u48 | zero u16 | crc u32 | body, padded to 8
//
// The crc is that of the segment's salt, the batch's length and number, and its body: what an earlier use of the file or
// somebody's payload left there is never taken for a batch.

import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

export const SEGMENT_BYTES = 1024 * 1024
export const SEGMENT_HEADER_BYTES = 32
export const BATCH_HEADER_BYTES = 20
const SEGMENT_MAGIC = 0x454d514c
const BATCH_MAGIC = 0x454d5142
const MAGIC_TEXT = Buffer.from('EMQB')
const VERSION = 1
const ALIGN = 8
const ZEROS = Buffer.alloc(256 * 1024)

export const batchBytes = (length: number): number => Math.ceil((BATCH_HEADER_BYTES + length) / ALIGN) * ALIGN

/** A file as the log uses it; the tests bring one that remembers every write and flush. */
export type LogFile = Pick<FileHandle, 'write' | 'datasync' | 'sync' | 'read' | 'stat' | 'truncate' | 'close'>

export interface SegmentFacts {
  readonly number: number
  readonly salt: number
}

export function encodeSegmentHeader({ number, salt }: SegmentFacts): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES)
  header.writeUInt32BE(SEGMENT_MAGIC, 0)
  header.writeUInt32BE(VERSION, 4)
  header.writeUIntBE(number, 8, 6)
  header.writeUInt32BE(salt, 14)
  header.writeUInt32BE(crc32(header.subarray(0, 18)), 18)
  return header
}

export function decodeSegmentHeader(bytes: Buffer): SegmentFacts | null {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32BE(0) !== SEGMENT_MAGIC) return null
  if (bytes.readUInt32BE(4) !== VERSION || bytes.readUInt32BE(18) !== crc32(bytes.subarray(0, 18))) return null
  return { number: bytes.readUIntBE(8, 6), salt: bytes.readUInt32BE(14) }
}

export function encodeBatch(salt: number, number: number, body: Buffer): Buffer {
  const bytes = Buffer.alloc(batchBytes(body.length))
  bytes.writeUInt32BE(BATCH_MAGIC, 0)
  bytes.writeUInt32BE(body.length, 4)
  bytes.writeUIntBE(number, 8, 6)
  body.copy(bytes, BATCH_HEADER_BYTES)
  bytes.writeUInt32BE(checksum(salt, bytes, 0, body.length), 16)
  return bytes
}

function checksum(salt: number, bytes: Buffer, at: number, length: number): number {
  const head = crc32(bytes.subarray(at, at + 16), salt)
  return crc32(bytes.subarray(at + BATCH_HEADER_BYTES, at + BATCH_HEADER_BYTES + length), head)
}

/** The batch at `at`, or null when there is none that is whole. */
function batchAt(bytes: Buffer, at: number, salt: number): { readonly number: number; readonly length: number } | null {
  if (at + BATCH_HEADER_BYTES > bytes.length || bytes.readUInt32BE(at) !== BATCH_MAGIC) return null
  const length = bytes.readUInt32BE(at + 4)
  if (at + BATCH_HEADER_BYTES + length > bytes.length) return null
  if (bytes.readUInt32BE(at + 16) !== checksum(salt, bytes, at, length)) return null
  return { number: bytes.readUIntBE(at + 8, 6), length }
}

export interface SegmentReading {
  /** The number of the last batch read; 0: none. */
  readonly last: number
  /** Whole batches lie behind something that is none: not the end of a power cut, but damage. */
  readonly holes: number
}

/** Reads the batches of a segment whose numbers grow from `after` on. */
export function readSegment(
  bytes: Buffer,
  salt: number,
  after: number,
  batch: (number: number, body: Buffer) => void,
): SegmentReading {
  let at = SEGMENT_HEADER_BYTES
  let last = after
  let holes = 0
  while (at < bytes.length) {
    const found = batchAt(bytes, at, salt)
    if (found !== null && found.number > last) {
      last = found.number
      batch(found.number, bytes.subarray(at + BATCH_HEADER_BYTES, at + BATCH_HEADER_BYTES + found.length))
      at += batchBytes(found.length)
      continue
    }
    const next = nextBatch(bytes, at, salt, last)
    if (next < 0) break
    holes++
    at = next
  }
  return { last, holes }
}

/** Where the next whole batch begins behind `at`; -1: nowhere. */
function nextBatch(bytes: Buffer, at: number, salt: number, last: number): number {
  for (let next = bytes.indexOf(MAGIC_TEXT, at + 1); next >= 0; next = bytes.indexOf(MAGIC_TEXT, next + 1)) {
    const found = next % ALIGN === 0 ? batchAt(bytes, next, salt) : null
    if (found !== null && found.number > last) return next
  }
  return -1
}

/** Makes the file `length` bytes of real zeros, header last: until then it is nobody's segment. */
export async function prepareSegment(file: LogFile, facts: SegmentFacts, length: number): Promise<void> {
  for (let at = 0; at < length; at += ZEROS.length) {
    await file.write(ZEROS, 0, Math.min(ZEROS.length, length - at), at)
  }
  await file.sync()
  await labelSegment(file, facts)
}

export async function labelSegment(file: LogFile, facts: SegmentFacts): Promise<void> {
  const header = encodeSegmentHeader(facts)
  await file.write(header, 0, header.length, 0)
  await file.datasync()
}
