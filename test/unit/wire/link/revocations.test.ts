import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { decodeRevocations, ENTRIES_MAX, encodeRevocations } from '../../../../src/wire/link/revocations.ts'

const one = '1112131415161718' as NodeId
const two = '2122232425262728' as NodeId
const removed = {
  kind: 'removed',
  entries: [
    { node: one, key: 'ab' },
    { node: two, key: '' },
  ],
} as const
const kept = { kind: 'kept', nodes: [one, two] } as const
const golden = [
  [`010002${one}0002${Buffer.from('ab').toString('hex')}${two}0000`, removed],
  [`020002${one}${two}`, kept],
] as const

test.each(golden)('stand on the wire as drawn: %s', (hex, message) => {
  expect(encodeRevocations(message).toString('hex')).toBe(hex)
  expect(decodeRevocations(Buffer.from(hex, 'hex'))).toEqual(message)
})

test.each(golden)('cut anywhere it is the peer’s fault; what a later version adds behind is passed over: %s', (hex) => {
  const bytes = Buffer.from(hex, 'hex')
  for (let length = 1; length < bytes.length; length++) {
    expect(() => decodeRevocations(bytes.subarray(0, length))).toThrow(PeerError)
  }
  expect(decodeRevocations(Buffer.concat([bytes, Buffer.alloc(1)]))).toEqual(decodeRevocations(bytes))
})

test('kinds of later versions are skipped; more than a message may carry is refused', () => {
  expect(decodeRevocations(Buffer.from('630001', 'hex'))).toBeNull()
  const many = { kind: 'kept', nodes: Array.from({ length: ENTRIES_MAX + 1 }, () => one) } as const
  expect(() => decodeRevocations(encodeRevocations(many))).toThrow(PeerError)
})
