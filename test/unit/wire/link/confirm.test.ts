import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { type Confirm, decodeConfirm, encodeConfirm } from '../../../../src/wire/link/confirm.ts'

const confirm: Confirm = {
  acceptorHello: Buffer.alloc(64, 0xaa),
  diallerHello: Buffer.alloc(64, 0xdd),
  clusterPort: 4883,
  endpoints: [{ address: '10.0.0.1', port: 4884 }],
  name: 'gw-1',
  version: '0.1.0',
}
const golden =
  `${'aa'.repeat(64)}${'dd'.repeat(64)}1313` +
  '01' +
  `0008${Buffer.from('10.0.0.1').toString('hex')}1314` +
  `0004${Buffer.from('gw-1').toString('hex')}` +
  `0005${Buffer.from('0.1.0').toString('hex')}`

describe('confirm', () => {
  test('stands on the wire as drawn', () => {
    const bytes = encodeConfirm(confirm)
    expect(bytes.toString('hex')).toBe(golden)
    expect(decodeConfirm(bytes, 0, bytes.length)).toEqual(confirm)
  })

  test('what later versions add behind is ignored', () => {
    const bytes = Buffer.concat([encodeConfirm(confirm), Buffer.from('later')])
    expect(decodeConfirm(bytes, 0, bytes.length)).toEqual(confirm)
  })

  test('cut anywhere it is the peer’s fault', () => {
    const bytes = encodeConfirm(confirm)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeConfirm(bytes, 0, length)).toThrow(PeerError)
    }
  })

  test.each([
    ['an address with a blank', [{ address: '10.0.0.1 rm', port: 1 }]],
    ['an empty address', [{ address: '', port: 1 }]],
    ['port zero', [{ address: '10.0.0.1', port: 0 }]],
  ])('%s is refused', (_what, endpoints) => {
    const bytes = encodeConfirm({ ...confirm, endpoints })
    expect(() => decodeConfirm(bytes, 0, bytes.length)).toThrow(PeerError)
  })

  test('nine endpoints are refused, and never sent', () => {
    const endpoints = Array.from({ length: 12 }, (_, index) => ({ address: `10.0.0.${index}`, port: 1 }))
    const bytes = encodeConfirm({ ...confirm, endpoints })
    expect(decodeConfirm(bytes, 0, bytes.length).endpoints).toHaveLength(8)
    bytes[130] = 9
    expect(() => decodeConfirm(bytes, 0, bytes.length)).toThrow(PeerError)
  })

  test('a name is cut where it is sent, refused where it is read, and printable', () => {
    const long = encodeConfirm({ ...confirm, name: 'ü'.repeat(300) })
    expect(decodeConfirm(long, 0, long.length).name).toBe('ü'.repeat(255))
    const bell = encodeConfirm({ ...confirm, name: 'gw\u0007' })
    expect(decodeConfirm(bell, 0, bell.length).name).toBe('gw?')
  })
})
