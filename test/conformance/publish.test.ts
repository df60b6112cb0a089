import { describe, expect, test } from 'vitest'
import { NoPeers } from '../../src/broker/ports.ts'
import { bytesOf, hex, Lab } from './lab.ts'

describe('PUBLISH from a client', () => {
  test.each([4, 5] as const)('[MQTT-3.3.4-1] each QoS has its answer, version %i', (version) => {
    const lab = new Lab()
    lab.subscribed('x', { version })
    const client = lab.connected({ version })
    client.publish('x', 'a', { qos: 0 })
    expect(client.take()).toEqual([])
    expect(client.publish('x', 'a', { qos: 1, messageId: 7 }).one('puback').messageId).toBe(7)
    expect(client.publish('x', 'a', { qos: 2, messageId: 8 }).one('pubrec').messageId).toBe(8)
    expect(client.pubrel(8).one('pubcomp').messageId).toBe(8)
  })

  test('[MQTT-3.4.2-1] 0x10 says that nobody subscribes', () => {
    const lab = new Lab()
    const client = lab.connected()
    expect(client.publish('x', 'a', { qos: 1 }).one('puback').reasonCode).toBe(0x10)
    expect(client.publish('x', 'a', { qos: 2 }).one('pubrec').reasonCode).toBe(0x10)
    expect(client.pubrel(1).one('pubcomp').reasonCode).toBe(0)
    const old = lab.connected({ version: 4 })
    old.bytes = Buffer.alloc(0)
    old.publish('x', 'a', { qos: 1 })
    expect(old.bytes).toEqual(hex('40020001'))
    lab.subscribed('x')
    expect(client.publish('x', 'a', { qos: 1 }).one('puback').reasonCode).toBe(0)
  })

  test('QoS 2 goes to subscribers at PUBREL', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x')
    const client = lab.connected().publish('x', 'a', { qos: 2, messageId: 3 })
    expect(subscriber.got()).toEqual([])
    client.pubrel(3)
    expect(subscriber.got()).toEqual(['x=a'])
  })

  test('[MQTT-4.3.3-10] a repeated QoS 2 PUBLISH is answered again and delivered once', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x')
    const client = lab.connected().publish('x', 'a', { qos: 2, messageId: 3 })
    client.publish('x', 'a', { qos: 2, messageId: 3, dup: true }).pubrel(3)
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['pubrec', 'pubrec', 'pubcomp'])
    expect(subscriber.got()).toEqual(['x=a'])
    // [MQTT-4.3.3-12]
    client.publish('x', 'b', { qos: 2, messageId: 3 }).pubrel(3)
    expect(subscriber.got()).toEqual(['x=b'])
  })

  test('[MQTT-3.7.2-1] PUBREL for nothing is answered with 0x92', () => {
    expect(new Lab().connected().pubrel(9).one('pubcomp').reasonCode).toBe(0x92)
    const old = new Lab().connected({ version: 4 }).pubrel(9)
    expect(old.bytes.subarray(-4)).toEqual(hex('70020009'))
  })

  test('QoS 2 begun on one connection is finished on the next', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x')
    const properties = { sessionExpiryInterval: 60 }
    lab.connected({ id: 'p', properties }).publish('x', 'a', { qos: 2, messageId: 3 }).drop()
    const again = lab.connected({ id: 'p', clean: false, properties })
    again.publish('x', 'a', { qos: 2, messageId: 3, dup: true }).pubrel(3)
    expect(again.take().map(({ cmd }) => cmd)).toEqual(['pubrec', 'pubcomp'])
    expect(subscriber.got()).toEqual(['x=a'])
  })

  test('[MQTT-3.3.4-7] more than our Receive Maximum begun gets 0x93', () => {
    const lab = new Lab({ limits: { maxInflight: 2 } })
    const client = lab.connected()
    client.publish('x', 'a', { qos: 2, messageId: 1 }).publish('x', 'a', { qos: 2, messageId: 2 })
    client.publish('x', 'a', { qos: 2, messageId: 2, dup: true })
    expect(client.closed).toBe(false)
    client.take()
    client.publish('x', 'a', { qos: 2, messageId: 3 })
    expect(client.one('disconnect').reasonCode).toBe(0x93)
  })

  test.each([
    ['[MQTT-3.3.1-4] QoS 3', '36 06 0001 78 0001 00', 0x81],
    ['[MQTT-3.3.1-2] DUP with QoS 0', '38 04 0001 78 00', 0x81],
    ['packet id 0', '32 06 0001 78 0000 00', 0x82],
    ['[MQTT-3.3.2-2] a wildcard in the topic', '30 04 0001 2b 00', 0x90],
    ['[MQTT-1.5.4-1] bad UTF-8 in the topic', '30 04 0001 ff 00', 0x81],
    ['[MQTT-3.3.2-8] topic alias 0', '30 07 0001 78 03 230000', 0x94],
    ['[MQTT-3.3.2-12] a topic alias over our maximum', '30 07 0001 78 03 230041', 0x94],
    ['no topic and no alias', '30 03 0000 00', 0x82],
    ['an alias that stands for nothing', '30 06 0000 03 230001', 0x82],
    ['[MQTT-3.3.4-6] a subscription identifier', '30 06 0001 78 02 0b01', 0x82],
  ])('%s closes the connection', (_name, bytes, reason) => {
    const client = new Lab().connected().raw(bytes)
    expect(client.one('disconnect').reasonCode).toBe(reason)
    expect(client.closed).toBe(true)
  })

  test('a topic with too many levels closes the connection', () => {
    const lab = new Lab({ limits: { maxTopicLevels: 3 } })
    lab.subscribed('#')
    const client = lab.connected().publish('a/b/c', 'ok')
    expect(client.closed).toBe(false)
    expect(client.publish('a/b/c/d', 'x').one('disconnect').reasonCode).toBe(0x90)
  })

  test('a packet over the maximum size is refused from its header, and others go on', () => {
    const lab = new Lab({ limits: { maxPacketSize: 100 } })
    const subscriber = lab.subscribed('x')
    const client = lab.connected()
    client.publish('x', 'a'.repeat(90))
    expect(subscriber.got()).toHaveLength(1)
    expect(client.raw('30ff01').one('disconnect').reasonCode).toBe(0x95)
  })

  test('[MQTT3-3.3.5-2] clients cannot write $SYS: 0x87 in MQTT 5, acknowledged in 3.1.1', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('$SYS/a')
    const modern = lab.connected()
    expect(modern.publish('$SYS/a', 'x', { qos: 1 }).one('puback').reasonCode).toBe(0x87)
    expect(modern.publish('$SYS/a', 'x', { qos: 2 }).one('pubrec').reasonCode).toBe(0x87)
    const old = lab.connected({ version: 4 })
    expect(old.publish('$SYS/a', 'x', { qos: 1 }).one('puback').messageId).toBe(1)
    expect(old.publish('$SYS/a', 'x', { qos: 2 }).one('pubrec').messageId).toBe(1)
    expect(old.pubrel(1).one('pubcomp').messageId).toBe(1)
    old.publish('$SYS/a', 'x')
    expect(subscriber.got()).toEqual([])
    expect(lab.broker.counts().dropped).toBe(5)
  })

  test('[MQTT-3.3.2-7] topic aliases stand for topics until the connection ends', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('#')
    const client = lab.connected()
    client.publish('x', '1', { properties: { topicAlias: 1 } })
    client.publish('y', '2', { properties: { topicAlias: 2 } })
    client.publish('', '3', { properties: { topicAlias: 1 } })
    client.publish('x', '4')
    client.publish('', '5', { properties: { topicAlias: 2 } })
    client.publish('z', '6', { properties: { topicAlias: 1 } })
    client.publish('', '7', { properties: { topicAlias: 1 } })
    expect(subscriber.got()).toEqual(['x=1', 'y=2', 'x=3', 'x=4', 'y=5', 'z=6', 'z=7'])
    expect(subscriber.inbox).toEqual([])
  })

  test('an alias used for a topic that gains a subscriber reaches it', () => {
    const lab = new Lab()
    const client = lab.connected().publish('x', '1', { properties: { topicAlias: 1 } })
    const exact = lab.subscribed('x')
    const wild = lab.subscribed('+')
    client.publish('', '2', { properties: { topicAlias: 1 } })
    expect([exact.got(), wild.got()]).toEqual([['x=2'], ['x=2']])
  })

  test('an alias-only packet between two of one topic leaves right what may be published', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed(['x', '$SYS/x'])
    const client = lab.connected()
    client.publish('$SYS/x', '1', { properties: { topicAlias: 1 } })
    client.send(
      { cmd: 'publish', topic: 'x', payload: '2', qos: 0 },
      { cmd: 'publish', topic: '', payload: '3', qos: 0, properties: { topicAlias: 1 } },
      { cmd: 'publish', topic: 'x', payload: '4', qos: 0 },
    )
    expect(subscriber.got()).toEqual(['x=2', 'x=4'])
  })
})

describe('what receivers get', () => {
  test('[MQTT-3.3.2-18] properties pass unaltered, and user properties in order', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x')
    // payload format 1, content type "t", response topic "r", correlation data 0102, user a=1 b=2 a=3
    const properties =
      '01 01  03 0001 74  08 0001 72  09 0002 0102  26 0001 61 0001 31  26 0001 62 0001 32  26 0001 61 0001 33'
    const body = Buffer.concat([
      hex('0001 78'),
      Buffer.from([hex(properties).length]),
      hex(properties),
      Buffer.from('hi'),
    ])
    const packet = Buffer.concat([Buffer.from([0x30, body.length]), body])
    subscriber.bytes = Buffer.alloc(0)
    lab.connected().raw(packet)
    expect(subscriber.bytes).toEqual(packet)
    // Likewise where the packet cannot be passed on as it came: QoS 1 to QoS 0.
    const once = Buffer.concat([
      hex('0001 78 0009'),
      Buffer.from([hex(properties).length]),
      hex(properties),
      Buffer.from('hi'),
    ])
    subscriber.bytes = Buffer.alloc(0)
    lab.connected().raw([0x32, once.length], once)
    expect(subscriber.bytes).toEqual(packet)
  })

  test('[MQTT-3.8.4-8] the QoS is the lower of published and granted', () => {
    const lab = new Lab()
    const subscribers = [0, 1, 2].map((qos) => lab.subscribed('x', { qos }))
    const publisher = lab.connected()
    for (const qos of [0, 1, 2]) publisher.publish('x', `${qos}`, { qos, messageId: 5 }).pubrel(5)
    expect(subscribers.map((client) => client.take().map(({ qos }) => qos))).toEqual([
      [0, 0, 0],
      [0, 1, 1],
      [0, 1, 2],
    ])
  })

  test('versions mix: MQTT 5 properties are dropped for 3.1.1, and none are made up', () => {
    const lab = new Lab()
    const [old, modern] = [lab.subscribed('x', { version: 4 }), lab.subscribed('x')]
    old.bytes = modern.bytes = Buffer.alloc(0)
    lab.connected().publish('x', 'a', { properties: { contentType: 't' } })
    expect(old.bytes).toEqual(hex('30 04 0001 78 61'))
    expect(modern.bytes).toEqual(hex('30 09 0001 78 04 03 0001 74 61'))
    old.bytes = modern.bytes = Buffer.alloc(0)
    lab.connected({ version: 4 }).publish('x', 'b')
    expect(old.bytes).toEqual(hex('30 04 0001 78 62'))
    expect(modern.bytes).toEqual(hex('30 05 0001 78 00 62'))
  })

  test('[MQTT-3.3.1-3] DUP and packet ids of the publisher are not passed on', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x', { qos: 1 })
    lab.connected().publish('x', 'a', { qos: 1, messageId: 500, dup: true })
    expect(subscriber.one('publish')).toMatchObject({ dup: false, messageId: 1, qos: 1 })
  })

  test('a run of packets in one read arrives whole and in order, between other packets and topics', () => {
    const lab = new Lab()
    const [all, x] = [lab.subscribed('#', { version: 4 }), lab.subscribed('x', { version: 4, qos: 1 })]
    const publisher = lab.connected({ version: 4 })
    const packets = ['x=1', 'x=2', 'y=3', 'y=4', 'x=5'].map((text) => {
      const [topic, payload] = text.split('=')
      return { cmd: 'publish', topic, payload, qos: 0 }
    })
    publisher.send(
      ...packets,
      { cmd: 'publish', topic: 'x', payload: '6', qos: 1, messageId: 1 },
      { cmd: 'publish', topic: 'x', payload: '7', qos: 0 },
      { cmd: 'pingreq' },
      { cmd: 'publish', topic: 'x', payload: '8', qos: 0, retain: true },
      { cmd: 'publish', topic: 'x', payload: '9', qos: 0 },
    )
    expect(all.got()).toEqual(['x=1', 'x=2', 'y=3', 'y=4', 'x=5', 'x=6', 'x=7', 'x=8', 'x=9'])
    expect(x.got()).toEqual(['x=1', 'x=2', 'x=5', 'x=6', 'x=7', 'x=8', 'x=9'])
    expect(lab.broker.counts()).toMatchObject({ messagesIn: 9, messagesOut: 16 })
  })

  test('a read cut anywhere gives the same messages', () => {
    const bytes = Buffer.concat(
      ['1', '2', '3'].map((payload) => bytesOf({ cmd: 'publish', topic: 'x', payload, qos: 0 }, 4)),
    )
    for (let cut = 0; cut <= bytes.length; cut++) {
      const lab = new Lab()
      const subscriber = lab.subscribed('x', { version: 4 })
      lab.connected({ version: 4 }).raw(bytes.subarray(0, cut)).raw(bytes.subarray(cut))
      expect(subscriber.got()).toEqual(['x=1', 'x=2', 'x=3'])
    }
  })

  test('a run reaches the publisher itself, and a subscription made in the same read takes part from there', () => {
    const lab = new Lab()
    const client = lab.connected({ version: 4 })
    const publish = (payload: string) => ({ cmd: 'publish', topic: 'x', payload, qos: 0 })
    const subscribe = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'x', qos: 0 }] }
    client.send(publish('1'), publish('2'), subscribe, publish('3'), publish('4'))
    expect(client.got()).toEqual(['x=3', 'x=4'])
    client.send(publish('5'), { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['x'] }, publish('6'))
    expect(client.got()).toEqual(['x=5'])
  })

  test('what was published before a request is sent before its answer', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { version: 4 })
    const publish = { cmd: 'publish', topic: 'x', payload: '1', qos: 0 }
    const unsubscribe = { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['x'] }
    client.send(publish, publish, { cmd: 'pingreq' }, publish, unsubscribe)
    const order = ['publish', 'publish', 'pingresp', 'publish', 'unsuback']
    expect(client.take().map(({ cmd }) => cmd)).toEqual(order)
  })

  describe('a run reaches', () => {
    const payloads = ['1', '2'.repeat(40), '3']
    const run = payloads.map((payload) => ({ cmd: 'publish', topic: 'x', payload, qos: 0 }))

    test('a receiver with an identifier', () => {
      const lab = new Lab()
      const client = lab.connected().subscribe('x', {}, { subscriptionIdentifier: 7 })
      client.take()
      lab.connected().send(...run)
      expect(client.take().map(({ properties }) => properties?.subscriptionIdentifier)).toEqual([7, 7, 7])
    })

    test('not its publisher when it subscribed with No Local', () => {
      const publisher = new Lab().subscribed('x', { sub: { nl: true } }).send(...run)
      expect(publisher.take()).toEqual([])
    })

    test('a receiver with topic aliases', () => {
      const lab = new Lab()
      const client = lab.subscribed('x', { properties: { topicAliasMaximum: 1 } })
      lab.connected().send(...run)
      expect(client.take().map(({ topic }) => topic)).toEqual(['x', '', ''])
    })

    test('a receiver that takes small packets only', () => {
      const lab = new Lab()
      const client = lab.subscribed('x', { properties: { maximumPacketSize: 30 } })
      lab.connected().send(...run)
      expect(client.got()).toEqual(['x=1', 'x=3'])
    })

    test('receivers of the other version', () => {
      const lab = new Lab()
      const clients = [lab.subscribed('x', { version: 4 }), lab.subscribed('x', { version: 5 })]
      lab.connected({ version: 4 }).send(...run)
      lab.connected({ version: 5 }).send(...run)
      for (const client of clients) expect(client.got()).toEqual([...payloads, ...payloads].map((text) => `x=${text}`))
    })
  })

  test('a payload over 64 KiB goes through at every QoS', () => {
    const lab = new Lab()
    const subscribers = [0, 1, 2].map((qos) => lab.subscribed('x', { qos, version: qos === 1 ? 4 : 5 }))
    const payload = Buffer.alloc(200_000, 'ab').toString()
    lab.connected().publish('x', payload, { qos: 2, messageId: 9 }).pubrel(9)
    lab.connected({ version: 4 }).publish('x', payload, { qos: 1 })
    for (const subscriber of subscribers) {
      expect(subscriber.got().map((text) => text === `x=${payload}`)).toEqual([true, true])
    }
  })

  test('[MQTT-4.6.0-6] order per topic and QoS is kept through queue and window', () => {
    const lab = new Lab()
    const subscriber = lab.subscribed('x', { qos: 1, properties: { receiveMaximum: 2 } })
    const publisher = lab.connected()
    const sent = Array.from({ length: 20 }, (_, index) => `x=${index}`)
    for (const text of sent) publisher.publish('x', text.slice(2), { qos: 1 })
    const got: string[] = []
    for (;;) {
      const packets = subscriber.take()
      if (packets.length === 0) break
      expect(packets.length).toBeLessThanOrEqual(2)
      for (const { topic, payload, messageId } of packets) {
        got.push(`${topic}=${payload}`)
        subscriber.puback(messageId)
      }
    }
    expect(got).toEqual(sent)
  })
})

describe('messages of members', () => {
  test('are delivered here, are not sent on, and what is kept of them has bytes of its own', () => {
    const forwarded: string[] = []
    const peers = Object.assign(new NoPeers(), {
      generation: 0,
      interested: () => true,
      forward: (message: { topic: string; payload: Buffer }) => forwarded.push(`${message.topic}=${message.payload}`),
    })
    const lab = new Lab({ peers })
    const subscriber = lab.subscribed('x', {
      qos: 1,
      properties: { receiveMaximum: 1, sessionExpiryInterval: 60 },
      id: 's',
    })
    const payload = Buffer.from('abc')
    const message = {
      origin: { node: '00000000000000bb' as never, incarnation: 1 },
      counter: 1,
      topic: 'x',
      qos: 1 as const,
      retain: true,
      payload,
      properties: Buffer.alloc(0),
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: 'elsewhere' as never,
      stamp: null,
    }
    expect(lab.broker.deliverFromPeer(message)).toBe(1)
    expect(lab.broker.deliverFromPeer({ ...message, counter: 2 })).toBe(1)
    lab.clock.settle()
    payload.fill(0)
    expect(subscriber.one('publish').payload).toBe('abc')
    expect(subscriber.puback(1).one('publish').payload).toBe('abc')
    expect(forwarded).toEqual([])
    lab.connected().publish('y', 'mine', { qos: 1 })
    expect(forwarded).toEqual(['y=mine'])
  })

  test('interest of members is asked again when their routes change', () => {
    let wants = false
    const forwarded: string[] = []
    const peers = Object.assign(new NoPeers(), {
      generation: 0,
      interested: () => wants,
      forward: (message: { payload: Buffer }) => forwarded.push(`${message.payload}`),
    })
    const lab = new Lab({ peers })
    const publisher = lab.connected().publish('x', '1')
    wants = true
    peers.generation++
    publisher.publish('x', '2').publish('x', '3', { qos: 1 })
    expect(publisher.one('puback').reasonCode).toBe(0)
    wants = false
    peers.generation++
    expect(publisher.publish('x', '4', { qos: 1 }).one('puback').reasonCode).toBe(0x10)
    expect(forwarded).toEqual(['2', '3'])
  })
})
