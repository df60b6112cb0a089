// QoS 0, 1 and 2 in both directions, in both versions, byte by byte.

import { describe, expect, test } from 'vitest'
import { type Client, hex, Lab } from './lab.ts'
import { packet, properties, rawPublish, split, text, u16 } from './raw.ts'

const versions = [4, 5] as const
const lasting = { sessionExpiryInterval: 100 }

/** A subscriber whose session outlives its connection. */
const subscriber = (lab: Lab, version: 4 | 5, qos: number, more: object = {}) =>
  lab.subscribed('x', {
    id: 's',
    version,
    clean: false,
    qos,
    ...(version === 5 ? { properties: lasting } : {}),
    ...more,
  })
const back = (lab: Lab, version: 4 | 5) =>
  lab.client(version).connect({ id: 's', clean: false, ...(version === 5 ? { properties: lasting } : {}) })

/** The bytes received since the last call. */
function bytes(client: Client): string[] {
  const packets = split(client.bytes).map((each) => each.toString('hex'))
  client.bytes = Buffer.alloc(0)
  client.take()
  return packets
}

/** A PUBLISH to topic x with an id, as the broker writes it. */
const sent = (version: 4 | 5, first: number, id: number, payload: string) =>
  rawPublish(version, 'x', payload, first, id).toString('hex')
const reason = (version: 4 | 5, code: number) => (version === 5 && code !== 0 ? code.toString(16).padStart(2, '0') : '')

describe.each(versions)('a publisher of version %i', (version) => {
  test('[MQTT3-2.3.1-6] [MQTT-2.2.1-5] [MQTT-4.3.2-4] QoS 1 is answered with a PUBACK of the same id', () => {
    const lab = new Lab()
    lab.subscribed('x')
    const client = lab.connected({ version })
    bytes(client)
    client.raw(rawPublish(version, 'x', 'v', 0x32, 0xabcd))
    expect(bytes(client)).toEqual(['4002abcd'])
  })

  test('[MQTT3-4.3.2-2] [MQTT-4.3.2-5] after PUBACK the same id is another message, with DUP too', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('x')
    const client = lab.connected({ version })
    client.raw(rawPublish(version, 'x', '1', 0x32, 9)).raw(rawPublish(version, 'x', '2', 0x3a, 9))
    expect(watcher.got()).toEqual(['x=1', 'x=2'])
    expect(client.take().map(({ cmd, messageId }) => [cmd, messageId])).toEqual([
      ['puback', 9],
      ['puback', 9],
    ])
  })

  test('[MQTT3-4.3.3-2] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] QoS 2 is delivered once', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('x', { qos: 2 })
    const client = lab.connected({ version })
    bytes(client)
    client.raw(rawPublish(version, 'x', '1', 0x34, 7))
    expect(bytes(client)).toEqual(['50020007'])
    client.raw(rawPublish(version, 'x', '1', 0x3c, 7))
    expect(bytes(client)).toEqual(['50020007'])
    // Nothing is passed on before PUBREL.
    expect(watcher.got()).toEqual([])
    client.raw('62020007')
    expect(bytes(client)).toEqual(['70020007'])
    expect(watcher.got()).toEqual(['x=1'])
    // PUBREL again is answered again, and nothing is delivered again.
    client.raw('62020007')
    expect(bytes(client)).toEqual([version === 5 ? '7003000792' : '70020007'])
    expect(watcher.got()).toEqual([])
    client.raw(rawPublish(version, 'x', '2', 0x34, 7)).raw('62020007')
    expect(watcher.got()).toEqual(['x=2'])
  })

  test('[MQTT3-3.3.1-3] [MQTT-3.3.1-3] what it marks DUP is not passed on as DUP', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('x', { version, qos: 2 })
    bytes(watcher)
    const client = lab.connected({ version })
    client
      .raw(rawPublish(version, 'x', '1', 0x3a, 5))
      .raw(rawPublish(version, 'x', '2', 0x3c, 6))
      .raw('62020006')
    expect(bytes(watcher)).toEqual([sent(version, 0x32, 1, '1'), sent(version, 0x34, 2, '2')])
  })

  test('[MQTT3-4.5.0-1] [MQTT-4.5.0-1] what is taken on goes into every matching session, here or away', () => {
    const lab = new Lab()
    const away = subscriber(lab, version, 1)
    away.drop()
    const here = [lab.subscribed('x', { version, qos: 2 }), lab.subscribed('#', { version }), lab.subscribed('+')]
    lab.connected({ version }).publish('x', '1', { qos: 1 })
    expect(here.map((client) => client.got())).toEqual([['x=1'], ['x=1'], ['x=1']])
    expect(back(lab, version).got()).toEqual(['x=1'])
  })

  test('[MQTT3-4.6.0-5] [MQTT3-4.6.0-6] [MQTT-4.6.0-5] order per topic and QoS, from here, from the queue, and again', () => {
    const lab = new Lab()
    const client = subscriber(lab, version, 2)
    const publisher = lab.connected({ version })
    const all: string[] = []
    const publish = (qos: number, count: number) => {
      for (let index = 0; index < count; index++) {
        all.push(`x=${all.length}`)
        publisher.publish('x', `${all.length - 1}`, { qos, messageId: 1 })
        if (qos === 2) publisher.pubrel(1)
      }
    }
    publish(1, 5)
    expect(client.got()).toEqual(all)
    client.drop()
    publish(1, 5)
    const again = back(lab, version)
    publish(1, 3)
    expect(again.got()).toEqual(all)
  })
})

describe.each(versions)('a subscriber of version %i', (version) => {
  test('[MQTT3-2.3.1-5] [MQTT3-3.3.1-2] [MQTT3-4.3.1-1] [MQTT-2.2.1-2] [MQTT-2.2.2-1] [MQTT-3.3.1-2] [MQTT-4.3.1-1] QoS 0 has no id and no DUP', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { version })
    bytes(client)
    const publisher = lab.connected().publish('x', 'a').publish('x', 'b', { qos: 1, dup: true })
    publisher.publish('x', 'c', { qos: 2, messageId: 3 }).pubrel(3)
    const none = version === 5 ? '00' : ''
    expect(bytes(client)).toEqual(['61', '62', '63'].map((payload) => `300${version}000178${none}${payload}`))
  })

  test('[MQTT3-2.3.1-4] [MQTT3-4.3.2-1] [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] QoS 1: a free id, no DUP, kept until PUBACK', () => {
    const lab = new Lab()
    const client = subscriber(lab, version, 1)
    bytes(client)
    const publisher = lab.connected()
    for (const payload of ['a', 'b', 'c']) publisher.publish('x', payload, { qos: 1, messageId: 9 })
    expect(bytes(client)).toEqual(['a', 'b', 'c'].map((payload, at) => sent(version, 0x32, at + 1, payload)))
    // Acknowledging one leaves the ids of the others taken.
    client.puback(2)
    publisher.publish('x', 'd', { qos: 1 })
    expect(bytes(client)).toEqual([sent(version, 0x32, 4, 'd')])
    client.drop()
    const again = back(lab, version)
    expect(bytes(again).slice(1)).toEqual([
      sent(version, 0x3a, 1, 'a'),
      sent(version, 0x3a, 3, 'c'),
      sent(version, 0x3a, 4, 'd'),
    ])
    again.puback(1).puback(3).puback(4).drop()
    expect(back(lab, version).got()).toEqual([])
  })

  test('[MQTT3-4.3.3-1] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] QoS 2: PUBLISH until PUBREC, PUBREL until PUBCOMP', () => {
    const lab = new Lab()
    const client = subscriber(lab, version, 2)
    bytes(client)
    lab.connected().publish('x', 'a', { qos: 2 }).pubrel(1)
    expect(bytes(client)).toEqual([sent(version, 0x34, 1, 'a')])
    client.drop()
    const second = back(lab, version)
    expect(bytes(second).slice(1)).toEqual([sent(version, 0x3c, 1, 'a')])
    expect(bytes(second.pubrec(1))).toEqual(['62020001'])
    // PUBREC again: PUBREL again, never PUBLISH.
    expect(bytes(second.pubrec(1))).toEqual(['62020001'])
    second.drop()
    const third = back(lab, version)
    expect(bytes(third).slice(1)).toEqual(['62020001'])
    third.pubcomp(1).drop()
    expect(bytes(back(lab, version)).slice(1)).toEqual([])
  })

  test('[MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT-4.4.0-1] nothing is sent again while the connection lasts', () => {
    const lab = new Lab()
    const client = subscriber(lab, version, 2)
    const publisher = lab.connected()
    publisher.publish('x', 'a', { qos: 1 }).publish('x', 'b', { qos: 2 }).pubrel(1)
    client.pubrec(2)
    bytes(client)
    lab.advance(3_600_000)
    expect(bytes(client)).toEqual([])
    client.drop()
    expect(bytes(back(lab, version)).slice(1)).toEqual([sent(version, 0x3a, 1, 'a'), '62020002'])
  })

  test('a packet id is not given again while it is taken, all 65,535 of them gone round', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { version, qos: 1 })
    const publisher = lab.connected({ version: 4 })
    const one = rawPublish(4, 'x', 'v', 0x32, 1)
    publisher.raw(one)
    expect(client.one('publish').messageId).toBe(1)
    const some = Buffer.concat(Array(60).fill(one))
    for (let given = 1; given < 65_600; given += 60) {
      publisher.raw(some)
      const ids = client.take().map(({ messageId }) => messageId)
      expect(new Set([1, 0, ...ids]).size).toBe(62)
      client.raw(...ids.map((id) => packet(0x40, u16(id))))
      publisher.inbox = []
      publisher.bytes = client.bytes = Buffer.alloc(0)
    }
  })
})

describe('flow control of MQTT 5', () => {
  test('[MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3] [MQTT-3.3.4-10] at a quota of 0 no QoS above 0, but everything else', () => {
    const lab = new Lab()
    const client = lab.subscribed('#', { qos: 2, properties: { receiveMaximum: 2 } })
    const publisher = lab.connected()
    for (const payload of ['1', '2', '3']) publisher.publish('x', payload, { qos: 2 }).pubrel(1)
    expect(client.got()).toEqual(['x=1', 'x=2'])
    // QoS 0, PUBREL, PINGRESP, SUBACK, PUBACK are not held back.
    publisher.publish('x', 'zero')
    expect(client.got()).toEqual(['x=zero'])
    expect(client.pubrec(1).one('pubrel').messageId).toBe(1)
    expect(client.raw('c000').one('pingresp').cmd).toBe('pingresp')
    expect(client.subscribe('y').one('suback').granted).toEqual([0])
    expect(client.publish('$x', 'own', { qos: 1 }).one('puback').messageId).toBe(1)
    // The quota grows with PUBCOMP, and with a PUBREC that refuses.
    expect(client.pubcomp(1).got()).toEqual(['x=3'])
    publisher.publish('x', '4', { qos: 1 })
    expect(client.pubrec(2, 0x80).got()).toEqual(['x=4'])
  })

  test('[MQTT-4.3.3-9] after PUBREC with an error the id is new', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#', { qos: 2 })
    const client = lab.connected().publish('$SYS/x', 'no', { qos: 2, messageId: 4 })
    expect(client.one('pubrec').reasonCode).toBe(0x87)
    client.publish('x', 'yes', { qos: 2, messageId: 4 }).pubrel(4)
    expect(client.take().map(({ reasonCode }) => reasonCode)).toEqual([0, 0])
    expect(watcher.got()).toEqual(['x=yes'])
  })

  test('[MQTT-4.3.3-7] what was sent once does not expire', () => {
    const lab = new Lab()
    const client = subscriber(lab, 5, 2)
    lab
      .connected()
      .publish('x', 'a', { qos: 2, properties: { messageExpiryInterval: 5 } })
      .pubrel(1)
    expect(client.got()).toEqual(['x=a'])
    client.drop()
    lab.advance(60_000)
    const again = back(lab, 5)
    expect(again.got()).toEqual(['x=a'])
    expect(again.pubrec(1).one('pubrel').messageId).toBe(1)
  })

  test('[MQTT-4.3.3-13] [MQTT-3.3.2-5] an exchange is finished though its message has expired, and nobody gets it', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { qos: 2 })
    const publisher = lab.connected()
    publisher.publish('x', 'a', { qos: 2, retain: true, properties: { messageExpiryInterval: 5 } })
    expect(publisher.one('pubrec').reasonCode).toBe(0)
    lab.advance(5000)
    expect(publisher.pubrel(1).one('pubcomp').reasonCode).toBe(0)
    expect(client.got()).toEqual([])
    expect(lab.connected().subscribe('x').got()).toEqual([])
    expect(lab.meter.get('mqtt.dropped.expired')).toBe(1)
  })

  test('[MQTT-3.3.4-7] QoS 1 does not count once it is acknowledged, and a PUBREL makes room', () => {
    const lab = new Lab({ limits: { maxInflight: 2 } })
    const client = lab.connected()
    for (let id = 1; id < 10; id++) client.publish('x', 'v', { qos: 1, messageId: id })
    for (let id = 1; id < 10; id++) client.publish('x', 'v', { qos: 2, messageId: id }).pubrel(id)
    expect(client.closed).toBe(false)
  })

  test('[MQTT-3.3.2-12] [MQTT-3.3.2-11] every alias up to our maximum is taken, none above that of the client is sent', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#', { properties: { topicAliasMaximum: 3 } })
    const client = lab.connected()
    const { topicAliasMaximum } = client.connack.properties
    for (let alias = 1; alias <= topicAliasMaximum; alias++) {
      client.publish(`t/${alias}`, 'v', { properties: { topicAlias: alias } })
    }
    for (let alias = 1; alias <= topicAliasMaximum; alias++)
      client.publish('', 'v', { properties: { topicAlias: alias } })
    expect(client.closed).toBe(false)
    const aliases = watcher.take().map(({ properties }) => properties?.topicAlias ?? 0)
    expect(aliases.length).toBe(2 * topicAliasMaximum)
    expect(Math.max(...aliases)).toBe(3)
  })
})

test('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20] each property passes unaltered, at once and later', () => {
  const each: [number, Buffer][] = [
    [0x01, Buffer.from([1])],
    [0x03, text('text/plain; \u{1f600}')],
    [0x08, text('answer/to\ufeff')],
    [0x09, text(hex('00ff00'))],
    [0x26, Buffer.concat([text('k'), text('\u00e9')])],
  ]
  for (const [id, value] of each) {
    const lab = new Lab()
    const here = lab.subscribed('x', { qos: 1 })
    const away = subscriber(lab, 5, 1)
    away.drop()
    here.bytes = Buffer.alloc(0)
    const props = properties(id, value)
    lab.connected().raw(packet(0x33, text('x'), u16(1), props, Buffer.from('p')))
    const expected = packet(0x32, text('x'), u16(1), props, Buffer.from('p')).toString('hex')
    expect(bytes(here)).toEqual([expected])
    expect(bytes(back(lab, 5)).slice(1)).toEqual([expected])
    const late = lab.connected()
    late.bytes = Buffer.alloc(0)
    late.subscribe('x', { qos: 1 })
    // From the store it has RETAIN set.
    expect(bytes(late).slice(1)).toEqual([expected.replace(/^32/, '33')])
  }
})

test('[MQTT-3.4.2-1] the codes of acknowledgements we send are listed ones', () => {
  const lab = new Lab()
  const client = lab.connected()
  bytes(client)
  client.publish('$SYS/x', 'v', { qos: 1 }).publish('x', 'v', { qos: 1 }).publish('$SYS/x', 'v', { qos: 2 }).pubrel(1)
  expect(bytes(client)).toEqual([
    `40030001${reason(5, 0x87)}`,
    `40030001${reason(5, 0x10)}`,
    `50030001${reason(5, 0x87)}`,
    `70030001${reason(5, 0x92)}`,
  ])
})
