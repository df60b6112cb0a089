import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { decodeOwned, encodeOwned, NOWHERE, type OwnedMessage } from '../../../../src/wire/link/owned.ts'

const incarnation = { wallMs: 0x018c_0102_0304, counter: 5, node: '00112233445566aa' as NodeId }
const summary = { sequence: 258, count: 3, high: 0xdeadbeef, low: 1 }

const golden: [OwnedMessage, string][] = [
  [
    { kind: 'follow', whole: true, position: { incarnation, run: 0x01020304, sequence: 7 } },
    '01 01 018c01020304 0005 00112233445566aa 01020304 000000000007',
  ],
  [{ kind: 'follow', whole: false, position: NOWHERE }, `01 00 ${'00'.repeat(26)}`],
  [{ kind: 'resume', sequence: 9 }, '02 000000000009'],
  [
    { kind: 'begin', position: { incarnation, run: 1, sequence: 7 } },
    '03 018c01020304 0005 00112233445566aa 00000001 000000000007',
  ],
  [
    {
      kind: 'entries',
      entries: [
        { key: 'a/b', value: Buffer.from([1]) },
        { key: 'ü', value: Buffer.alloc(0) },
      ],
    },
    '04 0003612f62 00000001 01 0002c3bc 00000000',
  ],
  [{ kind: 'end', summary }, '05 000000000102 00000003 deadbeef 00000001'],
  [{ kind: 'more' }, '06'],
  [
    {
      kind: 'delta',
      sequence: 258,
      changes: [
        { key: 'a', value: null },
        { key: 'b', value: Buffer.from([0]) },
      ],
    },
    '07 000000000102 00 000161 01 000162 00000001 00',
  ],
  [{ kind: 'taken', whole: true, sequence: 258 }, '08 01 000000000102'],
  [{ kind: 'digest', summary }, '09 000000000102 00000003 deadbeef 00000001'],
]

test.each(golden)('%j has these bytes', (message, hex) => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  expect(encodeOwned(message).toString('hex')).toBe(bytes.toString('hex'))
  expect(decodeOwned(bytes)).toEqual(message)
})

test('a kind or a field from the future is no error', () => {
  expect(decodeOwned(Buffer.from('0600', 'hex'))).toEqual({ kind: 'more' })
  expect(decodeOwned(Buffer.from([99, 1, 2, 3]))).toBeNull()
})

test.each([
  '', // nothing
  '02 0000', // cut short
  '04 0005 61', // a key longer than the message
  '04 0001 61 ffffffff', // a value longer than the message
  '07 000000000001 02 000161', // neither set nor removed
])('%s breaks the layout', (hex) => {
  expect(() => decodeOwned(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(PeerError)
})
