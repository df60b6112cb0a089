import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { InstanceId, NodeId } from '../../../../src/base/ids.ts'
import { decodeMembers, ENTRIES_MAX, encodeMembers, type MemberEntry } from '../../../../src/wire/link/members.ts'

const entry: MemberEntry = {
  id: '1112131415161718' as NodeId,
  instance: '2122232425262728' as InstanceId,
  endpoints: [{ address: '10.0.0.1', port: 4883 }],
  name: 'gw-1',
  version: '0.1.0',
  linked: true,
  left: false,
}
const golden =
  '0001' +
  '01' +
  '1112131415161718' +
  '2122232425262728' +
  `01${`0008${Buffer.from('10.0.0.1').toString('hex')}1313`}` +
  `0004${Buffer.from('gw-1').toString('hex')}` +
  `0005${Buffer.from('0.1.0').toString('hex')}` +
  '0000'

describe('lists of members', () => {
  test('stand on the wire as drawn', () => {
    expect(encodeMembers([entry]).toString('hex')).toBe(golden)
    expect(decodeMembers(Buffer.from(golden, 'hex'))).toEqual([entry])
  })

  test('an entry may carry what later versions add', () => {
    const later = Buffer.from(`${golden.slice(0, -4)}0003010203`, 'hex')
    expect(decodeMembers(later)).toEqual([entry])
  })

  test('flags are told apart', () => {
    const list = [
      { ...entry, linked: false },
      { ...entry, left: true },
      { ...entry, linked: false, left: true },
    ]
    expect(decodeMembers(encodeMembers(list))).toEqual(list)
  })

  test('cut anywhere it is the peer’s fault; what a later version adds behind is passed over', () => {
    const bytes = encodeMembers([entry, entry])
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeMembers(bytes.subarray(0, length))).toThrow(PeerError)
    }
    expect(decodeMembers(Buffer.concat([bytes, Buffer.alloc(1)]))).toEqual([entry, entry])
  })

  test('more entries than a message may carry are refused', () => {
    const many = Array.from({ length: ENTRIES_MAX + 1 }, () => entry)
    expect(() => decodeMembers(encodeMembers(many))).toThrow(PeerError)
  })
})
