import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { decodeIssue, encodeIssue, type IssueMessage, NAMES_MAX } from '../../../../src/wire/link/issue.ts'

const text = (value: string) => {
  const bytes = Buffer.from(value)
  return bytes.length.toString(16).padStart(4, '0') + bytes.toString('hex')
}
const subject = { commonName: 'gw', names: ['gw.local'], addresses: ['10.0.0.1'], fromMs: 1, toMs: 2 }

const golden: readonly (readonly [string, IssueMessage])[] = [
  [`010300000002${text('abcd')}`, { kind: 'stands', hasKey: true, inBundle: true, generation: 2, authority: 'abcd' }],
  [`010000000000${text('ab')}`, { kind: 'stands', hasKey: false, inBundle: false, generation: 0, authority: 'ab' }],
  [`020000000701${text('PEM')}`, { kind: 'request', number: 7, wish: { what: 'own', publicKey: 'PEM' } }],
  [
    `0200000008021112131415161718${text('PEM')}`,
    { kind: 'request', number: 8, wish: { what: 'let in', node: '1112131415161718' as NodeId, publicKey: 'PEM' } },
  ],
  [
    `020000000903${text('gw')}01${text('gw.local')}01${text('10.0.0.1')}01000000000001000000000002${text('PEM')}`,
    { kind: 'request', number: 9, wish: { what: 'service', subject, publicKey: 'PEM' } },
  ],
  [`0300000007${text('a\nb\n')}`, { kind: 'issued', number: 7, certificate: 'a\nb\n' }],
  [`040000000702${text('later')}`, { kind: 'refused', number: 7, reason: 'busy', words: 'later' }],
  [`05${text('k2')}`, { kind: 'renews', key: 'k2' }],
]

describe('messages about certificates', () => {
  test.each(golden)('stand on the wire as drawn: %s', (hex, message) => {
    expect(encodeIssue(message).toString('hex')).toBe(hex)
    expect(decodeIssue(Buffer.from(hex, 'hex'))).toEqual(message)
    // What a later version adds behind is ignored.
    expect(decodeIssue(Buffer.from(`${hex}0102`, 'hex'))).toEqual(message)
  })

  test.each(golden)('cut anywhere it is the peer’s fault: %s', (hex) => {
    const bytes = Buffer.from(hex, 'hex')
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeIssue(bytes.subarray(0, length))).toThrow(PeerError)
    }
  })

  test('a certificate for a device has no dates', () => {
    const device = { commonName: 'sensor', names: [], addresses: [], fromMs: null, toMs: null }
    const message: IssueMessage = {
      kind: 'request',
      number: 1,
      wish: { what: 'service', subject: device, publicKey: 'PEM' },
    }
    expect(decodeIssue(encodeIssue(message))).toEqual(message)
  })

  test('kinds, wishes and reasons of later versions are skipped', () => {
    expect(decodeIssue(Buffer.from('63', 'hex'))).toBeNull()
    expect(decodeIssue(Buffer.from('020000000963ffff', 'hex'))).toBeNull()
    expect(decodeIssue(Buffer.from(`040000000763${text('x')}`, 'hex'))).toMatchObject({ reason: 'unknown' })
  })

  test('what is too long or too much is refused', () => {
    const stands = { kind: 'stands', hasKey: false, inBundle: false, generation: 0 } as const
    expect(() => decodeIssue(encodeIssue({ ...stands, authority: 'a'.repeat(129) }))).toThrow(PeerError)
    const long: IssueMessage = { kind: 'issued', number: 1, certificate: 'a'.repeat(8193) }
    expect(() => decodeIssue(encodeIssue(long))).toThrow(PeerError)
    const names = `020000000903${text('gw')}${(NAMES_MAX + 1).toString(16)}`
    expect(() => decodeIssue(Buffer.from(names, 'hex'))).toThrow(PeerError)
  })
})
