import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { decodeTaken, encodeTaken, type TakenMessage } from '../../../../src/wire/link/taken.ts'

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

test.each<[TakenMessage, string]>([
  [
    { kind: 'here', own: '0011223344556677', known: '0000000000000000', received: 0, safe: 0 },
    '02 0011223344556677 0000000000000000 000000000000 000000000000',
  ],
  [
    { kind: 'here', own: '0011223344556677', known: '8899aabbccddeeff', received: 258, safe: 257 },
    '02 0011223344556677 8899aabbccddeeff 000000000102 000000000101',
  ],
  [{ kind: 'begin', run: '8899aabbccddeeff', sequence: 259 }, '03 8899aabbccddeeff 000000000103'],
  [{ kind: 'taken', received: 260, safe: 258 }, '04 000000000104 000000000102'],
])('%o has these bytes', (message, hex) => {
  expect(encodeTaken(message)).toEqual(bytesOf(hex))
  expect(decodeTaken(bytesOf(hex))).toEqual(message)
})

test.each([
  ['cut short', '04 000000000104 0000'],
  ['a beginning at 0', '03 8899aabbccddeeff 000000000000'],
  ['more safe than received', '04 000000000001 000000000002'],
  ['more safe than received, when linked', '02 0011223344556677 8899aabbccddeeff 000000000000 000000000001'],
])('%s is refused', (_what, hex) => {
  expect(() => decodeTaken(bytesOf(hex))).toThrow(PeerError)
})

test('what a later version adds behind it is passed over', () => {
  const begin = { kind: 'begin', run: '8899aabbccddeeff', sequence: 259 }
  expect(decodeTaken(bytesOf('03 8899aabbccddeeff 000000000103 00'))).toEqual(begin)
})

test('a batch, and what a later version says, are none of these', () => {
  for (const hex of ['01 000000000001', '05 000000000001', '63', '']) expect(decodeTaken(bytesOf(hex))).toBeNull()
})
