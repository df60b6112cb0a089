import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Mount } from '../../../../src/wire/mqtt/mount.ts'

type Version = 4 | 5
const bytes = (packet: object, version: Version) => mqttPacket.generate(packet as Packet, { protocolVersion: version })

// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever fields a packet has
function read(packet: Buffer, version: Version): any {
  const parser = mqttPacket.parser({ protocolVersion: version })
  let found: Packet | null = null
  parser.on('packet', (one) => {
    found = one
  })
  parser.parse(packet)
  return found
}

const connect = (version: Version, more: object = {}) =>
  bytes({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true, clientId: 'c', ...more }, version)

function mounted(version: Version): Mount {
  const mount = new Mount('site-1/')
  mount.inward(connect(version))
  return mount
}

const topic = fc.string({ unit: fc.constantFrom('a', '/', 'ä', '€', ' '), minLength: 1, maxLength: 40 })
const filters = fc.array(
  fc.constantFrom(
    ['a/#', 'site-1/a/#'],
    ['#', 'site-1/#'],
    ['$share/g/+/b', '$share/g/site-1/+/b'],
    ['$SYS/#', 'site-1/$SYS/#'],
  ),
  { minLength: 1, maxLength: 5 },
)

describe.each([4, 5] as const)('version %i', (version) => {
  const properties = {
    responseTopic: 'answer/here',
    userProperties: { a: '1' },
    contentType: 'x',
    correlationData: Buffer.from('c'),
    messageExpiryInterval: 7,
    payloadFormatIndicator: false,
  }
  const with5 = version === 5 ? { properties } : {}

  test('a PUBLISH comes back as it went', () => {
    fc.assert(
      fc.property(topic, fc.constantFrom(0, 1, 2), fc.uint8Array({ maxLength: 300 }), (name, qos, payload) => {
        const mount = mounted(version)
        const packet = { cmd: 'publish', topic: name, qos, payload: Buffer.from(payload), messageId: 9, ...with5 }
        const sent = bytes({ ...packet, retain: true, dup: false }, version)
        const inside = mount.inward(sent)!
        const seen = read(inside, version)
        expect([seen.topic, seen.qos, seen.retain]).toEqual([`site-1/${name}`, qos, true])
        expect(seen.payload.equals(Buffer.from(payload))).toBe(true)
        if (version === 5) {
          expect(seen.properties).toMatchObject({ ...properties, responseTopic: 'site-1/answer/here' })
        }
        expect(mount.outward(inside)).toEqual(sent)
      }),
    )
  })

  test('filters go below the prefix, those of shares behind their group', () => {
    fc.assert(
      fc.property(filters, (pairs) => {
        const mount = mounted(version)
        const subscriptions = pairs.map(([filter]) => ({ topic: filter, qos: 1, nl: false, rap: true, rh: 1 }))
        const seen = read(mount.inward(bytes({ cmd: 'subscribe', messageId: 5, subscriptions }, version))!, version)
        expect(seen.subscriptions.map((each: { topic: string }) => each.topic)).toEqual(
          pairs.map(([, inside]) => inside),
        )
        expect(seen.subscriptions[0]).toMatchObject(version === 5 ? { qos: 1, rap: true, rh: 1 } : { qos: 1 })
        const unsubscribe = { cmd: 'unsubscribe', messageId: 6, unsubscriptions: pairs.map(([filter]) => filter) }
        const gone = read(mount.inward(bytes(unsubscribe, version))!, version)
        expect(gone.unsubscriptions).toEqual(pairs.map(([, inside]) => inside))
      }),
    )
  })

  test('a will goes below the prefix, with its response topic', () => {
    const will = { topic: 'gone', payload: Buffer.from('x'), qos: 1, retain: true }
    const more =
      version === 5 ? { will: { ...will, properties: { responseTopic: 'r', willDelayInterval: 3 } } } : { will }
    const seen = read(
      new Mount('site-1/').inward(connect(version, { ...more, username: 'u', password: 'p' }))!,
      version,
    )
    expect(seen.will).toMatchObject({ topic: 'site-1/gone', qos: 1, retain: true })
    expect([seen.clientId, seen.username]).toEqual(['c', 'u'])
    if (version === 5) expect(seen.will.properties).toEqual({ responseTopic: 'site-1/r', willDelayInterval: 3 })
  })

  test('everything else stays as it is', () => {
    const mount = mounted(version)
    for (const packet of ['c000', 'd000', '40020001', '50020001', '62020001', '70020001', 'e000']) {
      const plain = Buffer.from(packet, 'hex')
      expect([mount.inward(plain), mount.outward(plain)]).toEqual([plain, plain])
    }
  })

  test('what makes no sense is nothing, however it was cut or changed', () => {
    const packets = [
      bytes({ cmd: 'publish', topic: 'a/b', qos: 1, payload: 'x', messageId: 1, ...with5 }, version),
      bytes({ cmd: 'subscribe', messageId: 5, subscriptions: [{ topic: 'a', qos: 0 }] }, version),
      connect(version, { will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false } }),
    ]
    fc.assert(
      fc.property(fc.constantFrom(...packets), fc.nat(), fc.nat(255), fc.nat(), (packet, at, byte, cut) => {
        const bad = Buffer.from(packet)
        bad[2 + (at % (bad.length - 2))] = byte
        const mount = mounted(version)
        const moved = mount.inward(bad.subarray(0, 2 + (cut % (bad.length - 1))))
        // Whatever still is a PUBLISH went below the prefix, or stands for an alias.
        if (moved !== null && moved[0]! >> 4 === 3) {
          const length = moved.readUInt16BE(2)
          const name = moved.toString('utf8', 4, 4 + length)
          expect(name === '' || name.startsWith('site-1/')).toBe(true)
        }
      }),
    )
  })
})

test('an alias without a topic stays one', () => {
  const mount = mounted(5)
  const packet = bytes({ cmd: 'publish', topic: '', qos: 0, payload: 'x', properties: { topicAlias: 3 } }, 5)
  expect(mount.inward(packet)).toEqual(packet)
})

test('a topic that would be too long is nothing', () => {
  const long = bytes({ cmd: 'publish', topic: 'a'.repeat(65_530), qos: 0, payload: 'x' }, 4)
  expect(mounted(4).inward(long)).toBeNull()
  expect(
    mounted(4).inward(bytes({ cmd: 'publish', topic: 'a'.repeat(65_528), qos: 0, payload: 'x' }, 4)),
  ).not.toBeNull()
})
