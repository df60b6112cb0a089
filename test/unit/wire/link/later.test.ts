// What a later version says on a channel that this one has: kinds that are not known are skipped, long or short, and never
// the end of a link.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeAuthority } from '../../../../src/wire/link/authority.ts'
import { decodeCopies } from '../../../../src/wire/link/copies.ts'
import { decodeGoodbye } from '../../../../src/wire/link/frame.ts'
import { decodeIssue } from '../../../../src/wire/link/issue.ts'
import { decodeLww } from '../../../../src/wire/link/lww.ts'
import { decodeMark } from '../../../../src/wire/link/marks.ts'
import { decodeOwned } from '../../../../src/wire/link/owned.ts'
import { decodeRelay } from '../../../../src/wire/link/relay.ts'
import { decodeRevocations } from '../../../../src/wire/link/revocations.ts'
import { decodeSession } from '../../../../src/wire/link/sessions.ts'
import { decodeTaken } from '../../../../src/wire/link/taken.ts'
import { decodeTime } from '../../../../src/wire/link/time.ts'
import { decodeApprove } from '../../../../src/wire/link/waiting.ts'

/** Kinds from here on are nobody's yet. */
const FREE = 100

test.each<[string, (bytes: Buffer) => unknown]>([
  ['ca', decodeAuthority],
  ['issue', decodeIssue],
  ['revocations', decodeRevocations],
  ['approve', decodeApprove],
  ['time', decodeTime],
  ['forward', decodeTaken],
  ['marks', decodeMark],
  ['relay', decodeRelay],
  ['copies', decodeCopies],
  ['sessions', decodeSession],
  ['a map that one node writes', decodeOwned],
  ['a map that all write', decodeLww],
])('%s: any kind that is not known yet, with anything behind it', (_channel, decode) => {
  const later = fc.tuple(fc.integer({ min: FREE, max: 255 }), fc.uint8Array({ maxLength: 300 }))
  fc.assert(
    fc.property(later, ([kind, behind]) => {
      expect(decode(Buffer.from([kind, ...behind]))).toBeNull()
    }),
  )
})

test('a goodbye for a reason that is not known yet is one all the same', () => {
  for (let reason = FREE; reason <= 255; reason++) {
    expect(decodeGoodbye(Buffer.from([reason, 0x61]), 0, 2)).toEqual({ reason: 'unknown', text: 'a' })
  }
})
