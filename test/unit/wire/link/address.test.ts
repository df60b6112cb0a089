import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { type AddressClaim, decodeAddress, encodeAddress } from '../../../../src/wire/link/address.ts'

test.each<[AddressClaim, string]>([
  [{ able: true, holds: false, address: '192.168.1.50/24', mac: '' }, '01 18 c0a80132 000000000000'],
  [{ able: true, holds: true, address: '10.0.0.1/8', mac: '02:00:5e:10:ff:01' }, '03 08 0a000001 02005e10ff01'],
  [{ able: false, holds: false, address: '1.2.3.4/31', mac: '' }, '00 1f 01020304 000000000000'],
])('%j', (claim, golden) => {
  const bytes = Buffer.from(golden.replaceAll(' ', ''), 'hex')
  expect(encodeAddress(claim).toString('hex')).toBe(bytes.toString('hex'))
  expect(decodeAddress(bytes)).toEqual(claim)
  expect(decodeAddress(Buffer.concat([bytes, Buffer.from('later')]))).toEqual(claim)
  for (let cut = 0; cut < bytes.length; cut++) expect(() => decodeAddress(bytes.subarray(0, cut))).toThrow(PeerError)
})

test('a network of nothing or of everything is none', () => {
  for (const prefix of [0, 32, 255]) {
    expect(() => decodeAddress(Buffer.from([1, prefix, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0]))).toThrow(PeerError)
  }
})
