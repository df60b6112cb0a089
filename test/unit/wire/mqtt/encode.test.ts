import { expect, test } from 'vitest'
import {
  connackReturnCode,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
} from '../../../../src/wire/mqtt/encode.ts'
import { hex } from './bytes.ts'

test('CONNACK for 3.x', () => {
  const accepted = { sessionPresent: true, reason: 0, receiveMaximum: 10 }
  expect(encodeConnack(accepted, 4)).toEqual(hex('20 02 01 00'))
  expect(encodeConnack(accepted, 3)).toEqual(hex('20 02 00 00'))
  expect(encodeConnack({ sessionPresent: true, reason: 0x87 }, 4)).toEqual(hex('20 02 00 05'))
  expect(encodeConnack({ sessionPresent: false, reason: 0x81 }, 4)).toBeNull()
})

test.each([
  [0x00, 0],
  [0x84, 1],
  [0x85, 2],
  [0x88, 3],
  [0x89, 3],
  [0x97, 3],
  [0x9f, 3],
  [0x86, 4],
  [0x87, 5],
  [0x8a, 5],
  [0x82, null],
  [0x95, null],
])('reason 0x%x is return code %s', (reason, code) => {
  expect(connackReturnCode(reason)).toBe(code)
})

test('CONNACK for 5', () => {
  expect(encodeConnack({ sessionPresent: false, reason: 0 }, 5)).toEqual(hex('20 03 00 00 00'))
  // [MQTT-3.2.2-6]
  expect(encodeConnack({ sessionPresent: true, reason: 0x89 }, 5)).toEqual(hex('20 03 00 89 00'))
  const everything = encodeConnack(
    {
      sessionPresent: true,
      reason: 0,
      sessionExpirySec: 0xffffffff,
      receiveMaximum: 64,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 4_194_304,
      assignedClientId: 'c',
      topicAliasMaximum: 0,
      reasonString: 'r',
      serverKeepAliveSec: 60,
      responseInformation: 'i',
      serverReference: 's',
      authenticationMethod: 'm',
      authenticationData: hex('ff'),
    },
    5,
  )
  expect(everything).toEqual(
    hex(
      '20 32 01 00 2f 11 ffffffff 21 0040 24 01 25 00 27 00400000 12 0001 63 22 0000 1f 0001 72 13 003c ' +
        '1a 0001 69 1c 0001 73 15 0001 6d 16 0001 ff',
    ),
  )
})

test('SUBACK', () => {
  const reasons = [0, 1, 2, 0x87, 0x8f]
  expect(encodeSuback(10, reasons, 5)).toEqual(hex('90 08 000a 00 00 01 02 87 8f'))
  expect(encodeSuback(10, [0], 5, 'no')).toEqual(hex('90 09 000a 05 1f 0002 6e6f 00'))
  expect(encodeSuback(10, reasons, 4)).toEqual(hex('90 07 000a 00 01 02 80 80'))
  expect(encodeSuback(10, reasons, 3)).toEqual(hex('90 07 000a 00 01 02 00 00'))
})

test('SUBACK of many filters', () => {
  const suback = encodeSuback(
    1,
    Array.from({ length: 200 }, () => 1),
    4,
  )
  expect(suback.subarray(0, 5)).toEqual(hex('90 ca01 0001'))
  expect(suback.length).toBe(3 + 202)
})

test('UNSUBACK', () => {
  expect(encodeUnsuback(0xffff, [0, 0x11], 5)).toEqual(hex('b0 05 ffff 00 00 11'))
  expect(encodeUnsuback(0xffff, [0, 0x11], 4)).toEqual(hex('b0 02 ffff'))
})

test('DISCONNECT', () => {
  expect(encodeDisconnect({ reason: 0 })).toEqual(hex('e0 00'))
  expect(encodeDisconnect({ reason: 0x8e })).toEqual(hex('e0 01 8e'))
  expect(encodeDisconnect({ reason: 0x9c, reasonString: 'r', serverReference: 's' })).toEqual(
    hex('e0 0a 9c 08 1f 0001 72 1c 0001 73'),
  )
})

test('AUTH', () => {
  expect(encodeAuth({ reason: 0x18, method: 'm', data: hex('00'), reasonString: 'r' })).toEqual(
    hex('f0 0e 18 0c 15 0001 6d 16 0001 00 1f 0001 72'),
  )
})
