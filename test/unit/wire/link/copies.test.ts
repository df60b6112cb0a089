import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { beginBatch, type CopyMessage, decodeCopies, encodeCopies } from '../../../../src/wire/link/copies.ts'
import { writeItem, writeRemoved } from '../../../../src/wire/link/records.ts'

const golden: readonly (readonly [string, Exclude<CopyMessage, { kind: 'batch' }>])[] = [
  ['01 000000000002 000000000003', { kind: 'have', feed: 2, sequence: 3 }],
  ['02 010203040506', { kind: 'begin', feed: 0x010203040506 }],
  ['04 000000000002 000000000003', { kind: 'took', feed: 2, sequence: 3 }],
  ['05', { kind: 'whole' }],
  ['06', { kind: 'full' }],
  ['08 0002 000000000002 000000000003', { kind: 'done', ids: [2, 3] }],
  ['07 1112131415161718', { kind: 'stood', owner: '1112131415161718' as NodeId }],
]
const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

test.each(golden)('stand on the wire as drawn, whatever a later version puts behind: %s', (hex, message) => {
  expect(encodeCopies(message).toString('hex')).toBe(bytes(hex).toString('hex'))
  expect(decodeCopies(bytes(hex))).toEqual(message)
  expect(decodeCopies(bytes(`${hex} 0102`))).toEqual(message)
})

test('a batch of records stands there as drawn', () => {
  const writer = beginBatch(9)
  writeItem(writer, 5, { kind: 7, write: (into) => into.u16(0xabcd) }, 0)
  writeRemoved(writer, 6)
  const hex = '03 000000000009 07 000000000005 00000002 abcd 00 000000000006'
  expect(writer.done().toString('hex')).toBe(bytes(hex).toString('hex'))
  const items = [
    { id: 5, kind: 7, body: bytes('abcd') },
    { id: 6, kind: 0, body: Buffer.alloc(0) },
  ]
  expect(decodeCopies(bytes(hex))).toEqual({ kind: 'batch', sequence: 9, items })
  for (let length = 8; length < bytes(hex).length; length++) {
    // After 20 bytes an item has just ended.
    if (length !== 20) expect(() => decodeCopies(bytes(hex).subarray(0, length)), String(length)).toThrow(PeerError)
  }
})

test.each(golden)('cut anywhere it is the peer’s fault: %s', (hex) => {
  for (let length = 1; length < bytes(hex).length; length++) {
    expect(() => decodeCopies(bytes(hex).subarray(0, length))).toThrow(PeerError)
  }
})
