import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ClusterId, InstanceId, NodeId } from '../../../../src/base/ids.ts'
import {
  type Beacon,
  beaconText,
  decodeBeacon,
  encodeBeacon,
  readBeaconText,
} from '../../../../src/wire/link/beacon.ts'

const beacon: Beacon = {
  port: 4883,
  cluster: '0102030405060708' as ClusterId,
  node: '1112131415161718' as NodeId,
  instance: '2122232425262728' as InstanceId,
}
const golden = '1313' + '0102030405060708' + '1112131415161718' + '2122232425262728'

describe('the beacon datagram', () => {
  test('is the port, cluster id, node id and instance, big-endian', () => {
    expect(encodeBeacon(beacon).toString('hex')).toBe(golden)
    expect(decodeBeacon(Buffer.from(golden, 'hex'))).toEqual(beacon)
  })

  test('of a later version may be longer', () => {
    expect(decodeBeacon(Buffer.from(`${golden}c0ffee`, 'hex'))).toEqual(beacon)
  })

  test('may be just the two bytes of a port', () => {
    expect(decodeBeacon(Buffer.from('1313', 'hex'))).toEqual({ port: 4883, cluster: null, node: null, instance: null })
  })

  test('of a box that cannot be dialled has port zero', () => {
    expect(decodeBeacon(encodeBeacon({ ...beacon, port: 0 }))?.port).toBe(0)
  })

  const zero = '0'.repeat(16)
  test.each([
    ['nothing', ''],
    ['one byte', '13'],
    ['two bytes of port zero', '0000'],
    ['three bytes', '131300'],
    ['one byte short', golden.slice(0, -2)],
    ['no node', `1313${beacon.cluster}${zero}${beacon.instance}`],
    ['no instance', `1313${beacon.cluster}${beacon.node}${zero}`],
    ['longer than any version', golden + '00'.repeat(500)],
  ])('%s is junk', (_what, hex) => {
    expect(decodeBeacon(Buffer.from(hex, 'hex'))).toBeNull()
  })

  test('arbitrary bytes are read or refused, never more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const read = decodeBeacon(Buffer.from(bytes))
        if (read === null) return
        expect(read.port).toBe((bytes[0]! << 8) | bytes[1]!)
        if (read.node !== null) {
          expect(encodeBeacon(read).equals(Buffer.from(bytes.subarray(0, 26)))).toBe(true)
        } else expect(bytes.length).toBe(2)
      }),
    )
  })
})

describe('the text of the mDNS record', () => {
  test('says the same', () => {
    const text = beaconText(beacon)
    expect(text).toEqual({ c: beacon.cluster, n: beacon.node, i: beacon.instance })
    expect(readBeaconText(4883, { ...text, later: 'more' })).toEqual(beacon)
  })

  test.each([
    ['no node', 4883, { c: beacon.cluster, i: beacon.instance }],
    ['a short node id', 4883, { ...beaconText(beacon), n: 'abc' }],
    ['no instance', 4883, { n: beacon.node }],
    ['a cluster that is no id', 4883, { ...beaconText(beacon), c: 'G'.repeat(16) }],
    ['a port out of range', 70_000, beaconText(beacon)],
  ])('with %s is junk', (_what, port, text) => {
    expect(readBeaconText(port, text as Record<string, string>)).toBeNull()
  })
})
