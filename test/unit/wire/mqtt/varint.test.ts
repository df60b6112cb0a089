import { expect, test } from 'vitest'
import {
  INCOMPLETE,
  MALFORMED,
  readVarint,
  VARINT_MAX,
  varintBytes,
  writeVarint,
} from '../../../../src/wire/mqtt/varint.ts'
import { hex } from './bytes.ts'

test.each([
  [0, '00'],
  [127, '7f'],
  [128, '8001'],
  [16_383, 'ff7f'],
  [16_384, '808001'],
  [2_097_151, 'ffff7f'],
  [2_097_152, '80808001'],
  [VARINT_MAX, 'ffffff7f'],
])('%i is %s', (value, bytes) => {
  const into = Buffer.alloc(5)
  expect(writeVarint(value, into, 1)).toBe(1 + varintBytes(value))
  expect(into.subarray(1, 1 + varintBytes(value))).toEqual(hex(bytes))
  expect(readVarint(into, 1, 5)).toBe(value)
})

test.each([
  ['', INCOMPLETE],
  ['80', INCOMPLETE],
  ['ffffff', INCOMPLETE],
  ['8000', MALFORMED],
  ['ff8000', MALFORMED],
  ['80808080', MALFORMED],
  ['ffffffff01', MALFORMED],
])('%s is none (%i)', (bytes, wanted) => {
  expect(readVarint(hex(bytes), 0, hex(bytes).length)).toBe(wanted)
})
