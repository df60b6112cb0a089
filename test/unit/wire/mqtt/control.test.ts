import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../../../src/base/errors.ts'
import { EMPTY } from '../../../../src/wire/message.ts'
import { decodeControl } from '../../../../src/wire/mqtt/control.ts'
import type { Version } from '../../../../src/wire/mqtt/packets.ts'
import { ConnectError } from '../../../../src/wire/mqtt/strict.ts'
import { badPackets } from './bad-packets.ts'
import { bodyStart, hex, join, packet, properties, text, u16 } from './bytes.ts'

const decode = (bytes: Buffer, version: Version | null) => {
  // Somewhere inside a larger buffer, as in a read.
  const buffer = join([hex('ff ff ff'), bytes, hex('ff ff')])
  return decodeControl(buffer, 3, 3 + bodyStart(bytes), 3 + bytes.length, version)
}

describe('what a server must refuse', () => {
  test.each(badPackets)('$name', ({ bytes, version, reason, answerAs }) => {
    const error = decode(bytes, version)
    expect(error).toBeInstanceOf(ProtocolError)
    expect((error as ProtocolError).reason).toBe(reason)
    if (answerAs !== undefined) {
      expect(error).toBeInstanceOf(ConnectError)
      expect((error as ConnectError).answerAs).toBe(answerAs)
    }
  })
})

const plain = {
  kind: 'connect',
  bridge: false,
  cleanStart: true,
  keepAliveSec: 60,
  clientId: 'c',
  username: null,
  password: null,
  will: null,
  sessionExpirySec: 0,
  receiveMaximum: 65_535,
  maximumPacketSize: null,
  topicAliasMaximum: 0,
  requestResponseInformation: false,
  requestProblemInformation: true,
  authenticationMethod: null,
  authenticationData: null,
}

describe('CONNECT', () => {
  test('3.1.1 with everything', () => {
    const bytes = hex('10 1e 0004 4d515454 04 ec 003c 0001 63 0001 77 0002 0001 0004 75736572 0002 ff00')
    expect(decode(bytes, null)).toEqual({
      ...plain,
      version: 4,
      cleanStart: false,
      sessionExpirySec: 0xffffffff,
      username: 'user',
      password: hex('ff 00'),
      will: {
        topic: 'w',
        qos: 1,
        retain: true,
        payload: hex('00 01'),
        delaySec: 0,
        expirySec: null,
        properties: hex(''),
      },
    })
  })

  test('5 with everything; [MQTT-3.1.3-10] the will keeps its user properties in order', () => {
    const user = hex('26 0001 61 0001 31  26 0001 62 0001 32  26 0001 61 0001 33')
    const bytes = packet(
      0x10,
      text('MQTT'),
      5,
      0xd6,
      u16(10),
      properties(
        hex('11 ffffffff 21 0014 27 00001000 22 000a 19 01 17 00'),
        hex('26 0001 78 0001 79'),
        join([0x15, text('m'), 0x16, text('d')]),
      ),
      text('é'),
      properties(hex('01 01 18 00000005'), user, hex('02 00000009'), hex('03 0001 74 08 0001 72 09 0002 0000')),
      text('w/t'),
      text('bye'),
      text('u'),
      text('p'),
    )
    expect(decode(bytes, null)).toEqual({
      ...plain,
      version: 5,
      keepAliveSec: 10,
      clientId: 'é',
      username: 'u',
      password: Buffer.from('p'),
      sessionExpirySec: 0xffffffff,
      receiveMaximum: 20,
      maximumPacketSize: 4096,
      topicAliasMaximum: 10,
      requestResponseInformation: true,
      requestProblemInformation: false,
      authenticationMethod: 'm',
      authenticationData: Buffer.from('d'),
      will: {
        topic: 'w/t',
        qos: 2,
        retain: false,
        payload: Buffer.from('bye'),
        delaySec: 5,
        expirySec: 9,
        properties: join([hex('01 01'), user, hex('03 0001 74 08 0001 72 09 0002 0000')]),
      },
    })
  })

  test('5 with nothing', () => {
    expect(decode(hex('10 0e 0004 4d515454 05 02 003c 00 0001 63'), null)).toEqual({ ...plain, version: 5 })
  })

  test('5 allows a password without user name', () => {
    const bytes = packet(0x10, text('MQTT'), 5, 0x42, u16(60), properties(), text('c'), text('p'))
    expect(decode(bytes, null)).toEqual({ ...plain, version: 5, password: Buffer.from('p') })
  })

  test('empty fields are there, and empty', () => {
    const bytes = packet(
      0x10,
      text('MQTT'),
      5,
      0xc6,
      u16(0),
      properties(),
      text(''),
      properties(),
      text('w'),
      text(''),
      text(''),
      text(''),
    )
    expect(decode(bytes, null)).toEqual({
      ...plain,
      version: 5,
      keepAliveSec: 0,
      clientId: '',
      username: '',
      password: EMPTY,
      will: { topic: 'w', qos: 0, retain: false, payload: EMPTY, delaySec: 0, expirySec: null, properties: EMPTY },
    })
  })

  test('[MQTT-1.5.4-3] a byte order mark is part of the client identifier', () => {
    const bytes = packet(0x10, text('MQTT'), 4, 2, u16(60), text(hex('ef bb bf 63')))
    expect(decode(bytes, null)).toEqual({ ...plain, version: 4, clientId: '\uFEFFc' })
  })

  test('bridges set the highest bit of the level', () => {
    expect(decode(packet(0x10, text('MQTT'), 0x84, 2, u16(60), text('c')), null)).toEqual({
      ...plain,
      version: 4,
      bridge: true,
    })
    expect(decode(packet(0x10, text('MQIsdp'), 0x83, 2, u16(60), text('c')), null)).toEqual({
      ...plain,
      version: 3,
      bridge: true,
    })
  })

  test('3.1: unused flags are not looked at, and the remaining length overrules the credential flags', () => {
    const head = (flags: number) => join([text('MQIsdp'), 3, flags, u16(60), text('c')])
    expect(decode(packet(0x1f, head(0xc2 | 0x39)), null)).toEqual({ ...plain, version: 3 })
    expect(decode(packet(0x10, head(0xc2), text('u')), null)).toEqual({ ...plain, version: 3, username: 'u' })
    expect(decode(packet(0x10, head(0xc2), text('u'), text('p')), null)).toEqual({
      ...plain,
      version: 3,
      username: 'u',
      password: Buffer.from('p'),
    })
  })

  test('a remaining length with more bytes than it needs is taken from 3.x', () => {
    expect(decode(hex('10 8d 00 0004 4d515454 04 02 003c 0001 63'), null)).toEqual({ ...plain, version: 4 })
  })
})

const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 }

describe('SUBSCRIBE', () => {
  test('3.1.1', () => {
    expect(decode(hex('82 0d 000a 0003 612f62 01 0002 2f23 02'), 4)).toEqual({
      kind: 'subscribe',
      packetId: 10,
      subscriptionId: null,
      entries: [
        { ...options, filter: 'a/b', qos: 1 },
        { ...options, filter: '/#', qos: 2 },
      ],
    })
  })

  test('5', () => {
    const bytes = hex('82 14 ffff 0b 0b ffffff7f 26 0001 61 0000 0001 61 2d 0000 10')
    bytes[1] = bytes.length - 2
    expect(decode(bytes, 5)).toEqual({
      kind: 'subscribe',
      packetId: 65_535,
      subscriptionId: 268_435_455,
      entries: [
        { filter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { filter: '', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 1 },
      ],
    })
  })

  test('3.1: sent again with DUP, unused bits set', () => {
    expect(decode(hex('8b 06 0001 0001 61 fe'), 3)).toEqual({
      kind: 'subscribe',
      packetId: 1,
      subscriptionId: null,
      entries: [{ ...options, filter: 'a', qos: 2 }],
    })
  })
})

test('UNSUBSCRIBE', () => {
  const wanted = { kind: 'unsubscribe', packetId: 2, filters: ['a', 'b/+'] }
  expect(decode(hex('a2 0a 0002 0001 61 0003 622f2b'), 4)).toEqual(wanted)
  expect(decode(hex('aa 0a 0002 0001 61 0003 622f2b'), 3)).toEqual(wanted)
  expect(decode(hex('a2 0b 0002 00 0001 61 0003 622f2b'), 5)).toEqual(wanted)
})

test('PINGREQ', () => {
  expect(decode(hex('c0 00'), 4)).toEqual({ kind: 'pingreq' })
})

test('DISCONNECT', () => {
  const normal = { kind: 'disconnect', reason: 0, sessionExpirySec: null }
  expect(decode(hex('e0 00'), 4)).toEqual(normal)
  expect(decode(hex('e0 00'), 5)).toEqual(normal)
  expect(decode(hex('e0 01 04'), 5)).toEqual({ ...normal, reason: 4 })
  expect(decode(hex('e0 07 00 05 11 00000000'), 5)).toEqual({ ...normal, sessionExpirySec: 0 })
})

test('AUTH', () => {
  expect(decode(hex('f0 0a 18 08 15 0001 6d 16 0001 64'), 5)).toEqual({
    kind: 'auth',
    reason: 0x18,
    method: 'm',
    data: Buffer.from('d'),
  })
})

test('acknowledgements', () => {
  expect(decode(hex('40 02 0001'), 4)).toMatchObject({ kind: 'puback', packetId: 1, reason: 0 })
  expect(decode(hex('62 03 ffff 92'), 5)).toMatchObject({ kind: 'pubrel', packetId: 65_535, reason: 0x92 })
})

test('what is decoded does not share the read buffer', () => {
  const bytes = packet(
    0x10,
    text('MQTT'),
    4,
    0xc6,
    u16(60),
    text('c'),
    text('w'),
    text('will'),
    text('u'),
    text('pass'),
  )
  const packetOf = decode(bytes, null)
  bytes.fill(0)
  expect(packetOf).toMatchObject({ password: Buffer.from('pass'), will: { payload: Buffer.from('will') } })
})
