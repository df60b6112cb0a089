import { describe, expect, test } from 'vitest'
import { NoPeers } from '../../src/broker/ports.ts'
import type { ShareCount } from '../../src/wire/link/shares.ts'
import { hex, Lab } from './lab.ts'

describe('SUBSCRIBE', () => {
  test('[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] one SUBACK with one code for each filter, in order', () => {
    const client = new Lab().connected()
    client.send({
      cmd: 'subscribe',
      messageId: 77,
      subscriptions: [
        { topic: 'a', qos: 2 },
        { topic: 'b/#/c', qos: 0 },
        { topic: 'c', qos: 1 },
        { topic: '$share//a', qos: 0 },
        { topic: '$share/+/a', qos: 0 },
        { topic: '$share/g/', qos: 0 },
      ],
    })
    expect(client.one('suback')).toMatchObject({ messageId: 77, granted: [2, 0x8f, 1, 0x8f, 0x8f, 0x8f] })
  })

  test('[MQTT3-3.9.3-2] a filter that is refused gets 0x80 in 3.1.1', () => {
    const client = new Lab().connected({ version: 4 })
    client.bytes = Buffer.alloc(0)
    client.subscribe(['a#', 'b'])
    expect(client.bytes).toEqual(hex('9004 0001 8000'))
  })

  test.each([
    ['a/+/#', ['a/b', 'a/b/c', 'a/b/c/d'], ['a', 'b']],
    ['#', ['a', '/a'], ['$SYS/x', '$x']],
    ['+/x', ['a/x', '/x'], ['$a/x']],
    ['$a/#', ['$a/x', '$a'], ['a']],
    ['a/#', ['a', 'a/', 'a/b'], ['ab']],
    ['+', ['a'], ['a/b', '/a']],
  ])('[MQTT-4.7.2-1] %s matches %j and not %j', (filter, yes, no) => {
    const lab = new Lab()
    const subscriber = lab.subscribed(filter)
    const publisher = lab.connected()
    for (const topic of [...yes, ...no].filter((topic) => !topic.startsWith('$SYS'))) publisher.publish(topic, 'x')
    expect(subscriber.got()).toEqual(yes.map((topic) => `${topic}=x`))
  })

  test('[MQTT-3.3.4-2] [MQTT-3.3.4-4] overlapping: one copy, the highest QoS, all identifiers', () => {
    const lab = new Lab()
    const client = lab.connected()
    client.subscribe('a/#', { qos: 1 }, { subscriptionIdentifier: 5 })
    client.subscribe('a/b', { qos: 2 }, { subscriptionIdentifier: 268_435_455 })
    client.subscribe('+/b', { qos: 0 })
    client.take()
    lab.connected().publish('a/b', 'x', { qos: 2 }).pubrel(1)
    const packet = client.one('publish')
    expect(packet.qos).toBe(2)
    expect([packet.properties.subscriptionIdentifier].flat().sort()).toEqual([268_435_455, 5])
  })

  test('[MQTT-3.3.4-3] each receiver gets its own identifiers', () => {
    const lab = new Lab()
    const clients = [1, 2, 1].map((subscriptionIdentifier) => {
      const client = lab.connected().subscribe('x', { qos: 1 }, { subscriptionIdentifier })
      client.take()
      return client
    })
    lab.connected().publish('x', 'y', { qos: 1 })
    const ids = clients.map((client) => client.one('publish').properties.subscriptionIdentifier)
    expect(ids).toEqual([1, 2, 1])
  })

  test('[MQTT-3.8.4-3] the same filter again replaces the subscription', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { qos: 2 }).subscribe('x', { qos: 0 }, { subscriptionIdentifier: 9 })
    client.take()
    expect(lab.broker.counts().subscriptions).toBe(1)
    lab.connected().publish('x', 'y', { qos: 1 })
    expect(client.one('publish')).toMatchObject({ qos: 0, properties: { subscriptionIdentifier: 9 } })
  })

  test('[MQTT-3.8.3-3] No Local keeps a client from its own messages, and only from those', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { sub: { nl: true } })
    client.publish('x', 'own')
    lab.connected().publish('x', 'other')
    expect(client.got()).toEqual(['x=other'])
    expect(client.publish('x', 'own', { qos: 1 }).one('puback').reasonCode).toBe(0x10)
  })

  test('No Local on one of two overlapping subscriptions leaves the other', () => {
    const lab = new Lab()
    const client = lab.connected()
    client.subscribe('a/+', { qos: 2, nl: true }, { subscriptionIdentifier: 1 })
    client.subscribe('a/#', { qos: 1 }, { subscriptionIdentifier: 2 })
    client.take()
    client.publish('a/b', 'own', { qos: 2, messageId: 5 }).pubrel(5)
    const own = client.take().find(({ cmd }) => cmd === 'publish')
    expect(own).toMatchObject({ qos: 1, properties: { subscriptionIdentifier: 2 } })
    lab.connected().publish('a/b', 'other', { qos: 2, messageId: 5 }).pubrel(5)
    const other = client.one('publish')
    expect(other.qos).toBe(2)
    expect([...other.properties.subscriptionIdentifier].sort()).toEqual([1, 2])
  })

  test('[MQTT-3.8.3-4] No Local on a shared subscription is a protocol error', () => {
    const client = new Lab().connected().subscribe('$share/g/x', { nl: true })
    expect(client.one('disconnect').reasonCode).toBe(0x82)
  })

  test('[MQTT-3.3.1-12] [MQTT-3.3.1-13] the RETAIN flag of live messages is kept only as asked', () => {
    const lab = new Lab()
    const clients = [lab.subscribed('x'), lab.subscribed('x', { sub: { rap: true } })]
    const old = lab.subscribed('x', { version: 4 })
    lab.connected().publish('x', 'y', { retain: true })
    expect([...clients, old].map((client) => client.one('publish').retain)).toEqual([false, true, false])
  })

  test('a bridge of mosquitto gets nothing back of what it sent, and keeps RETAIN', () => {
    const lab = new Lab()
    const bridge = lab.client(4).raw('100e 0004 4d515454 84 02 0000 0002 6272')
    expect(bridge.one('connack').returnCode).toBe(0)
    bridge.subscribe('#')
    bridge.take()
    bridge.publish('x', 'own')
    lab.connected().publish('x', 'other', { retain: true })
    expect(bridge.one('publish')).toMatchObject({ payload: 'other', retain: true })
  })

  test('[MQTT-3.10.4-4] [MQTT-3.11.3-1] UNSUBACK has a code for each filter, also for what was not there', () => {
    const lab = new Lab()
    const client = lab.subscribed(['x', 'y']).unsubscribe('x', 'z')
    expect(client.one('unsuback')).toMatchObject({ messageId: 2, granted: [0, 0x11] })
    const publisher = lab.connected().publish('x', '1').publish('y', '2')
    publisher.drop()
    // [MQTT-3.10.4-2]
    expect(client.got()).toEqual(['y=2'])
    const old = lab.subscribed('x', { version: 4 })
    old.bytes = Buffer.alloc(0)
    old.unsubscribe('x', 'z')
    expect(old.bytes).toEqual(hex('b002 0002'))
  })

  test('[MQTT-3.10.4-3] deliveries begun are finished after UNSUBSCRIBE', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { qos: 2 })
    lab.connected().publish('x', 'y', { qos: 2 }).pubrel(1)
    expect(client.one('publish').messageId).toBe(1)
    client.unsubscribe('x')
    client.take()
    expect(client.pubrec(1).one('pubrel').messageId).toBe(1)
    expect(client.pubcomp(1).take()).toEqual([])
  })
})

describe('routes to other members', () => {
  class Routes extends NoPeers {
    readonly calls: string[] = []
    readonly waiting = new Map<string, () => void>()
    override wanted(filter: string, _durable: boolean, taken: () => void): void {
      this.calls.push(`+${filter}`)
      this.waiting.set(filter, taken)
    }
    override unwanted(filter?: string): void {
      this.calls.push(`-${filter}`)
    }
    override grouped(group: string, count: ShareCount | null, taken: () => void): void {
      this.calls.push(`${group} ${count === null ? 'none' : `${count.connected} of ${count.consumers}`}`)
      this.waiting.set(group, taken)
    }
  }

  test('SUBACK waits until the others have taken the routes; later packets do not', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    const client = lab.connected().subscribe(['x', 'y/#']).publish('x', 'own', { qos: 1 }).raw('c000')
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['publish', 'puback', 'pingresp'])
    peers.waiting.get('x')!()
    lab.clock.settle()
    expect(client.take()).toEqual([])
    peers.waiting.get('y/#')!()
    lab.clock.settle()
    expect(client.one('suback').granted).toEqual([0, 0])
  })

  test('a filter is wanted once, and unwanted after its last subscription', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    const [a, b] = [lab.connected().subscribe('x'), lab.connected().subscribe('x')]
    expect(peers.calls).toEqual(['+x'])
    // The second waits as well: the route is not taken yet.
    expect([...a.take(), ...b.take()]).toEqual([])
    peers.waiting.get('x')!()
    lab.clock.settle()
    expect([a.one('suback').granted, b.one('suback').granted]).toEqual([[0], [0]])
    expect(lab.connected().subscribe('x').one('suback').granted).toEqual([0])
    a.unsubscribe('x')
    b.drop()
    expect(peers.calls).toEqual(['+x'])
    expect(lab.broker.counts().subscriptions).toBe(1)
  })

  test('of a share group the others know how many consumers it has here, and SUBACK waits for that', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    const a = lab.connected({ id: 'a', properties: { sessionExpiryInterval: 60 } }).subscribe('$share/g/x')
    expect([a.take(), peers.calls]).toEqual([[], ['g/x 1 of 1']])
    peers.waiting.get('g/x')!()
    lab.clock.settle()
    expect(a.one('suback').granted).toEqual([0])
    const b = lab.connected().subscribe('$share/g/x').subscribe('$share/g/x')
    a.drop()
    lab.client().connect({ id: 'a', clean: false, properties: { sessionExpiryInterval: 60 } })
    b.drop()
    lab.client().connect({ id: 'a', clean: true })
    expect(peers.calls).toEqual([
      'g/x 1 of 1',
      'g/x 2 of 2',
      'g/x 1 of 2',
      'g/x 2 of 2',
      'g/x 1 of 2',
      'g/x 1 of 1',
      'g/x 0 of 1',
      'g/x none',
    ])
  })

  test('the last one to go takes the route with it, and the next asks anew', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    lab.connected().subscribe('x').drop()
    const old = peers.waiting.get('x')!
    const client = lab.connected().subscribe('x')
    expect(peers.calls).toEqual(['+x', '-x', '+x'])
    old()
    lab.clock.settle()
    expect(client.take()).toEqual([])
    peers.waiting.get('x')!()
    lab.clock.settle()
    expect(client.one('suback').granted).toEqual([0])
  })

  test('the route of a persistent session stays while its client is away', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    lab
      .connected({ properties: { sessionExpiryInterval: 10 } })
      .subscribe('x')
      .drop()
    expect(peers.calls).toEqual(['+x'])
    lab.advance(10_000)
    expect(peers.calls).toEqual(['+x', '-x'])
  })

  test('a SUBACK that waits for a connection that is gone is not sent, nor are retained messages', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    lab.connected().publish('x', 'kept', { retain: true })
    const properties = { sessionExpiryInterval: 60 }
    lab.connected({ id: 'a', properties }).subscribe('x').drop()
    const back = lab.connected({ id: 'a', clean: false, properties })
    peers.waiting.get('x')!()
    lab.clock.settle()
    expect(back.take()).toEqual([])
    expect(back.subscribe('x').got()).toEqual(['x=kept'])
  })

  test('retained messages come behind a SUBACK that waited', () => {
    const peers = new Routes()
    const lab = new Lab({ peers })
    lab.connected().publish('x', 'kept', { retain: true })
    const client = lab.connected().subscribe('x')
    expect(client.take()).toEqual([])
    peers.waiting.get('x')!()
    lab.clock.settle()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['suback', 'publish'])
  })
})

describe('shared subscriptions', () => {
  test('each message goes to one member, in turn, and plain subscribers get all', () => {
    const lab = new Lab()
    const members = [1, 2, 3].map(() => lab.subscribed('$share/g/x', { qos: 1 }))
    const other = lab.subscribed('$share/h/x')
    const plain = lab.subscribed('x')
    const publisher = lab.connected()
    for (let index = 0; index < 6; index++) publisher.publish('x', `${index}`, { qos: 1 })
    expect(members.map((client) => client.got())).toEqual([
      ['x=0', 'x=3'],
      ['x=1', 'x=4'],
      ['x=2', 'x=5'],
    ])
    expect([other.got().length, plain.got().length]).toEqual([6, 6])
  })

  test('a run of QoS 0 packets is dealt out one by one', () => {
    const lab = new Lab()
    const members = [1, 2].map(() => lab.subscribed('$share/g/x', { version: 4 }))
    const publisher = lab.connected({ version: 4 })
    publisher.send(...['0', '1', '2', '3'].map((payload) => ({ cmd: 'publish', topic: 'x', payload, qos: 0 })))
    expect(members.map((client) => client.got())).toEqual([
      ['x=0', 'x=2'],
      ['x=1', 'x=3'],
    ])
  })

  test('members that are connected come before those that are away', () => {
    const lab = new Lab()
    const away = lab.subscribed('$share/g/x', { qos: 1, id: 'away', properties: { sessionExpiryInterval: 60 } })
    const here = lab.subscribed('$share/g/x', { qos: 1 })
    away.drop()
    const publisher = lab.connected().publish('x', '1', { qos: 1 }).publish('x', '2', { qos: 1 })
    expect(here.got()).toEqual(['x=1', 'x=2'])
    here.puback(1).puback(2).drop()
    publisher.publish('x', '3', { qos: 1 })
    const back = lab.client().connect({ id: 'away', clean: false })
    expect(back.got()).toEqual(['x=3'])
  })

  test('[MQTT-4.8.2-3] each member has its own granted QoS', () => {
    const lab = new Lab()
    const members = [0, 2].map((qos) => lab.subscribed('$share/g/x', { qos }))
    const publisher = lab.connected()
    for (const id of [1, 2]) publisher.publish('x', 'y', { qos: 1, messageId: id })
    expect(members.map((client) => client.one('publish').qos)).toEqual([0, 1])
  })

  test('no retained messages for a shared subscription', () => {
    const lab = new Lab()
    lab.connected().publish('x', 'kept', { retain: true })
    expect(lab.connected().subscribe('$share/g/x').one('suback').granted).toEqual([0])
  })

  test('a member that leaves the group gets nothing more', () => {
    const lab = new Lab()
    const [a, b] = [lab.subscribed('$share/g/x'), lab.subscribed('$share/g/x')]
    const publisher = lab.connected().publish('x', '1')
    a.unsubscribe('$share/g/x')
    publisher.publish('x', '2').publish('x', '3')
    expect([a.got(), b.got()]).toEqual([['x=1'], ['x=2', 'x=3']])
    b.drop()
    expect(publisher.publish('x', '4', { qos: 1 }).one('puback').reasonCode).toBe(0x10)
  })
})
