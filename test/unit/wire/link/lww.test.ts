import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { decodeLww, encodeLww, type LwwHash, type LwwMessage } from '../../../../src/wire/link/lww.ts'

const stamp = { wallMs: 0x018c_0102_0304, counter: 5, node: '00112233445566aa' as NodeId }
const STAMP = '018c01020304 0005 00112233445566aa'
const NONE = '00'.repeat(16)
const hashes: LwwHash[] = Array.from({ length: 64 }, (_, index) => ({ high: index, low: 0xffff_ffff }))
const HASHES = hashes.map(({ high }) => `${high.toString(16).padStart(8, '0')} ffffffff`).join(' ')
const part = { leaf: 4095, part: 1, parts: 3 }

const golden: [LwwMessage, string][] = [
  [
    {
      kind: 'change',
      items: [
        { key: 'a/b', stamp, value: Buffer.from([7]) },
        { key: 'ü', stamp, value: null },
      ],
    },
    `01 0003612f62 ${STAMP} 01 00000001 07 0002c3bc ${STAMP} 00`,
  ],
  [
    { kind: 'root', busy: true, horizon: stamp, hash: { high: 0xdeadbeef, low: 1 } },
    `02 01 ${STAMP} deadbeef 00000001`,
  ],
  [{ kind: 'root', busy: false, horizon: null, hash: { high: 0, low: 0 } }, `02 00 ${NONE} 00000000 00000000`],
  [{ kind: 'ask', branches: [] }, '03'],
  [{ kind: 'ask', branches: [0, 63] }, '03 00 3f'],
  [{ kind: 'branches', busy: false, horizon: stamp, hashes }, `04 00 ${STAMP} ${HASHES}`],
  [{ kind: 'leaves', branch: 63, hashes }, `05 3f ${HASHES}`],
  [{ kind: 'compare', horizon: null, part, have: [{ key: 'a', stamp }] }, `06 ${NONE} 0fff 0001 0003 0001 61 ${STAMP}`],
  [{ kind: 'entries', items: [{ key: '', stamp, value: Buffer.alloc(0) }] }, `07 0000 ${STAMP} 01 00000000`],
  [{ kind: 'gone', horizon: stamp, have: [{ key: 'a', stamp }] }, `08 ${STAMP} 0001 61 ${STAMP}`],
  [{ kind: 'done', part }, '09 0fff 0001 0003'],
]

test.each(golden)('%j has these bytes', (message, hex) => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  expect(encodeLww(message).toString('hex')).toBe(bytes.toString('hex'))
  expect(decodeLww(bytes)).toEqual(message)
})

test('a kind from the future is no error', () => {
  expect(decodeLww(Buffer.from([99, 1, 2, 3]))).toBeNull()
})

test.each([
  ['nothing', ''],
  ['an item cut short', `01 0001 61 ${STAMP}`],
  ['an item of a third kind', `01 0001 61 ${STAMP} 02`],
  ['a branch that is none', '03 40'],
  ['too many branches', `03 ${'01'.repeat(65)}`],
  ['hashes cut short', `04 00 ${NONE} ${HASHES.slice(0, -2)}`],
  ['the leaves of a branch that is none', `05 40 ${HASHES}`],
  ['a leaf that is none', '09 1000 0000 0001'],
  ['a part that is none', '09 0000 0001 0001'],
  ['a part of no parts', '09 0000 0000 0000'],
  ['a stamp cut short', `06 ${NONE} 0fff 0001 0003 0001 61 0102`],
])('%s breaks the rules', (_what, hex) => {
  expect(() => decodeLww(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(PeerError)
})
