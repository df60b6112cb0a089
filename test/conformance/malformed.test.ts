// What breaks the standard closes that connection, and no other: each row one packet that is wrong in one way.

import { describe, expect, test } from 'vitest'
import { hex, Lab } from './lab.ts'
import {
  join,
  NO_PROPERTIES,
  packet,
  properties,
  rawConnect,
  rawPublish,
  rawSubscribe,
  rawUnsubscribe,
  text,
  u16,
} from './raw.ts'

const BAD_UTF8 = hex('61 c3 28')
const SURROGATE = hex('61 ed a0 80')
const NULL = hex('61 00')
const WILL = 0x04
const CLEAN = 0x02
const client = text('c')
const will = [text('w'), text('gone')]

describe('a CONNECT of 3.1.1 that is closed without a word', () => {
  test.each<[string, Buffer]>([
    ['[MQTT3-3.1.2-1] another protocol name', rawConnect({ name: 'MQTU' })],
    ['[MQTT3-3.1.2-3] the reserved flag', rawConnect({ flags: CLEAN | 1 })],
    ['[MQTT3-3.1.2-9] a will without its fields', rawConnect({ flags: CLEAN | WILL })],
    ['[MQTT3-3.1.2-9] a will without message', rawConnect({ flags: CLEAN | WILL, payload: [client, text('w')] })],
    ['[MQTT3-3.1.2-11] will fields without a will', rawConnect({ payload: [client, ...will] })],
    ['[MQTT3-3.1.2-13] will QoS without a will', rawConnect({ flags: CLEAN | 0x08 })],
    ['[MQTT3-3.1.2-14] will QoS 3', rawConnect({ flags: CLEAN | WILL | 0x18, payload: [client, ...will] })],
    ['[MQTT3-3.1.2-15] will retain without a will', rawConnect({ flags: CLEAN | 0x20 })],
    ['[MQTT3-3.1.2-18] a user name without its flag', rawConnect({ payload: [client, text('u')] })],
    ['[MQTT3-3.1.2-19] a user name flag alone', rawConnect({ flags: CLEAN | 0x80 })],
    [
      '[MQTT3-3.1.2-20] a password without its flag',
      rawConnect({ flags: CLEAN | 0x80, payload: [client, text('u'), text('p')] }),
    ],
    ['[MQTT3-3.1.2-21] a password flag alone', rawConnect({ flags: CLEAN | 0xc0, payload: [client, text('u')] })],
    [
      '[MQTT3-3.1.2-22] a password without user name',
      rawConnect({ flags: CLEAN | 0x40, payload: [client, text('p')] }),
    ],
    ['[MQTT3-3.1.3-3] no client id', rawConnect({ payload: [] })],
    ['[MQTT3-1.5.3-1] [MQTT3-3.1.3-4] a client id of bad UTF-8', rawConnect({ payload: [text(BAD_UTF8)] })],
    ['[MQTT3-1.5.3-1] [MQTT3-3.1.3-4] a client id with a surrogate', rawConnect({ payload: [text(SURROGATE)] })],
    ['[MQTT3-1.5.3-2] a client id with U+0000', rawConnect({ payload: [text(NULL)] })],
    [
      '[MQTT3-3.1.3-10] a will topic of bad UTF-8',
      rawConnect({ flags: CLEAN | WILL, payload: [client, text(BAD_UTF8), text('gone')] }),
    ],
    [
      '[MQTT3-3.1.3-11] a user name of bad UTF-8',
      rawConnect({ flags: CLEAN | 0x80, payload: [client, text(BAD_UTF8)] }),
    ],
    [
      '[MQTT3-3.1.3-1] fields in another order: the will before the client id',
      rawConnect({ flags: CLEAN | WILL, payload: [...will.slice(1), text(BAD_UTF8), client] }),
    ],
    ['[MQTT3-3.1.4-1] header flags', Buffer.concat([hex('11'), rawConnect().subarray(1)])],
    ['[MQTT3-3.1.4-1] bytes too many', rawConnect({ payload: [client, hex('00')] })],
  ])('%s', (_name, bytes) => {
    const lab = new Lab()
    const other = lab.connected({ version: 4 })
    const wrong = lab.client(4).raw(bytes, 'c000')
    expect(wrong.bytes.length).toBe(0)
    expect(wrong.closed).toBe(true)
    expect(lab.broker.counts().sessions).toBe(1)
    expect(other.raw('c000').one('pingresp').cmd).toBe('pingresp')
  })
})

const v5 = (options: Parameters<typeof rawConnect>[0] = {}) => rawConnect({ version: 5, ...options })
const will5 = [NO_PROPERTIES, ...will]

describe('a CONNECT of MQTT 5 that is refused with a code', () => {
  test.each<[string, Buffer, number]>([
    ['[MQTT-3.1.2-3] the reserved flag', v5({ flags: CLEAN | 1 }), 0x81],
    ['[MQTT-3.1.2-9] a will without its fields', v5({ flags: CLEAN | WILL }), 0x81],
    ['[MQTT-3.1.2-9] a will without properties', v5({ flags: CLEAN | WILL, payload: [client, ...will] }), 0x81],
    ['[MQTT-3.1.2-11] will QoS without a will', v5({ flags: CLEAN | 0x10 }), 0x81],
    ['[MQTT-3.1.2-12] will QoS 3', v5({ flags: CLEAN | WILL | 0x18, payload: [client, ...will5] }), 0x81],
    ['[MQTT-3.1.2-13] will retain without a will', v5({ flags: CLEAN | 0x20 }), 0x81],
    ['[MQTT-3.1.2-16] a user name without its flag', v5({ payload: [client, text('u')] }), 0x81],
    ['[MQTT-3.1.2-17] a user name flag alone', v5({ flags: CLEAN | 0x80 }), 0x81],
    [
      '[MQTT-3.1.2-18] a password without its flag',
      v5({ flags: CLEAN | 0x80, payload: [client, text('u'), text('p')] }),
      0x81,
    ],
    ['[MQTT-3.1.2-19] a password flag alone', v5({ flags: CLEAN | 0xc0, payload: [client, text('u')] }), 0x81],
    ['[MQTT-3.1.3-3] no client id', v5({ payload: [] }), 0x81],
    ['[MQTT-3.1.3-4] a client id of bad UTF-8', v5({ payload: [text(BAD_UTF8)] }), 0x81],
    ['[MQTT-1.5.4-1] a client id with a surrogate', v5({ payload: [text(SURROGATE)] }), 0x81],
    ['[MQTT-1.5.4-2] a client id with U+0000', v5({ payload: [text(NULL)] }), 0x81],
    [
      '[MQTT-3.1.3-11] a will topic of bad UTF-8',
      v5({ flags: CLEAN | WILL, payload: [client, NO_PROPERTIES, text(BAD_UTF8), text('x')] }),
      0x81,
    ],
    ['[MQTT-3.1.3-12] a user name of bad UTF-8', v5({ flags: CLEAN | 0x80, payload: [client, text(BAD_UTF8)] }), 0x81],
    [
      '[MQTT-1.5.7-1] a user property whose name is bad',
      v5({ properties: properties(0x26, text(BAD_UTF8), text('v')) }),
      0x81,
    ],
    [
      '[MQTT-1.5.7-1] a user property whose value is bad',
      v5({ properties: properties(0x26, text('n'), text(SURROGATE)) }),
      0x81,
    ],
    ['[MQTT-3.1.4-1] bytes too many', v5({ payload: [client, hex('00')] }), 0x81],
    ['a property twice', v5({ properties: properties(0x21, u16(1), 0x21, u16(1)) }), 0x82],
    ['Receive Maximum 0', v5({ properties: properties(0x21, u16(0)) }), 0x82],
    ['Maximum Packet Size 0', v5({ properties: properties(0x27, hex('00000000')) }), 0x82],
    ['Request Problem Information 2', v5({ properties: properties(0x17, 2) }), 0x82],
    ['authentication data without a method', v5({ properties: properties(0x16, text('d')) }), 0x82],
    ['a property that is not for CONNECT', v5({ properties: properties(0x01, 1) }), 0x81],
  ])('%s', (_name, bytes, reason) => {
    const lab = new Lab()
    const wrong = lab.client(5).raw(bytes, 'c000')
    const connack = wrong.one('connack')
    expect([connack.reasonCode, connack.sessionPresent]).toEqual([reason, false])
    expect(wrong.closed).toBe(true)
    expect(lab.broker.counts().sessions).toBe(0)
  })

  test('[MQTT-3.1.2-1] another protocol name is closed without a CONNACK', () => {
    const wrong = new Lab().client(5).raw(v5({ name: 'mqtt' }))
    expect([wrong.closed, wrong.bytes.length]).toEqual([true, 0])
  })
})

const both = (make: (version: 4 | 5) => Buffer) => [make(4), make(5)] as const
const same = (bytes: Buffer) => [bytes, bytes] as const
const behind = (version: 4 | 5, first: number, ...parts: (number | Buffer)[]) =>
  packet(first, u16(1), version === 5 ? NO_PROPERTIES : Buffer.alloc(0), ...parts)

describe('a packet that closes the connection in both versions', () => {
  test.each<[string, readonly [Buffer, Buffer], number]>([
    ['[MQTT3-2.2.2-2] [MQTT-2.1.3-1] flags of PINGREQ', same(hex('c100')), 0x81],
    ['[MQTT3-2.2.2-2] [MQTT-2.1.3-1] flags of PUBACK', same(hex('41020001')), 0x81],
    ['[MQTT3-2.2.2-2] [MQTT-2.1.3-1] flags of PUBREC', same(hex('52020001')), 0x81],
    ['[MQTT3-2.2.2-2] [MQTT-2.1.3-1] flags of PUBCOMP', same(hex('72020001')), 0x81],
    ['[MQTT3-2.3.1-1] PUBLISH with id 0', both((v) => rawPublish(v, 'x', 'v', 0x32, 0)), 0x82],
    ['[MQTT3-2.3.1-1] SUBSCRIBE with id 0', both((v) => rawSubscribe(v, 'x', 0, 0x82, 0)), 0x82],
    ['[MQTT3-2.3.1-1] UNSUBSCRIBE with id 0', both((v) => rawUnsubscribe(v, 'x', 0xa2, 0)), 0x82],
    ['[MQTT3-3.3.1-4] [MQTT-3.3.1-4] PUBLISH with QoS 3', both((v) => rawPublish(v, 'x', 'v', 0x36)), 0x81],
    ['PUBLISH with DUP and QoS 0', both((v) => rawPublish(v, 'x', 'v', 0x38)), 0x81],
    ['[MQTT3-3.3.2-1] [MQTT-3.3.2-1] a topic of bad UTF-8', both((v) => rawPublish(v, BAD_UTF8)), 0x81],
    ['[MQTT3-1.5.3-1] [MQTT-1.5.4-1] a surrogate in a topic', both((v) => rawPublish(v, SURROGATE)), 0x81],
    ['[MQTT3-4.7.3-2] [MQTT-4.7.3-2] U+0000 in a topic', both((v) => rawPublish(v, NULL)), 0x81],
    ['[MQTT3-4.7.3-2] [MQTT-4.7.3-2] U+0000 in a filter', both((v) => rawSubscribe(v, NULL)), 0x81],
    ['[MQTT3-3.3.2-2] [MQTT3-4.7.1-1] [MQTT-3.3.2-2] + in a topic', both((v) => rawPublish(v, 'a/+')), 0x90],
    ['[MQTT3-3.3.2-2] [MQTT3-4.7.1-1] [MQTT-4.7.0-1] # in a topic', both((v) => rawPublish(v, '#')), 0x90],
    ['[MQTT3-3.6.1-1] [MQTT-3.6.1-1] PUBREL without its flag', same(hex('60020001')), 0x81],
    ['[MQTT3-3.6.1-1] [MQTT-3.6.1-1] PUBREL with another flag', same(hex('6a020001')), 0x81],
    ['[MQTT3-3.8.1-1] [MQTT-3.8.1-1] SUBSCRIBE flags', both((v) => rawSubscribe(v, 'x', 0, 0x80)), 0x81],
    ['[MQTT3-3.8.3-1] [MQTT-3.8.3-1] a filter of bad UTF-8', both((v) => rawSubscribe(v, BAD_UTF8)), 0x81],
    ['[MQTT3-3.8.3-3] [MQTT-3.8.3-2] SUBSCRIBE without a filter', both((v) => behind(v, 0x82)), 0x82],
    ['[MQTT3-3-8.3-4] SUBSCRIBE with QoS 3', both((v) => rawSubscribe(v, 'x', 3)), 0x82],
    ['[MQTT3-3-8.3-4] [MQTT-3.8.3-5] reserved option bits', both((v) => rawSubscribe(v, 'x', 0xc0)), 0x81],
    ['[MQTT3-3.10.1-1] [MQTT-3.10.1-1] UNSUBSCRIBE flags', both((v) => rawUnsubscribe(v, 'x', 0xa0)), 0x81],
    ['[MQTT3-3.10.3-1] [MQTT-3.10.3-1] UNSUBSCRIBE of bad UTF-8', both((v) => rawUnsubscribe(v, BAD_UTF8)), 0x81],
    ['[MQTT3-3.10.3-2] [MQTT-3.10.3-2] UNSUBSCRIBE without a filter', both((v) => behind(v, 0xa2)), 0x82],
    ['[MQTT3-3.14.1-1] [MQTT-3.14.1-1] DISCONNECT flags', same(hex('e100')), 0x81],
    ['a packet that only a server sends', same(hex('20020000')), 0x82],
    ['a packet of type 0', same(hex('0000')), 0x82],
    ['a remaining length of five bytes', same(hex('3080808080 01')), 0x81],
  ])('[MQTT3-4.8.0-1] [MQTT-4.13.1-1] [MQTT-4.13.2-1] %s', (_name, bytes, reason) => {
    for (const version of [4, 5] as const) {
      const lab = new Lab()
      const watcher = lab.subscribed('w')
      const other = lab.connected({ version })
      const wrong = lab.connected({ version, will: { topic: 'w', payload: 'gone' } })
      wrong.raw(bytes[version === 4 ? 0 : 1], 'c000')
      if (version === 5) expect(wrong.one('disconnect').reasonCode).toBe(reason)
      else expect(wrong.take()).toEqual([])
      expect(wrong.closed).toBe(true)
      // The violation ends that connection as a failure would.
      expect(watcher.got()).toEqual(['w=gone'])
      expect(other.raw('c000').one('pingresp').cmd).toBe('pingresp')
    }
  })
})

const publish5 = (props: Buffer) => packet(0x30, text('x'), props, Buffer.from('v'))

describe('a packet of MQTT 5 that closes the connection', () => {
  test.each<[string, Buffer, number]>([
    ['[MQTT-3.3.2-8] topic alias 0', publish5(properties(0x23, u16(0))), 0x94],
    ['[MQTT-3.3.2-13] a response topic of bad UTF-8', publish5(properties(0x08, text(BAD_UTF8))), 0x81],
    ['[MQTT-3.3.2-14] a wildcard in a response topic', publish5(properties(0x08, text('a/#'))), 0x82],
    ['[MQTT-3.3.2-19] a content type of bad UTF-8', publish5(properties(0x03, text(BAD_UTF8))), 0x81],
    ['[MQTT-3.3.4-6] a subscription identifier', publish5(properties(0x0b, 1)), 0x82],
    ['[MQTT-1.5.7-1] a user property of bad UTF-8', publish5(properties(0x26, text('a'), text(BAD_UTF8))), 0x81],
    ['payload format 2', publish5(properties(0x01, 2)), 0x82],
    ['a property twice', publish5(properties(0x01, 1, 0x01, 1)), 0x82],
    ['a property of another packet', publish5(properties(0x11, hex('00000001'))), 0x81],
    ['properties longer than the packet', packet(0x30, text('x'), 0x20, Buffer.from('v')), 0x81],
    ['[MQTT-3.4.2-1] PUBACK with a code that is not listed', packet(0x40, u16(1), 0x55), 0x82],
    ['[MQTT-3.5.2-1] PUBREC with a code that is not listed', packet(0x50, u16(1), 0x92), 0x82],
    ['[MQTT-3.6.2-1] PUBREL with a code that is not listed', packet(0x62, u16(1), 0x80), 0x82],
    ['[MQTT-3.7.2-1] PUBCOMP with a code that is not listed', packet(0x70, u16(1), 0x10), 0x82],
    ['[MQTT-3.14.2-1] DISCONNECT with a code that is not listed', packet(0xe0, 0x55), 0x82],
    ['[MQTT-3.15.1-1] AUTH flags', packet(0xf1, 0x18, properties(0x15, text('m'))), 0x81],
    ['[MQTT-3.15.2-1] AUTH with a code that is not listed', packet(0xf0, 0x55, properties(0x15, text('m'))), 0x82],
    ['[MQTT-3.8.3-4] no local on a shared subscription', rawSubscribe(5, '$share/g/x', 4), 0x82],
    ['retain handling 3', rawSubscribe(5, 'x', 0x30), 0x82],
    ['subscription identifier 0', packet(0x82, u16(1), properties(0x0b, 0), text('x'), 0), 0x82],
    ['[MQTT-1.5.5-1] a remaining length of a PUBACK with more bytes than it needs', hex('40 8200 0001'), 0x81],
    ['[MQTT-1.5.5-1] a remaining length with more bytes than it needs', hex('c0 80 00'), 0x81],
    [
      'a session expiry that a session without one gets at DISCONNECT',
      packet(0xe0, 0, properties(0x11, hex('00000009'))),
      0x82,
    ],
  ])('%s', (_name, bytes, reason) => {
    const lab = new Lab()
    const wrong = lab.connected().raw(bytes, 'c000')
    expect(wrong.one('disconnect').reasonCode).toBe(reason)
    expect(wrong.closed).toBe(true)
  })
})

test.each([4, 5] as const)(
  '[MQTT3-4.7.3-1] [MQTT-4.7.3-1] an empty topic closes, an empty filter is refused, version %i',
  (version) => {
    const lab = new Lab()
    expect(lab.connected({ version }).raw(rawPublish(version, '')).closed).toBe(true)
    const subscriber = lab.connected({ version }).raw(rawSubscribe(version, ''))
    expect(subscriber.one('suback').granted).toEqual([version === 5 ? 0x8f : 0x80])
  },
)

test('what comes behind a broken packet in the same read is not handled', () => {
  const lab = new Lab()
  const watcher = lab.subscribed('#')
  lab.connected({ version: 4 }).raw(join([rawPublish(4, 'before'), hex('c1 00'), rawPublish(4, 'behind')]))
  expect(watcher.got()).toEqual(['before=v'])
})
