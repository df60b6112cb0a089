import { describe, expect, test } from 'vitest'
import { type Client, Lab } from './lab.ts'

describe('retained messages', () => {
  test('[MQTT-3.3.1-5] [MQTT-3.3.1-9] the last one is sent behind the SUBACK, with RETAIN set', () => {
    const lab = new Lab()
    lab.connected().publish('x', 'old', { retain: true }).publish('x', 'new', { retain: true }).publish('x', 'live')
    const packets = lab.connected().subscribe('x').take()
    expect(packets.map(({ cmd }) => cmd)).toEqual(['suback', 'publish'])
    expect(packets[1]).toMatchObject({ topic: 'x', payload: 'new', retain: true, dup: false })
  })

  test('[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload is delivered, removes the message, and is not kept', () => {
    const lab = new Lab()
    const live = lab.subscribed('x')
    const publisher = lab.connected().publish('x', 'kept', { retain: true })
    expect(lab.broker.counts().retained).toBe(1)
    publisher.publish('x', '', { retain: true })
    expect(live.got()).toEqual(['x=kept', 'x='])
    expect(lab.broker.counts().retained).toBe(0)
    expect(lab.subscribed('x').inbox).toEqual([])
  })

  test('[MQTT-3.3.1-10] [MQTT-3.3.1-11] retain handling 0, 1 and 2', () => {
    const lab = new Lab()
    lab.connected().publish('x', 'kept', { retain: true })
    const sent = [0, 1, 2].map((rh) => {
      const client = lab.connected().subscribe('x', { rh })
      const first = client.got().length
      return [first, client.subscribe('x', { rh }).got().length]
    })
    expect(sent).toEqual([
      [1, 1],
      [1, 0],
      [0, 0],
    ])
  })

  test('[MQTT3-3.3.1-6] every match of a wildcard, but not of $ topics; each overlapping subscription has its own', () => {
    const lab = new Lab()
    const publisher = lab.connected()
    for (const topic of ['a/b', 'a/c', 'b', '$x/y']) publisher.publish(topic, 'v', { retain: true })
    expect(lab.connected().subscribe('#').got().sort()).toEqual(['a/b=v', 'a/c=v', 'b=v'])
    expect(lab.connected().subscribe('$x/#').got()).toEqual(['$x/y=v'])
    expect(lab.connected().subscribe(['a/+', 'a/b']).got().sort()).toEqual(['a/b=v', 'a/b=v', 'a/c=v'])
  })

  test('QoS and identifier are those of message and subscription', () => {
    const lab = new Lab()
    lab.connected().publish('x', 'kept', { retain: true, qos: 2 }).pubrel(1)
    const client = lab.connected().subscribe('x', { qos: 1 }, { subscriptionIdentifier: 4 })
    expect(client.take()[1]).toMatchObject({ qos: 1, messageId: 1, properties: { subscriptionIdentifier: 4 } })
  })

  test('[MQTT-3.3.2-6] expiry counts down while it is kept, and then it is gone', () => {
    const lab = new Lab()
    lab.connected().publish('x', 'kept', { retain: true, properties: { messageExpiryInterval: 10 } })
    lab.advance(4000)
    expect(lab.connected().subscribe('x').take()[1].properties.messageExpiryInterval).toBe(6)
    lab.advance(5999)
    expect(lab.broker.counts().retained).toBe(1)
    lab.advance(1)
    expect(lab.broker.counts().retained).toBe(0)
    expect(lab.connected().subscribe('x').got()).toEqual([])
  })

  test('a later message without expiry is not taken away by the earlier deadline', () => {
    const lab = new Lab()
    const publisher = lab.connected()
    publisher.publish('x', '1', { retain: true, properties: { messageExpiryInterval: 1 } })
    publisher.publish('x', '2', { retain: true })
    lab.advance(5000)
    expect(lab.connected().subscribe('x').got()).toEqual(['x=2'])
  })

  test('more than the window, the queue and the output hold arrive all, each once', () => {
    const lab = new Lab({ sessions: { queue: { maxMessages: 10 } } })
    const publisher = lab.connected()
    const topics = Array.from({ length: 2000 }, (_, index) => `t/${index}`)
    for (const topic of topics) publisher.publish(topic, 'v', { retain: true, qos: 1 })
    const client = lab.connected({ properties: { receiveMaximum: 5 } }).subscribe('t/#', { qos: 1 })
    const got: string[] = []
    for (let packets = client.take(); packets.length > 0; packets = client.take()) {
      for (const { cmd, topic, messageId } of packets) {
        if (cmd !== 'publish') continue
        got.push(topic)
        client.puback(messageId)
      }
    }
    expect(got.sort()).toEqual(topics.sort())
    const quick = lab.connected().subscribe('#')
    expect(quick.got().length).toBe(2000)
    expect(lab.broker.counts().dropped).toBe(0)
  })

  test('a slow reader gets all of them in its own time', () => {
    const lab = new Lab()
    const publisher = lab.connected()
    for (let index = 0; index < 30; index++) publisher.publish(`t/${index}`, 'x'.repeat(400_000), { retain: true })
    const client = lab.connected()
    client.freeze()
    client.subscribe('#')
    expect(client.stream.pendingBytes).toBeLessThan(6_000_000)
    for (let round = 0; round < 10; round++) {
      client.thaw()
      client.freeze()
    }
    expect(client.got().length).toBe(30)
    expect(lab.broker.counts().dropped).toBe(0)
  })

  test('nobody sees an older retained message after a newer live one', () => {
    const lab = new Lab()
    const publisher = lab.connected()
    for (const topic of ['a', 'b', 'c']) publisher.publish(topic, 'old', { retain: true, qos: 1 })
    const client = lab.connected({ properties: { receiveMaximum: 1 } }).subscribe('#', { qos: 1 })
    publisher.publish('b', 'new', { retain: true, qos: 1 }).publish('c', '', { retain: true, qos: 1 })
    const got: string[] = []
    for (let packets = client.take(); packets.length > 0; packets = client.take()) {
      for (const { cmd, topic, payload, messageId } of packets) {
        if (cmd !== 'publish') continue
        got.push(`${topic}=${payload}`)
        client.puback(messageId)
      }
    }
    expect(got.slice(got.indexOf('b=new'))).not.toContain('b=old')
    expect(got.slice(got.indexOf('c='))).not.toContain('c=old')
    expect(got).toContain('b=new')
  })

  describe('while some are still to be sent', () => {
    const setUp = () => {
      const lab = new Lab()
      const publisher = lab.connected()
      for (const topic of ['a', 'b', 'c']) publisher.publish(topic, 'v', { retain: true, qos: 1 })
      const client = lab.connected({ id: 's', properties: { receiveMaximum: 1, sessionExpiryInterval: 60 } })
      client.subscribe('#', { qos: 1 })
      return { lab, client }
    }
    const rest = (client: Client) => {
      const got: string[] = []
      for (let packets = client.take(); packets.length > 0; packets = client.take()) {
        for (const { cmd, topic, qos, messageId } of packets) {
          if (cmd !== 'publish') continue
          got.push(`${topic}${qos}`)
          if (qos > 0) client.puback(messageId)
        }
      }
      return got.sort()
    }

    test('subscribing again begins anew, with the new QoS', () => {
      const { client } = setUp()
      expect(client.got().length).toBe(1)
      client.subscribe('#', { qos: 0 })
      expect(rest(client.puback(1))).toEqual(['a0', 'b0', 'c0'])
    })

    test('subscribing again without retained messages goes on with those that were asked for', () => {
      const { client } = setUp()
      const first = client.got()
      client.subscribe('#', { qos: 0, rh: 2 })
      expect(rest(client.puback(1)).length + first.length).toBe(3)
    })

    test('unsubscribing ends it, also for a later subscription that wants none', () => {
      const { client } = setUp()
      expect(client.got().length).toBe(1)
      client.unsubscribe('#').subscribe('#', { qos: 0, rh: 2 })
      expect(rest(client.puback(1))).toEqual([])
    })

    test('a client that comes back gets the rest', () => {
      const { lab, client } = setUp()
      client.drop()
      const back = lab.client().connect({ id: 's', clean: false, properties: { sessionExpiryInterval: 60 } })
      expect(rest(back)).toEqual(['a1', 'b1', 'c1'])
    })
  })

  test('messages of members are delivered and not kept', () => {
    const lab = new Lab()
    lab.broker.deliverFromPeer({
      origin: { node: '00000000000000bb' as never, incarnation: 1 },
      counter: 0,
      topic: 'x',
      qos: 0,
      retain: true,
      payload: Buffer.from('v'),
      properties: Buffer.alloc(0),
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: 'p' as never,
      stamp: null,
    })
    expect(lab.broker.counts().retained).toBe(0)
  })
})
