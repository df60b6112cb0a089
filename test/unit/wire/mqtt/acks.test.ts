import { expect, test } from 'vitest'
import { type AckKind, AckView, encodeAck, isAck, PINGRESP, writeAck } from '../../../../src/wire/mqtt/acks.ts'
import type { Version } from '../../../../src/wire/mqtt/packets.ts'
import { bodyStart, hex } from './bytes.ts'

const read = (bytes: Buffer, version: Version) => {
  const view = new AckView()
  const error = view.read(bytes, 0, bodyStart(bytes), bytes.length, version)
  return error ?? { kind: view.kind, packetId: view.packetId, reason: view.reason }
}

test.each<[kind: AckKind, version: Version, packetId: number, reason: number, bytes: string]>([
  ['puback', 4, 1, 0, '40 02 0001'],
  ['pubrec', 4, 0xabcd, 0, '50 02 abcd'],
  ['pubrel', 3, 1, 0, '62 02 0001'],
  ['pubcomp', 5, 1, 0, '70 02 0001'],
  ['puback', 5, 1, 0x10, '40 03 0001 10'],
  ['pubrec', 5, 1, 0x97, '50 03 0001 97'],
  ['pubrel', 5, 1, 0x92, '62 03 0001 92'],
  ['pubcomp', 5, 1, 0x92, '70 03 0001 92'],
])('%s, version %i', (kind, version, packetId, reason, bytes) => {
  expect(encodeAck(kind, packetId, reason, version)).toEqual(hex(bytes))
  expect(read(hex(bytes), version)).toEqual({ kind, packetId, reason })
})

test('3.x has no reasons to write', () => {
  expect(encodeAck('pubrec', 1, 0x87, 4)).toEqual(hex('50 02 0001'))
})

test('writeAck writes behind what is there', () => {
  const into = Buffer.alloc(12)
  const at = writeAck(into, 1, 'puback', 2, 0, 5)
  expect(writeAck(into, at, 'pubrec', 3, 0x80, 5)).toBe(10)
  expect(into).toEqual(hex('00 40020002 5003000380 0000'))
})

test('reads every form that 5 allows', () => {
  const wanted = { kind: 'puback', packetId: 1, reason: 0 }
  expect(read(hex('40 03 0001 00'), 5)).toEqual(wanted)
  expect(read(hex('40 04 0001 00 00'), 5)).toEqual(wanted)
  expect(read(hex('40 0f 0001 00 0b 1f 0001 78 26 0001 61 0001 62'), 5)).toEqual(wanted)
})

test('3.1 sends PUBREL again with DUP', () => {
  expect(read(hex('6a 02 0001'), 3)).toEqual({ kind: 'pubrel', packetId: 1, reason: 0 })
})

test('isAck knows the four', () => {
  const found = [0x10, 0x3f, 0x40, 0x50, 0x62, 0x6a, 0x7f, 0x82, 0xc0].filter(isAck)
  expect(found).toEqual([0x40, 0x50, 0x62, 0x6a, 0x7f])
})

test('PINGRESP', () => {
  expect(PINGRESP).toEqual(hex('d0 00'))
})
