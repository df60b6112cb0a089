import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { decodeTime, encodeTime, type ToldTime } from '../../../../src/wire/link/time.ts'

const plain: ToldTime = {
  synchronised: false,
  established: true,
  timeMs: 0x0102_0304_0506,
  ownMs: 7,
  followedMs: null,
  sets: 2,
  agreeing: 3,
}
const golden = [
  ['01020102030405060000000000' + '07ffffffff000000020003', plain],
  [
    '01010102030405060000000000' + '070000003d000000020003',
    { ...plain, synchronised: true, established: false, followedMs: 61_000 },
  ],
] as const

test.each(golden)('stand on the wire as drawn: %s', (hex, told) => {
  expect(encodeTime(told).toString('hex')).toBe(hex)
  expect(decodeTime(Buffer.from(hex, 'hex'))).toEqual(told)
  // What a later version adds behind is not for us.
  expect(decodeTime(Buffer.from(`${hex}aabb`, 'hex'))).toEqual(told)
})

test('cut anywhere it is the peer’s fault, and so is a time that nobody can mean', () => {
  const bytes = encodeTime(plain)
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeTime(bytes.subarray(0, length))).toThrow(PeerError)
  }
  expect(() => decodeTime(encodeTime({ ...plain, timeMs: 2 ** 47 + 1 }))).toThrow(PeerError)
  expect(() => decodeTime(encodeTime({ ...plain, ownMs: 2 ** 47 + 1 }))).toThrow(PeerError)
})

test('a kind of a later version is skipped', () => {
  expect(decodeTime(Buffer.from('02ff', 'hex'))).toBeNull()
})

test('whole seconds are told, rounded up, and never as "never"', () => {
  const told = (followedMs: number) => decodeTime(encodeTime({ ...plain, followedMs }))?.followedMs
  expect([told(0), told(1), told(2 ** 45)]).toEqual([0, 1000, 0xffff_fffe * 1000])
})
