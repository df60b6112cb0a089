// Codes: whatever is handed out is read back, and no slip of one character, or of two that change places, passes.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ClusterId } from '../../../src/base/ids.ts'
import { clusterMark, codeText, inviteId, parseCode } from '../../../src/cluster/enrolment/codes.ts'

const LETTERS = [...'23456789ABCDEFGHJKLMNPQRSTUVWXYZ']
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array))
const parts = fc.record({
  cluster: bytes(8).map((id) => id.toString('hex') as ClusterId),
  invite: bytes(4).map(inviteId),
  secret: bytes(10),
})

test('a code is read back as it was made', () => {
  fc.assert(
    fc.property(parts, ({ cluster, invite, secret }) => {
      expect(parseCode(codeText(cluster, invite, secret))).toEqual({ cluster: clusterMark(cluster), invite, secret })
    }),
  )
})

test('one wrong character never passes', () => {
  fc.assert(
    fc.property(parts, fc.nat(23), fc.constantFrom(...LETTERS), ({ cluster, invite, secret }, at, letter) => {
      const right = [...codeText(cluster, invite, secret).replaceAll('-', '')]
      fc.pre(right[at] !== letter)
      expect(parseCode(right.with(at, letter).join(''))).toMatch(/last character/)
    }),
  )
})

test('two characters that have changed places never pass', () => {
  fc.assert(
    fc.property(parts, fc.nat(23), fc.nat(23), ({ cluster, invite, secret }, a, b) => {
      const right = [...codeText(cluster, invite, secret).replaceAll('-', '')]
      fc.pre(right[a] !== right[b])
      const typed = right.with(a, right[b]!).with(b, right[a]!)
      expect(parseCode(typed.join(''))).toMatch(/last character/)
    }),
  )
})

test('anything may be typed: it is a code or a text that says what is wrong', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (typed) => {
      const read = parseCode(typed)
      if (typeof read === 'string') expect(read).toMatch(/^[\x20-\x7e]+$/)
    }),
  )
})
