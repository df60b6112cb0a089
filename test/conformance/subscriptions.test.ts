// SUBSCRIBE, UNSUBSCRIBE and retained messages, as both versions have them.

import { describe, expect, test } from 'vitest'
import { hex, Lab } from './lab.ts'
import { NO_PROPERTIES, packet, rawPublish, rawUnsubscribe, split, text, u16 } from './raw.ts'

const versions = [4, 5] as const

const subscribeTo = (version: 4 | 5, id: number, ...filters: (readonly [string, number])[]) =>
  packet(
    0x82,
    u16(id),
    version === 5 ? NO_PROPERTIES : Buffer.alloc(0),
    ...filters.flatMap(([filter, options]) => [text(filter), options]),
  )

describe.each(versions)('version %i', (version) => {
  const none = version === 5 ? '00' : ''

  test('[MQTT3-2.3.1-7] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2] [MQTT-2.2.1-6] [MQTT-3.8.4-5] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] one SUBACK, its id, a code for each filter in order', () => {
    const client = new Lab().connected({ version })
    client.bytes = Buffer.alloc(0)
    client.raw(subscribeTo(version, 0xabcd, ['a', 2], ['b#', 1], ['c', 0], ['a', 1]))
    const failure = version === 5 ? '8f' : '80'
    expect(split(client.bytes)).toEqual([packet(0x90, hex(`abcd ${none} 02 ${failure} 00 01`))])
    // As a sequence of SUBSCRIBEs: the later one to the same filter holds.
    client.inbox = []
    client.publish('a', 'v', { qos: 2, messageId: 9 }).pubrel(9)
    expect(client.take().find(({ cmd }) => cmd === 'publish').qos).toBe(1)
  })

  test('[MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-3.10.4-6] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-2] one UNSUBACK, its id, also for nothing', () => {
    const client = new Lab().subscribed(['a', 'b'], { version })
    client.bytes = Buffer.alloc(0)
    const filters = ['a', 'none', 'a', 'b'].map((filter) => text(filter))
    client.raw(packet(0xa2, u16(0x1234), version === 5 ? NO_PROPERTIES : Buffer.alloc(0), ...filters))
    expect(client.bytes).toEqual(packet(0xb0, hex(version === 5 ? '1234 00 00 11 11 00' : '1234')))
    client.bytes = Buffer.alloc(0)
    client.raw(rawUnsubscribe(version, 'none', 0xa2, 5))
    expect(client.bytes).toEqual(packet(0xb0, hex(version === 5 ? '0005 00 11' : '0005')))
  })

  test('[MQTT3-3.10.4-2] [MQTT3-3.10.4-3] [MQTT-3.10.4-2] [MQTT-3.10.4-3] UNSUBSCRIBE: no new messages, those begun are finished', () => {
    const lab = new Lab()
    const client = lab.connected({
      version,
      id: 's',
      clean: false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
    })
    client.subscribe('x', { qos: 2 })
    const publisher = lab.connected().publish('x', '1', { qos: 1 }).publish('x', '2', { qos: 2 }).pubrel(1)
    client.unsubscribe('x').take()
    publisher.publish('x', '3', { qos: 1 })
    expect(client.take()).toEqual([])
    client.drop()
    const back = lab.client(version).connect({ id: 's', clean: false })
    expect(back.got()).toEqual(['x=1', 'x=2'])
    expect(back.puback(1).pubrec(2).one('pubrel').messageId).toBe(2)
  })

  test('[MQTT3-3.8.4-3] [MQTT-3.8.4-3] [MQTT-3.8.4-4] the same filter again: replaced, retained sent again, no live message lost', () => {
    const lab = new Lab()
    const publisher = lab.connected({ version: 4 }).publish('x', 'kept', { retain: true })
    const client = lab.connected({ version }).raw(subscribeTo(version, 1, ['x', 1]))
    expect(client.got()).toEqual(['x=kept'])
    publisher.raw(rawPublish(4, 'x', '1', 0x32))
    client.raw(subscribeTo(version, 2, ['x', 0]))
    publisher.raw(rawPublish(4, 'x', '2', 0x32))
    expect(client.take().map(({ cmd, payload, qos }) => [cmd, payload ?? '', qos])).toEqual([
      ['publish', '1', 1],
      ['suback', '', 0],
      ['publish', 'kept', 0],
      ['publish', '2', 0],
    ])
    expect(lab.broker.counts().subscriptions).toBe(2 - 1)
  })

  test('[MQTT3-3.8.4-6] [MQTT3-3.3.5-1] [MQTT-3.3.4-2] the lower of published and granted, the highest of those that overlap', () => {
    const lab = new Lab()
    const client = lab.subscribed('a/b', { version, qos: 0 })
    client.subscribe('a/+', { qos: 1 }).take()
    const publisher = lab.connected()
    const qosOf = (topic: string, qos: number) => {
      publisher.publish(topic, 'v', { qos, messageId: 1 })
      if (qos === 2) publisher.pubrel(1)
      return client.take().map((each) => each.qos)
    }
    expect([0, 1, 2].map((qos) => qosOf('a/b', qos))).toEqual([[0], [1], [1]])
    expect([0, 1, 2].map((qos) => qosOf('a/c', qos))).toEqual([[0], [1], [1]])
  })

  test('[MQTT3-3.3.4-1] [MQTT-3.3.4-1] answers by QoS', () => {
    const client = new Lab().connected({ version })
    const types = (qos: number) => {
      client.bytes = Buffer.alloc(0)
      client.publish('x', 'v', { qos, messageId: 1 })
      return split(client.bytes).map((bytes) => bytes[0])
    }
    expect([0, 1, 2].map(types)).toEqual([[], [0x40], [0x50]])
  })

  test('[MQTT3-3.3.1-5] [MQTT3-3.3.1-8] [MQTT-3.3.1-5] the message is kept with its QoS, and has RETAIN set for later subscribers', () => {
    const lab = new Lab()
    const publisher = lab.connected({ version })
    for (const qos of [0, 1, 2]) publisher.publish(`t/${qos}`, 'v', { qos, retain: true, messageId: 1 })
    publisher.pubrel(1).disconnect()
    const later = lab.connected({ version }).subscribe('t/+', { qos: 2 }).take()
    expect(
      later
        .slice(1)
        .map(({ topic, qos, retain, dup }) => [topic, qos, retain, dup])
        .sort(),
    ).toEqual([
      ['t/0', 0, true, false],
      ['t/1', 1, true, false],
      ['t/2', 2, true, false],
    ])
  })

  test('[MQTT3-3.3.1-7] a QoS 0 message replaces the one that was kept', () => {
    const lab = new Lab()
    lab.connected({ version }).publish('x', 'one', { qos: 1, retain: true }).publish('x', 'two', { retain: true })
    expect(lab.connected({ version }).subscribe('x', { qos: 1 }).take()[1]).toMatchObject({ payload: 'two', qos: 0 })
  })

  test('[MQTT3-3.3.1-9] [MQTT3-3.3.1-12] [MQTT-3.3.1-8] live messages have RETAIN 0; without RETAIN the store is left untouched', () => {
    const lab = new Lab()
    const live = lab.subscribed('x', { version })
    const publisher = lab.connected({ version }).publish('x', 'kept', { retain: true })
    publisher.publish('x', 'passing').publish('x', '')
    expect(live.take().map(({ payload, retain }) => [payload, retain])).toEqual([
      ['kept', false],
      ['passing', false],
      ['', false],
    ])
    expect(lab.connected({ version }).subscribe('x').got()).toEqual(['x=kept'])
  })

  test('[MQTT3-3.3.1-10] [MQTT3-3.3.1-11] [MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload is delivered, removes, and is not kept', () => {
    const lab = new Lab()
    const live = lab.subscribed('x', { version })
    const publisher = lab.connected({ version }).publish('x', 'kept', { retain: true })
    publisher.publish('x', '', { retain: true, qos: 1 })
    expect(live.take().map(({ payload, retain }) => [payload, retain])).toEqual([
      ['kept', false],
      ['', false],
    ])
    expect(
      lab
        .connected({ version })
        .subscribe('x')
        .take()
        .map(({ cmd }) => cmd),
    ).toEqual(['suback'])
  })

  test('[MQTT3-2.2.2-1] the flags of everything we send have their listed values', () => {
    const lab = new Lab()
    lab.connected().publish('r', 'kept', { retain: true, qos: 1 })
    const client = lab.client(version).connect({ keepalive: 1 })
    client.subscribe('#', { qos: 2 }).raw('c000')
    client.publish('x', '0').publish('x', '1', { qos: 1, messageId: 1 }).publish('x', '2', { qos: 2, messageId: 2 })
    client.pubrel(2).pubrec(3).unsubscribe('#')
    lab.advance(10_000)
    const flags = new Map<number, Set<number>>()
    for (const bytes of split(client.bytes)) {
      const type = bytes[0]! >> 4
      if (!flags.has(type)) flags.set(type, new Set())
      flags.get(type)!.add(bytes[0]! & 0x0f)
    }
    const types = [2, 3, 4, 5, 6, 7, 9, 11, 13]
    expect([...flags.keys()].sort((a, b) => a - b)).toEqual(version === 5 ? [...types, 14] : types)
    for (const [type, seen] of flags) {
      if (type === 3) expect([...seen].sort((a, b) => a - b)).toEqual([0, 2, 3, 4])
      else expect([type, ...seen]).toEqual([type, type === 6 ? 2 : 0])
    }
  })
})

test('[MQTT-3.3.4-5] retained messages come as many copies as subscriptions match, each with its own identifier', () => {
  const lab = new Lab()
  lab.connected().publish('a/b', 'kept', { retain: true })
  const client = lab.connected()
  client.subscribe('a/b', { qos: 0 }, { subscriptionIdentifier: 3 })
  client.subscribe('a/+', { qos: 0, messageId: 2 }, { subscriptionIdentifier: 4 })
  client.subscribe('#', { qos: 0, messageId: 3 })
  const ids = client
    .take()
    .filter(({ cmd }) => cmd === 'publish')
    .map(({ properties }) => properties?.subscriptionIdentifier)
  expect(ids).toEqual([3, 4, undefined])
})
