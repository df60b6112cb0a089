// A stored entry of a map that all boxes share, and how far back such a map has forgotten what was removed.
//
//   entry    map u16+utf8 | key u16+utf8 | stamp 16 | 0 removed, or 1 . value u32+bytes
//   horizon  map u16+utf8 | stamp 16

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import { readStamp, STAMP_BYTES, type Stamp, writeStamp } from '../../base/stamps.ts'
import { type Recordable, RecordKind } from './batch.ts'

export interface StoredShared {
  readonly map: string
  readonly key: string
  readonly stamp: Stamp
  /** Null: removed. */
  readonly value: Buffer | null
}

export function writeShared(into: ByteWriter, { map, key, stamp, value }: StoredShared): void {
  putStamp(into.text(map).text(key), stamp).u8(value === null ? 0 : 1)
  if (value !== null) into.u32(value.length).raw(value)
}

export function readShared(body: Buffer): StoredShared | null {
  const reader = new ByteReader(body)
  const map = reader.text()
  const key = reader.text()
  const stamp = takeStamp(reader)
  const value = reader.u8() === 0 ? null : Buffer.from(reader.view(reader.u32()))
  return reader.broken || stamp === null ? null : { map, key, stamp, value }
}

export function writeHorizon(into: ByteWriter, map: string, horizon: Stamp): void {
  putStamp(into.text(map), horizon)
}

/** Written whenever it has grown. */
export class HorizonRecord implements Recordable {
  readonly kind = RecordKind.horizon
  readonly #map: string
  horizon: Stamp

  constructor(map: string, horizon: Stamp) {
    this.#map = map
    this.horizon = horizon
  }

  write(into: ByteWriter): void {
    writeHorizon(into, this.#map, this.horizon)
  }
}

export function readHorizon(body: Buffer): { readonly map: string; readonly horizon: Stamp } | null {
  const reader = new ByteReader(body)
  const map = reader.text()
  const horizon = takeStamp(reader)
  return horizon === null ? null : { map, horizon }
}

const scratch = Buffer.alloc(STAMP_BYTES)

export function putStamp(into: ByteWriter, stamp: Stamp): ByteWriter {
  writeStamp(stamp, scratch, 0)
  return into.raw(scratch)
}

/** Null: there is none. */
export function takeStamp(reader: ByteReader): Stamp | null {
  const bytes = reader.view(STAMP_BYTES)
  return reader.broken ? null : readStamp(bytes, 0)
}
