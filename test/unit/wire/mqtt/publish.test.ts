import { describe, expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import { Reason } from '../../../../src/base/reasons.ts'
import { EMPTY, type Message } from '../../../../src/wire/message.ts'
import type { Version } from '../../../../src/wire/mqtt/packets.ts'
import {
  encodePublish,
  type PublishForm,
  PublishView,
  packetIdOffset,
  passThroughProperties,
  publishLength,
  writePublish,
} from '../../../../src/wire/mqtt/publish.ts'
import { bodyStart, hex, join, packet, properties, text, u16 } from './bytes.ts'

const BAD_UTF8 = text(hex('61 c0 80'))

function read(bytes: Buffer, version: Version, view = new PublishView()) {
  const buffer = join([hex('ff ff'), bytes, hex('ff')])
  const error = view.read(buffer, 2, 2 + bodyStart(bytes), 2 + bytes.length, version)
  return { buffer, view, error }
}

/** What a view of a good packet says. */
function values(bytes: Buffer, version: Version) {
  const { buffer, view, error } = read(bytes, version)
  expect(error).toBeNull()
  const { qos, dup, retain, packetId, topicAlias, expirySec, passThrough } = view
  return {
    qos,
    dup,
    retain,
    packetId,
    topicAlias,
    expirySec,
    passThrough,
    topic: view.topic(buffer),
    properties: passThroughProperties(view, buffer).toString('hex'),
    payload: buffer.toString('latin1', view.payloadStart, view.payloadEnd),
  }
}

const plain = {
  qos: 0,
  dup: false,
  retain: false,
  packetId: 0,
  topicAlias: 0,
  expirySec: -1,
  passThrough: true,
  properties: '',
  payload: '',
}

describe('PublishView', () => {
  test('3.1.1, QoS 0', () => {
    expect(values(hex('30 07 0003 612f62 6869'), 4)).toEqual({ ...plain, topic: 'a/b', payload: 'hi' })
  })

  test('3.1.1, QoS 2, DUP, retain, no payload', () => {
    expect(values(hex('3d 05 0001 61 ffff'), 4)).toEqual({
      ...plain,
      topic: 'a',
      qos: 2,
      dup: true,
      retain: true,
      packetId: 65_535,
    })
  })

  test('5, no properties', () => {
    expect(values(hex('32 08 0001 61 000a 00 6869'), 5)).toEqual({
      ...plain,
      topic: 'a',
      qos: 1,
      packetId: 10,
      payload: 'hi',
    })
  })

  test('5, [MQTT-3.3.2-18] properties pass through as they came, user properties in order', () => {
    const through = '01 01 26 0001 62 0001 32 26 0001 61 0001 31 03 0001 74 26 0001 62 0001 33 08 0001 72 09 0002 ff00'
    expect(values(packet(0x30, text('a'), properties(hex(through)), Buffer.from('x')), 5)).toEqual({
      ...plain,
      topic: 'a',
      payload: 'x',
      properties: through.replaceAll(' ', ''),
    })
  })

  test('5, alias and expiry are taken out of what passes through', () => {
    const bytes = packet(
      0x30,
      text(''),
      properties(hex('26 0001 61 0001 31'), hex('23 0007'), hex('26 0001 61 0001 32'), hex('02 ffffffff')),
    )
    expect(values(bytes, 5)).toEqual({
      ...plain,
      topic: '',
      topicAlias: 7,
      expirySec: 0xffffffff,
      passThrough: false,
      properties: '26000161000131' + '26000161000132',
    })
    expect(values(packet(0x30, text('a'), properties(hex('02 00000000'))), 5)).toEqual({
      ...plain,
      topic: 'a',
      expirySec: 0,
      passThrough: false,
    })
  })

  test('3.1 has no rule about DUP with QoS 0', () => {
    expect(values(hex('38 03 0001 61'), 3)).toEqual({ ...plain, topic: 'a', dup: true })
  })

  test('sameTopic compares the bytes with the last topic there was', () => {
    const view = new PublishView()
    const same = (bytes: Buffer) => {
      expect(read(bytes, 5, view).error).toBeNull()
      return view.sameTopic
    }
    const to = (topic: string) => packet(0x30, text(topic), 0, Buffer.from('p'))
    expect(same(to('a/b'))).toBe(false)
    expect(same(to('a/b'))).toBe(true)
    expect(same(packet(0x30, text(''), properties(hex('23 0001'))))).toBe(false)
    expect(same(to('a/b'))).toBe(true)
    expect(same(to('a/c'))).toBe(false)
    expect(same(to('a/cc'))).toBe(false)
    expect(same(to('x'.repeat(1000)))).toBe(false)
    expect(same(to('x'.repeat(1000)))).toBe(true)
    expect(read(packet(0x30, text('a/+'), 0), 5, view).error).not.toBeNull()
    expect(read(packet(0x30, text('a/+'), 0), 5, view).error).not.toBeNull()
    expect(same(to('x'.repeat(1000)))).toBe(false)
  })

  test('topics outside ASCII', () => {
    expect(values(packet(0x30, text('é/\u{1F600}/\uFEFF')), 4)).toEqual({ ...plain, topic: 'é/\u{1F600}/\uFEFF' })
  })

  test.each<[name: string, version: Version, bytes: Buffer, reason: number]>([
    ['QoS 3', 4, packet(0x36, text('a'), u16(1)), Reason.malformedPacket],
    ['[MQTT-3.3.1-2] DUP with QoS 0', 4, packet(0x38, text('a')), Reason.malformedPacket],
    ['empty', 4, packet(0x30), Reason.malformedPacket],
    ['topic past the end', 4, packet(0x30, hex('0004 616263')), Reason.malformedPacket],
    ['topic empty', 4, packet(0x30, text('')), Reason.topicNameInvalid],
    ['neither topic nor alias', 5, packet(0x30, text(''), properties()), Reason.protocolError],
    ['topic with #', 4, packet(0x30, text('a/#')), Reason.topicNameInvalid],
    ['topic with + inside a level', 4, packet(0x30, text('a+b')), Reason.topicNameInvalid],
    ['topic not UTF-8', 4, packet(0x30, BAD_UTF8), Reason.malformedPacket],
    ['topic with a surrogate', 4, packet(0x30, text(hex('ed bf bf'))), Reason.malformedPacket],
    ['topic with U+0000', 4, packet(0x30, text(hex('61 00 62'))), Reason.malformedPacket],
    ['no packet identifier', 4, packet(0x32, text('a'), 1), Reason.malformedPacket],
    ['packet identifier 0', 4, packet(0x32, text('a'), u16(0)), Reason.protocolError],
    ['no properties', 5, packet(0x30, text('a')), Reason.malformedPacket],
    ['properties past the end', 5, packet(0x30, text('a'), 9, 0), Reason.malformedPacket],
    ['property length too long', 5, packet(0x30, text('a'), 0x80, 0), Reason.malformedPacket],
    ['property length of five bytes', 5, packet(0x30, text('a'), hex('ffffffff01')), Reason.malformedPacket],
    ['subscription identifier', 5, packet(0x30, text('a'), properties(0x0b, 1)), Reason.protocolError],
    ['topic alias 0', 5, packet(0x30, text('a'), properties(0x23, u16(0))), Reason.topicAliasInvalid],
    ['topic alias twice', 5, packet(0x30, text('a'), properties(hex('230001 230001'))), Reason.protocolError],
    ['expiry twice', 5, packet(0x30, text('a'), properties(hex('0200000000 0200000001'))), Reason.protocolError],
    ['payload format 2', 5, packet(0x30, text('a'), properties(1, 2)), Reason.protocolError],
    ['payload format twice', 5, packet(0x30, text('a'), properties(1, 0, 1, 0)), Reason.protocolError],
    ['response topic with wildcard', 5, packet(0x30, text('a'), properties(8, text('a/#'))), Reason.protocolError],
    ['response topic empty', 5, packet(0x30, text('a'), properties(8, text(''))), Reason.protocolError],
    ['response topic not UTF-8', 5, packet(0x30, text('a'), properties(8, BAD_UTF8)), Reason.malformedPacket],
    ['content type not UTF-8', 5, packet(0x30, text('a'), properties(3, BAD_UTF8)), Reason.malformedPacket],
    ['user property name', 5, packet(0x30, text('a'), properties(0x26, BAD_UTF8, text(''))), Reason.malformedPacket],
    ['user property value', 5, packet(0x30, text('a'), properties(0x26, text(''), BAD_UTF8)), Reason.malformedPacket],
    ['correlation data cut', 5, packet(0x30, text('a'), properties(9, 0, 2, 1)), Reason.malformedPacket],
    ['session expiry', 5, packet(0x30, text('a'), properties(hex('11 00000000'))), Reason.malformedPacket],
    ['unknown property', 5, packet(0x30, text('a'), properties(0xff, 0)), Reason.malformedPacket],
    ['remaining length too long', 5, hex('30 84 00 0001 61 00'), Reason.malformedPacket],
  ])('refuses: %s (%i)', (_name, version, bytes, reason) => {
    expect(read(bytes, version).error?.reason).toBe(reason)
  })
})

const message = (over: Partial<Message> = {}): Message => ({
  origin: { node: '0000000000000001' as NodeId, incarnation: 1 },
  counter: 0,
  topic: 'a/b',
  qos: 1,
  retain: false,
  payload: Buffer.from('hi'),
  properties: EMPTY,
  expiresAt: Number.POSITIVE_INFINITY,
  publisher: 'c' as ClientId,
  stamp: null,
  ...over,
})

const form = (over: Partial<PublishForm> = {}): PublishForm => ({
  version: 4,
  qos: 0,
  dup: false,
  retain: false,
  packetId: 0,
  topic: 'a/b',
  topicAlias: 0,
  subscriptionIds: [],
  expirySec: -1,
  ...over,
})

describe('encodePublish', () => {
  test.each<[name: string, message: Partial<Message>, form: Partial<PublishForm>, bytes: string]>([
    ['3.1.1, QoS 0', {}, {}, '30 07 0003 612f62 6869'],
    [
      '3.1.1, QoS 1, DUP, retain',
      {},
      { qos: 1, dup: true, retain: true, packetId: 300 },
      '3b 09 0003 612f62 012c 6869',
    ],
    [
      '3.1.1 has no properties',
      { properties: hex('01 01') },
      { expirySec: 9, topicAlias: 1 },
      '30 07 0003 612f62 6869',
    ],
    ['5, nothing', { payload: EMPTY }, { version: 5 }, '30 06 0003 612f62 00'],
    [
      '5, everything, in order: alias, expiry, subscription identifiers, what passes through',
      { properties: hex('26 0001 61 0001 31') },
      { version: 5, qos: 2, packetId: 1, topic: '', topicAlias: 7, expirySec: 0xffffffff, subscriptionIds: [1, 300] },
      '34 1b 0000 0001 14 23 0007 02 ffffffff 0b 01 0b ac02 26 0001 61 0001 31 6869',
    ],
    ['topic outside ASCII', { payload: EMPTY }, { topic: 'é' }, '30 04 0002 c3a9'],
  ])('%s', (_name, over, put, bytes) => {
    expect(encodePublish(message(over), form(put)).toString('hex')).toBe(bytes.replaceAll(' ', ''))
  })

  test('writePublish writes publishLength bytes at the place it is told', () => {
    const large = message({ payload: Buffer.alloc(20_000, 1), properties: hex('01 00') })
    const put = form({ version: 5, qos: 1, packetId: 9, topic: 'é'.repeat(100) })
    const length = publishLength(large, put)
    const into = Buffer.alloc(length + 10)
    expect(writePublish(large, put, into, 5)).toBe(5 + length)
    expect(into.subarray(5, 5 + length)).toEqual(encodePublish(large, put))
    expect(into.subarray(5 + length).every((byte) => byte === 0)).toBe(true)
  })

  test.each([0, 200, 20_000])('packetIdOffset finds the packet id, payload of %i bytes', (length) => {
    const encoded = encodePublish(message({ payload: Buffer.alloc(length) }), form({ qos: 1, packetId: 0xabcd }))
    const at = packetIdOffset(encoded)
    expect(encoded.readUInt16BE(at)).toBe(0xabcd)
    expect(packetIdOffset(join([hex('00 00'), encoded]), 2)).toBe(at + 2)
  })
})
