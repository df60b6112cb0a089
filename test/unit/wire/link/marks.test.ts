// Marks between messages, byte by byte.

import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { decodeMark, encodeMark } from '../../../../src/wire/link/marks.ts'

test.each([
  ['ask', '0600000102'],
  ['mark', '0700000102'],
] as const)('%s', (kind, golden) => {
  const bytes = Buffer.from(golden, 'hex')
  expect(encodeMark({ kind, number: 258 })).toEqual(bytes)
  expect(decodeMark(bytes)).toEqual({ kind, number: 258 })
  for (let end = 1; end < bytes.length; end++) expect(() => decodeMark(bytes.subarray(0, end))).toThrow(PeerError)
})

test('what else there is on the channel is none', () => {
  for (const kind of [1, 2, 3, 4, 5, 8, 9, 200]) expect(decodeMark(Buffer.from([kind, 0, 0, 0, 1]))).toBeNull()
})
