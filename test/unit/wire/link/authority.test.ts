import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import {
  type AuthorityMessage,
  decodeAuthority,
  EARLIER_MAX,
  encodeAuthority,
} from '../../../../src/wire/link/authority.ts'

const text = (value: string) => {
  const bytes = Buffer.from(value)
  return bytes.length.toString(16).padStart(4, '0') + bytes.toString('hex')
}
const one = '1112131415161718' as NodeId
const earlier = { certificate: 'CA 1', cross: 'CA 2 by CA 1', leftMs: 5 }

const golden: readonly (readonly [string, AuthorityMessage])[] = [
  [
    `010000000300${text('CA 2')}01${text('CA 1')}${text('CA 2 by CA 1')}0000000000050000`,
    { kind: 'offer', generation: 3, compromised: false, certificate: 'CA 2', earlier: [earlier], privateKey: null },
  ],
  [
    `010000000101${text('CA 2')}00${text('KEY')}`,
    { kind: 'offer', generation: 1, compromised: true, certificate: 'CA 2', earlier: [], privateKey: 'KEY' },
  ],
  [`02${text('abcd')}${text('KEY\n')}`, { kind: 'key', authority: 'abcd', privateKey: 'KEY\n' }],
  [`0301${one}`, { kind: 'seal', keepers: [one] }],
  ['0401', { kind: 'rotate', compromised: true }],
  ['0400', { kind: 'rotate', compromised: false }],
  [`05${text('busy')}`, { kind: 'refused', words: 'busy' }],
]

describe('messages about the CA', () => {
  test.each(golden)('stand on the wire as drawn: %s', (hex, message) => {
    expect(encodeAuthority(message).toString('hex')).toBe(hex)
    expect(decodeAuthority(Buffer.from(hex, 'hex'))).toEqual(message)
    expect(decodeAuthority(Buffer.from(`${hex}0102`, 'hex'))).toEqual(message)
  })

  test.each(golden)('cut anywhere it is the peer’s fault: %s', (hex) => {
    const bytes = Buffer.from(hex, 'hex')
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeAuthority(bytes.subarray(0, length))).toThrow(PeerError)
    }
  })

  test('kinds of later versions are skipped; too long a list or text is refused', () => {
    expect(decodeAuthority(Buffer.from('63', 'hex'))).toBeNull()
    const offer = { kind: 'offer', generation: 3, compromised: false, certificate: 'CA 2', privateKey: null } as const
    const many = Array.from({ length: EARLIER_MAX + 1 }, () => earlier)
    expect(() => decodeAuthority(encodeAuthority({ ...offer, earlier: many }))).toThrow(PeerError)
    expect(() => decodeAuthority(encodeAuthority({ ...offer, certificate: 'x'.repeat(8193), earlier: [] }))).toThrow(
      PeerError,
    )
  })
})
