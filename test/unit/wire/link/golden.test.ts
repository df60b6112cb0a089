// Format 1 of what boxes say and keep, byte for byte: what a released version has written is read for ever. Bytes here are
// never changed; a later format gets lines of its own.

import { expect, test } from 'vitest'
import { decodeBeacon } from '../../../../src/wire/link/beacon.ts'
import { decodeConfirm } from '../../../../src/wire/link/confirm.ts'
import { decodeGoodbye, decodeOpen, FrameReader } from '../../../../src/wire/link/frame.ts'
import { commonVersion, decodeHello, PROTOCOL } from '../../../../src/wire/link/hello.ts'
import { decodeTime } from '../../../../src/wire/link/time.ts'

const CLUSTER = 'c1c2c3c4c5c6c7c8'
const NODE = 'a1a2a3a4a5a6a7a8'
const INSTANCE = '019aa0b0c0d00102'
const NONCE = '00112233445566778899aabbccddeeff'
const HELLO = `656467656d717474${'0101'}${'01'}${'0000000000'}${CLUSTER}${NODE}${INSTANCE}${NONCE}${'0000000000000000'}`
const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

test('format 1: a hello', () => {
  expect(decodeHello(bytes(HELLO))).toEqual({
    ...{ versionMin: 1, versionMax: 1, intent: 'link', cluster: CLUSTER, node: NODE, instance: INSTANCE },
    nonce: bytes(NONCE),
  })
})

test('format 1: a beacon, whole and as a bare port', () => {
  expect(decodeBeacon(bytes(`1313${CLUSTER}${NODE}${INSTANCE}`))).toEqual({
    ...{ port: 4883, cluster: CLUSTER, node: NODE, instance: INSTANCE },
  })
  expect(decodeBeacon(bytes('1313'))).toMatchObject({ port: 4883, node: null })
})

test('format 1: frames, and what is in those of the link itself', () => {
  const heard: [number, number, string][] = []
  const frames = bytes('00000007 02 0000 00000001 00000009 05 0000 01 627965 0000 00000008 06 0003 00100000 6c')
  new FrameReader().read(frames, 0, 11 + 13, (kind, channel, from, start, end) => {
    heard.push([kind, channel, from.toString('hex', start, end)])
    return true
  })
  expect(heard).toEqual([
    [2, 0, '00000001'],
    [5, 0, '016279650000'],
  ])
  expect(decodeGoodbye(bytes('01 627965'), 0, 4)).toEqual({ reason: 'stopping', text: 'bye' })
  expect(decodeOpen(bytes('00100000 6c77772e78'), 0, 9)).toEqual({ name: 'lww.x', windowBytes: 0x100000 })
})

test('format 1: a confirmation', () => {
  const endpoint = '0009 31302e37372e302e31 1313'
  const body = bytes(`${HELLO}${HELLO}1313 01 ${endpoint} 0004 67772d31 0005 302e312e30`)
  expect(decodeConfirm(body, 0, body.length)).toEqual({
    ...{ acceptorHello: bytes(HELLO), diallerHello: bytes(HELLO), clusterPort: 4883, name: 'gw-1', version: '0.1.0' },
    endpoints: [{ address: '10.77.0.1', port: 4883 }],
  })
})

test('format 1: a time', () => {
  expect(decodeTime(bytes('01 02 019aa0b0c0d0 019aa0b0c0d1 ffffffff 00000000 0003'))).toEqual({
    ...{ synchronised: false, established: true, timeMs: 0x019aa0b0c0d0, ownMs: 0x019aa0b0c0d1 },
    ...{ followedMs: null, sets: 0, agreeing: 3 },
  })
})

test.each([
  ['this version', 0, 0, PROTOCOL.versionMin],
  ['the next one, which still speaks this', 0, 1, PROTOCOL.versionMin],
  [
    'one that speaks the newest of this and the next',
    PROTOCOL.versionMax - PROTOCOL.versionMin,
    1,
    PROTOCOL.versionMax,
  ],
  ['a far one, which speaks neither', PROTOCOL.versionMax - PROTOCOL.versionMin + 1, 2, null],
])('with %s the oldest that both speak is used', (_name, later, newer, common) => {
  const theirs = { versionMin: PROTOCOL.versionMin + later, versionMax: PROTOCOL.versionMax + newer }
  expect(commonVersion(PROTOCOL, theirs)).toBe(common)
  expect(commonVersion(theirs, PROTOCOL)).toBe(common)
})
