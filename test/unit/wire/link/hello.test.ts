import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClusterId, InstanceId, NodeId } from '../../../../src/base/ids.ts'
import {
  beginsHello,
  commonVersion,
  decodeHello,
  encodeHello,
  HELLO_BYTES,
  type Hello,
} from '../../../../src/wire/link/hello.ts'

const hello: Hello = {
  versionMin: 1,
  versionMax: 3,
  intent: 'link',
  cluster: '0102030405060708' as ClusterId,
  node: '1112131415161718' as NodeId,
  instance: '2122232425262728' as InstanceId,
  nonce: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
}
const golden =
  '656467656d717474' +
  '01030100' +
  '00000000' +
  '0102030405060708' +
  '1112131415161718' +
  '2122232425262728' +
  '000102030405060708090a0b0c0d0e0f' +
  '0000000000000000'

describe('hello', () => {
  test('stands on the wire as drawn', () => {
    expect(encodeHello(hello).toString('hex')).toBe(golden)
    expect(decodeHello(Buffer.from(golden, 'hex'))).toEqual(hello)
  })

  test('cluster zero is none, both ways', () => {
    const bytes = encodeHello({ ...hello, cluster: null })
    expect(bytes.toString('hex', 16, 24)).toBe('0000000000000000')
    expect(decodeHello(bytes)).toEqual({ ...hello, cluster: null })
  })

  test('reserved bytes are of later versions and ignored', () => {
    const bytes = encodeHello(hello)
    bytes.fill(0xff, 11, 16)
    bytes.fill(0xff, 56)
    expect(decodeHello(bytes)).toEqual(hello)
  })

  test.each([
    ['another magic', 0, 0x45],
    ['no such intent', 10, 3],
    ['intent zero', 10, 0],
    ['version zero', 8, 0],
    ['newest below oldest', 9, 0],
  ])('%s is not a hello', (_what, at, value) => {
    const bytes = encodeHello(hello)
    bytes[at] = value
    expect(decodeHello(bytes)).toBeInstanceOf(PeerError)
  })

  test('another length is not a hello', () => {
    expect(decodeHello(encodeHello(hello).subarray(0, HELLO_BYTES - 1))).toBeInstanceOf(PeerError)
    expect(decodeHello(Buffer.concat([encodeHello(hello), Buffer.alloc(1)]))).toBeInstanceOf(PeerError)
  })

  test('the first wrong byte of a stranger is enough', () => {
    expect(beginsHello(Buffer.from('edgem'), 5)).toBe(true)
    expect(beginsHello(Buffer.from('GET / HTTP/1.1'), 14)).toBe(false)
    expect(beginsHello(Buffer.from('eX'), 2)).toBe(false)
    expect(beginsHello(Buffer.alloc(HELLO_BYTES), 0)).toBe(true)
  })

  test.each([
    [1, 1, 1, 1, 1],
    [1, 3, 2, 5, 2],
    [1, 2, 1, 2, 1],
    [1, 3, 2, 2, 2],
    [1, 1, 2, 2, null],
    [4, 5, 1, 3, null],
  ])('versions %i-%i and %i-%i have %s in common', (minA, maxA, minB, maxB, common) => {
    const a = { ...hello, versionMin: minA, versionMax: maxA }
    const b = { ...hello, versionMin: minB, versionMax: maxB }
    expect(commonVersion(a, b)).toBe(common)
    expect(commonVersion(b, a)).toBe(common)
  })
})
