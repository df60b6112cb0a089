// A stored value with a name: what is few and changes seldom (accounts, settings, this node's own facts).
//
//   keyed  space u16+utf8 | key u16+utf8 | value u32+bytes

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'

export interface StoredKeyed {
  readonly space: string
  readonly key: string
  readonly value: Buffer
}

export function writeKeyed(into: ByteWriter, { space, key, value }: StoredKeyed): void {
  into.text(space).text(key).u32(value.length).raw(value)
}

export function readKeyed(body: Buffer): StoredKeyed | null {
  const reader = new ByteReader(body)
  const keyed = { space: reader.text(), key: reader.text(), value: Buffer.from(reader.view(reader.u32())) }
  return reader.broken ? null : keyed
}
