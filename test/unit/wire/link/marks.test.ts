// Marks between messages, byte by byte.

import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { decodeMark, encodeMark } from '../../../../src/wire/link/marks.ts'
import { nodeIdOf } from '../../../mesh.ts'

test.each([
  ['ask', { kind: 'ask', number: 258, owner: null }, '0600000102'],
  ['ask for an owner', { kind: 'ask', number: 258, owner: nodeIdOf(0xb) }, '0600000102 000000000000000b'],
  ['mark', { kind: 'mark', number: 258 }, '0700000102'],
] as const)('%s', (_name, message, golden) => {
  const bytes = Buffer.from(golden.replaceAll(' ', ''), 'hex')
  expect(encodeMark(message)).toEqual(bytes)
  expect(decodeMark(bytes)).toEqual(message)
  for (let end = 1; end < bytes.length; end++) {
    // As an earlier version says it.
    if (end === 5) expect(decodeMark(bytes.subarray(0, end))).toEqual({ ...message, owner: null })
    else expect(() => decodeMark(bytes.subarray(0, end))).toThrow(PeerError)
  }
})

test('what else there is on the channel is none', () => {
  for (const kind of [1, 2, 3, 4, 5, 8, 9, 200]) expect(decodeMark(Buffer.from([kind, 0, 0, 0, 1]))).toBeNull()
})
