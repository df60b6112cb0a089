// What the broker answers: never more than the client takes, only listed codes, nothing that was not asked for.

import { describe, expect, test } from 'vitest'
import { type Client, hex, Lab } from './lab.ts'
import { packet, properties, rawConnect, split, text, u16 } from './raw.ts'

const sized = (bytes: number, ...more: (number | Buffer)[]) =>
  properties(0x27, hex(bytes.toString(16).padStart(8, '0')), ...more)

/** Everything that makes the broker answer, then something that makes it close. */
function provoke(client: Client, ending: string): void {
  client.subscribe(['a', 'b#', '$share//c', 'd'], { qos: 2 }).subscribe('#', { qos: 1 }, { subscriptionIdentifier: 7 })
  client.publish('$SYS/x', 'no', { qos: 1 }).publish('x', 'v'.repeat(20), { qos: 1 })
  client.publish('$SYS/x', 'no', { qos: 2 }).publish('y', 'v'.repeat(30), { qos: 2, messageId: 2 })
  client.pubrel(2).pubrel(99).pubrec(77).unsubscribe('a', 'z').raw('c000').raw(ending)
}

const ACK = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const RELEASE = [0x00, 0x92]
const SUBACK = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
const UNSUBACK = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]
const DISCONNECT = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
  0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
]

/** Each way to be closed, and its code. */
const endings: readonly (readonly [string, number])[] = [
  ['c100', 0x81],
  ['f000', 0x82],
  ['3004 0001 2b 00', 0x90],
  ['3007 0001 78 03 230041', 0x94],
  ['30ffffff7f', 0x95],
]

describe('the Maximum Packet Size of the client', () => {
  test('[MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.14.2-3] [MQTT-3.14.2-4] nothing we send is larger, at any size', () => {
    for (let size = 1; size <= 80; size++) {
      for (const [ending] of endings) {
        const lab = new Lab()
        lab.connected().publish('r', 'kept', { retain: true })
        const client = lab.client().raw(rawConnect({ version: 5, properties: sized(size, 0x22, u16(2)) }))
        provoke(client, ending)
        expect(client.closed).toBe(true)
        const packets = split(client.bytes)
        expect([size, packets.filter((bytes) => bytes.length > size)]).toEqual([size, []])
        // [MQTT-3.14.0-1] No DISCONNECT without a CONNACK that accepts.
        if (packets.length > 0) expect(packets[0]![0]).toBe(0x20)
        if (packets[0]?.[3] !== 0) expect(packets.length).toBeLessThanOrEqual(1)
      }
    }
  })

  test('[MQTT-3.2.2-19] the reason string of a refusal is left out where it is too long', () => {
    const refused = (size: number) => {
      const more = [0x15, text('m')]
      const client = new Lab().client().raw(rawConnect({ version: 5, properties: sized(size, ...more) }))
      expect(client.closed).toBe(true)
      return split(client.bytes).map((bytes) => bytes.subarray(0, 5).toString('hex'))
    }
    expect(refused(1000)[0]).toMatch(/^20..008c[^0]/)
    expect(refused(5)).toEqual(['2003008c00'])
    expect(refused(4)).toEqual([])
  })

  test('a client that could not take its CONNACK is refused, and takes nobody over', () => {
    const lab = new Lab()
    const older = lab.connected({ id: 'c' })
    const client = lab.client().raw(rawConnect({ version: 5, properties: sized(12) }))
    expect(client.bytes).toEqual(hex('20 03 00 95 00'))
    expect([client.closed, older.closed, lab.broker.counts().sessions]).toEqual([true, false, 1])
  })

  test('an answer that cannot be left out and does not fit closes the connection with 0x95', () => {
    const lab = new Lab()
    const client = lab.connected({ properties: { maximumPacketSize: 30 } })
    client.subscribe(Array.from({ length: 40 }, (_, index) => `t/${index}`))
    expect(client.one('disconnect').reasonCode).toBe(0x95)
  })
})

describe('[MQTT-3.1.2-29] Request Problem Information', () => {
  test.each([0, 1])(
    '[MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] asked for or not (%i): no answer but CONNACK and DISCONNECT has a reason string or user property',
    (asked) => {
      for (const [ending] of endings) {
        const client = new Lab().client().raw(rawConnect({ version: 5, properties: properties(0x17, asked) }))
        provoke(client, ending)
        client.pubrec(2)
        const seen = new Set<number>()
        for (const bytes of split(client.bytes)) {
          const type = bytes[0]! >> 4
          seen.add(type)
          // Acknowledgements end with their code; SUBACK and UNSUBACK say that they have no properties.
          if (type >= 4 && type <= 7) expect(bytes.length).toBeLessThanOrEqual(5)
          if (type === 9 || type === 11) expect(bytes[4]).toBe(0)
        }
        for (const type of [4, 5, 6, 7, 9, 11, 14]) expect(seen).toContain(type)
      }
    },
  )
})

test('[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.14.2-2] only listed codes, no session expiry in a DISCONNECT', () => {
  for (const [ending, code] of endings) {
    const client = new Lab().client().raw(rawConnect({ version: 5, properties: properties(0x11, hex('00000020')) }))
    provoke(client, ending)
    const packets = split(client.bytes)
    for (const bytes of packets) {
      const type = bytes[0]! >> 4
      if (type === 4 || type === 5) expect(ACK).toContain(bytes[4] ?? 0)
      if (type === 6 || type === 7) expect(RELEASE).toContain(bytes[4] ?? 0)
      if (type === 9) for (const granted of bytes.subarray(5)) expect(SUBACK).toContain(granted)
      if (type === 11) for (const said of bytes.subarray(5)) expect(UNSUBACK).toContain(said)
    }
    const last = packets.at(-1)!
    expect([last[0], last[2]]).toEqual([0xe0, code])
    expect(DISCONNECT).toContain(code)
    // Its one property is the reason string.
    expect([last[4], last.length]).toEqual([0x1f, 7 + last.readUInt16BE(5)])
  }
})

test.each([4, 5] as const)(
  '[MQTT3-4.8.0-2] no room for what it begins, version %i: that connection is closed',
  (version) => {
    const lab = new Lab({ sessions: { queue: { maxBytes: 1000 } } })
    const other = lab.connected({ version })
    const client = lab.connected({ version })
    for (let id = 1; id < 8; id++) client.publish('x', 'v'.repeat(300), { qos: 2, messageId: id })
    expect([client.closed, other.raw('c000').take().length]).toEqual([true, 1])
    if (version === 5) expect(client.take().at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x97 })
  },
)

test('what no packet of the broker may carry: AUTH and properties are never sent to 3.1.1', () => {
  const lab = new Lab()
  const client = lab.connected({ version: 4 })
  provoke(client, 'c100')
  const types = new Set(split(client.bytes).map((bytes) => bytes[0]! >> 4))
  expect([...types].sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 9, 11, 13])
  expect(split(client.bytes).find((bytes) => bytes[0]! >> 4 === 9)).toEqual(packet(0x90, u16(1), 2, 0x80, 0x80, 2))
})
