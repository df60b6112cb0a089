// CONNECT, CONNACK, sessions and wills, as both versions have them.

import { describe, expect, test } from 'vitest'
import { type ConnectOptions, hex, Lab } from './lab.ts'
import { NO_PROPERTIES, properties, rawConnect, split, text } from './raw.ts'

const versions = [4, 5] as const
const lasting = { sessionExpiryInterval: 100 }
const kept = (version: 4 | 5, more: ConnectOptions = {}): ConnectOptions => ({
  id: 's',
  version,
  clean: false,
  ...(version === 5 ? { properties: lasting } : {}),
  ...more,
})

describe.each(versions)('version %i', (version) => {
  test('[MQTT3-3.1.0-1] [MQTT-3.1.0-1] a packet of any other type first: closed without a word', () => {
    for (let type = 2; type < 16; type++) {
      const client = new Lab().client(version).raw([type << 4, 2, 0, 1])
      expect([type, client.closed, client.bytes.length]).toEqual([type, true, 0])
    }
  })

  test('[MQTT3-3.1.0-2] [MQTT-3.1.0-2] [MQTT-3.2.0-2] a second CONNECT ends the connection, with no second CONNACK', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('w')
    const client = lab.connected({ version, id: 'a', will: { topic: 'w', payload: 'gone' } })
    client.connect({ version, id: 'b' })
    expect(client.take().map(({ cmd }) => cmd)).toEqual(version === 5 ? ['disconnect'] : [])
    expect(client.closed).toBe(true)
    expect(watcher.got()).toEqual(['w=gone'])
  })

  test('[MQTT3-3.2.0-1] [MQTT-3.2.0-1] [MQTT-3.2.0-2] CONNACK comes first, and once, whatever waits for the client', () => {
    const lab = new Lab()
    lab.subscribed('x', { ...kept(version), qos: 1 }).drop()
    lab.connected().publish('x', '1', { qos: 1 }).publish('x', '2', { qos: 1, retain: true })
    const back = lab
      .client(version)
      .send(
        { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId: 's', clean: false, keepalive: 0 },
        { cmd: 'pingreq' },
        { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'x', qos: 0, nl: false, rap: false, rh: 0 }] },
      )
    const types = split(back.bytes).map((bytes) => bytes[0]! >> 4)
    expect(types[0]).toBe(2)
    expect(types.filter((type) => type === 2).length).toBe(1)
    expect(types).toEqual([2, 3, 3, 13, 9, 3])
  })

  test('[MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] the byte of Session Present', () => {
    const lab = new Lab()
    const flags = (clean: boolean) => {
      const client = lab.client(version).connect(kept(version, { clean }))
      client.drop()
      return client.bytes[2]
    }
    // A clean session of 3.1.1 ends with its connection; a clean start of MQTT 5 is only a start.
    const after = version === 5 ? 1 : 0
    expect([false, false, true, false, true].map(flags)).toEqual([0, 1, 0, after, 0])
  })

  test('[MQTT3-3.2.2-4] [MQTT3-3.2.2-5] [MQTT3-3.1.3-9] [MQTT3-3.1.4-5] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.1.4-2] [MQTT-3.1.4-6] refused: Session Present 0, closed, and nothing behind it handled', () => {
    const lab = new Lab({
      authenticator: { authenticate: (request, done) => done(request.username === 'u' ? 'notAuthorized' : 'allowed') },
    })
    const watcher = lab.subscribed('#')
    lab.subscribed('x', kept(version)).drop()
    const client = lab.client(version)
    const connect = rawConnect({ version, flags: 0x80, payload: [text('s'), text('u')] })
    client.raw(connect, version === 5 ? '3005 0001 78 00 76' : '3004 0001 78 76', 'c000')
    const [connack, ...others] = split(client.bytes)
    expect([connack![0], connack![2], connack![3]]).toEqual([0x20, 0, version === 5 ? 0x87 : 5])
    expect([others.length, client.closed]).toEqual([0, true])
    expect(watcher.got()).toEqual([])
    // The session that was there is left as it was.
    expect(lab.connected(kept(version)).connack.sessionPresent).toBe(true)
  })

  test('[MQTT3-3.1.3-2] [MQTT-3.1.3-2] the client id names the session', () => {
    const lab = new Lab()
    for (const id of ['a', 'b']) lab.subscribed(id, kept(version, { id })).drop()
    const publisher = lab.connected()
    for (const id of ['a', 'b']) {
      const back = lab.connected(kept(version, { id }))
      expect(back.connack.sessionPresent).toBe(true)
      publisher.publish('a', '1').publish('b', '2')
      expect(back.got()).toEqual([id === 'a' ? 'a=1' : 'b=2'])
      back.drop()
    }
    expect(lab.connected(kept(version, { id: 'A' })).connack.sessionPresent).toBe(false)
  })

  test('[MQTT3-3.1.3-5] [MQTT-3.1.3-5] client ids of 1 to 23 letters and digits, and others', () => {
    const lab = new Lab()
    const every = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
    const ids = ['a', every.slice(0, 23), every.slice(23, 46), every.slice(39), every.repeat(10), 'a b/+#$\u{1f600}']
    for (const id of ids) expect(lab.connected({ version, id }).closed).toBe(false)
    expect(lab.broker.counts().sessions).toBe(ids.length)
  })

  test('[MQTT3-3.1.4-3] [MQTT-3.1.4-4] a clean start drops what there was, messages and all', () => {
    const lab = new Lab()
    lab.subscribed('x', { ...kept(version), qos: 1 }).drop()
    const publisher = lab.connected().publish('x', '1', { qos: 1 })
    const fresh = lab.connected(kept(version, { clean: true }))
    publisher.publish('x', '2', { qos: 1 })
    expect([fresh.connack.sessionPresent, fresh.got()]).toEqual([false, []])
  })

  test('[MQTT3-4.1.0-1] [MQTT3-4.1.0-2] [MQTT-4.1.0-1] [MQTT-3.1.2-6] [MQTT-3.1.2-23] a session lasts while it is connected, and as long as was asked for', () => {
    const lab = new Lab()
    const once = lab.subscribed('x', { version, id: 'once' })
    const client = lab.subscribed('x', { ...kept(version), qos: 1 })
    lab.advance(1_000_000)
    const publisher = lab.connected().publish('x', '1', { qos: 1 })
    expect([once.got(), client.got()]).toEqual([['x=1'], ['x=1']])
    once.drop()
    client.drop()
    lab.advance(99_000)
    publisher.publish('x', '2', { qos: 1 })
    expect(lab.connected({ version, id: 'once', clean: false }).connack.sessionPresent).toBe(false)
    expect(lab.client(version).connect(kept(version)).got()).toEqual(['x=1', 'x=2'])
  })

  test('[MQTT3-3.1.2-24] [MQTT-3.1.2-22] silence ends the connection as a failure: the will goes out', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('w')
    const client = lab.connected({ version, keepalive: 2, will: { topic: 'w', payload: 'gone' } })
    lab.advance(2900)
    client.raw('c000')
    lab.advance(2999)
    expect([client.closed, watcher.got()]).toEqual([false, []])
    lab.advance(1)
    expect([client.closed, watcher.got()]).toEqual([true, ['w=gone']])
  })

  test('[MQTT3-3.12.4-1] [MQTT-3.12.4-1] PINGREQ is answered with PINGRESP, each one', () => {
    const client = new Lab().connected({ version })
    client.bytes = Buffer.alloc(0)
    expect(client.raw('c000 c000', 'c000').bytes).toEqual(hex('d000 d000 d000'))
  })

  test('[MQTT3-3.1.2-8] [MQTT3-3.1.2-10] [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] a will goes out once', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('w')
    const will = { topic: 'w', payload: 'gone' }
    lab.connected(kept(version, { will })).drop()
    expect(watcher.got()).toEqual(['w=gone'])
    // The session goes on, without the will.
    lab.connected(kept(version)).drop()
    lab.advance(200_000)
    expect(watcher.got()).toEqual([])
    const polite = lab.connected(kept(version, { will }))
    polite.disconnect()
    lab.advance(200_000)
    expect(watcher.got()).toEqual([])
  })

  test('[MQTT3-3.1.2-12] no will flag, no will', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#')
    lab.connected({ version }).drop()
    expect(watcher.got()).toEqual([])
  })

  test('[MQTT3-3.1.2-16] [MQTT3-3.1.2-17] [MQTT-3.1.2-14] [MQTT-3.1.2-15] a will is retained as its flag says', () => {
    const lab = new Lab()
    for (const retain of [false, true]) {
      lab.connected({ version, will: { topic: `w/${retain}`, payload: 'gone', retain } }).drop()
    }
    const later = lab.connected().subscribe('w/#').take()
    expect(later.slice(1)).toMatchObject([{ topic: 'w/true', payload: 'gone', retain: true }])
  })

  test('[MQTT3-3.14.4-3] [MQTT-3.14.4-3] [MQTT-3.14.4-1] [MQTT-3.14.4-2] DISCONNECT: no will, nothing handled behind it, and the close', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#')
    const client = lab.connected({ version, will: { topic: 'w', payload: 'gone' } })
    client.bytes = Buffer.alloc(0)
    client.raw('e000', version === 5 ? '3005 0001 78 00 76' : '3004 0001 78 76', 'c000')
    expect([client.closed, client.bytes.length, watcher.got()]).toEqual([true, 0, []])
  })

  test('[MQTT3-3.1.2-7] retained messages outlive the sessions of those who sent them', () => {
    const lab = new Lab()
    lab.connected({ version, id: 'p' }).publish('x', 'kept', { retain: true }).disconnect()
    lab.connected({ version, id: 'p', clean: true }).disconnect()
    expect(lab.connected({ version }).subscribe('x').got()).toEqual(['x=kept'])
  })

  test('[MQTT3-7.1.1-1] [MQTT-4.2-1] any cut of the byte stream, down to single bytes, reads the same', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('x')
    const client = lab.client(version)
    const none = version === 5 ? NO_PROPERTIES : Buffer.alloc(0)
    const session = [
      rawConnect({ version, payload: [text('c')] }),
      hex('c000'),
      Buffer.concat([Buffer.from([0x32, 6 + none.length]), text('x'), hex('0007'), none, Buffer.from('v')]),
    ]
    for (const byte of Buffer.concat(session)) client.raw([byte])
    const types = split(client.bytes).map((bytes) => bytes[0])
    expect(types).toEqual([0x20, 0xd0, 0x40])
    expect(watcher.got()).toEqual(['x=v'])
  })

  test('[MQTT3-7.0.0-2] nothing beyond the standard is needed: connect, subscribe, publish, all QoS, disconnect', () => {
    const lab = new Lab()
    const client = lab.client(version).raw(rawConnect({ version }))
    client.subscribe('x', { qos: 2 })
    for (const qos of [0, 1, 2]) client.publish('x', `${qos}`, { qos, messageId: 3 })
    client.pubrel(3)
    expect(client.got().sort()).toEqual(['x=0', 'x=1', 'x=2'])
    client.disconnect()
    expect(lab.broker.counts()).toMatchObject({ clients: 0, sessions: 0, subscriptions: 0 })
  })
})

test('[MQTT3-3.2.2-6] a refusal that 3.1.1 has no code for: closed without CONNACK', () => {
  const lab = new Lab({ limits: { maxQoS: 1 } })
  const client = lab.client(4).connect({ will: { topic: 'w', payload: 'x', qos: 2 } })
  expect([client.closed, client.bytes.length]).toEqual([true, 0])
})

describe('MQTT 5', () => {
  test('[MQTT-3.1.3-6] an empty client id gets one of its own', () => {
    const lab = new Lab()
    const ids = [1, 2, 3].map(() => lab.connected({ id: '' }).connack.properties.assignedClientIdentifier)
    expect(new Set(ids).size).toBe(3)
    expect(lab.broker.counts().sessions).toBe(3)
  })

  test('[MQTT-3.1.3-9] back before the will delay has passed: no will', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('w')
    const will = { topic: 'w', payload: 'gone', properties: { willDelayInterval: 5 } }
    lab.connected({ id: 's', clean: false, will, properties: lasting }).drop()
    lab.advance(4999)
    lab.connected({ id: 's', clean: false, properties: lasting })
    lab.advance(60_000)
    expect(watcher.got()).toEqual([])
  })

  test('[MQTT-3.2.2-10] [MQTT-3.2.2-12] [MQTT-3.2.2-13] without QoS 2 and RETAIN: SUBSCRIBE still takes any QoS, wills get a code', () => {
    const lab = new Lab({ limits: { maxQoS: 0, retain: false } })
    expect(lab.connected().subscribe(['a', 'b'], { qos: 2 }).one('suback').granted).toEqual([0, 0])
    for (const [will, code] of [
      [{ qos: 1 as const }, 0x9b],
      [{ retain: true }, 0x9a],
    ] as const) {
      const client = lab.client().connect({ will: { topic: 'w', payload: 'x', ...will } })
      expect([client.one('connack').reasonCode, client.closed]).toEqual([code, true])
    }
  })

  test('[MQTT-4.12.0-4] [MQTT-4.12.0-1] [MQTT-3.14.0-1] [MQTT-3.2.2-8] refusals before the session: listed codes, closed, never a DISCONNECT', () => {
    const listed = [
      0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
      0x9d, 0x9f,
    ]
    const limits = { maxQoS: 1, retain: false } as const
    const will = (flags: number, topic: string) =>
      rawConnect({ version: 5, flags: 6 | flags, payload: [text('c'), NO_PROPERTIES, text(topic), text('x')] })
    const wrong: [Buffer, number][] = [
      [rawConnect({ version: 5, level: 6 }), 0x84],
      [rawConnect({ version: 5, flags: 1 }), 0x81],
      [rawConnect({ version: 5, properties: properties(0x21, hex('0000')) }), 0x82],
      [rawConnect({ version: 5, properties: properties(0x15, text('m')) }), 0x8c],
      [will(0x10, 'w'), 0x9b],
      [will(0x20, 'w'), 0x9a],
      [will(0, 'w/#'), 0x90],
      [will(0, '$SYS/w'), 0x87],
    ]
    for (const [bytes, code] of wrong) {
      const client = new Lab({ limits }).client().raw(bytes)
      const packets = split(client.bytes)
      expect([packets.length, packets[0]![0], packets[0]![3]]).toEqual([1, 0x20, code])
      expect(listed).toContain(code)
      expect(client.closed).toBe(true)
    }
  })

  test('[MQTT-4.12.0-6] no method in CONNECT: no AUTH, and none in the CONNACK', () => {
    const client = new Lab().connected({ username: 'u', password: 'p' })
    expect(split(client.bytes).map((bytes) => bytes[0])).toEqual([0x20])
    expect(client.connack.properties.authenticationMethod).toBeUndefined()
    expect(client.connack.properties.authenticationData).toBeUndefined()
  })
})

describe('MQTT 3.1', () => {
  test('client ids have 1 to 23 characters', () => {
    const lab = new Lab()
    for (const [id, code] of [
      ['', 2],
      ['a', 0],
      ['x'.repeat(23), 0],
      ['x'.repeat(24), 2],
    ] as const) {
      const client = lab.client(3).raw(rawConnect({ name: 'MQIsdp', level: 3, payload: [text(id)] }))
      expect([id.length, client.bytes, client.closed]).toEqual([id.length, hex(`2002000${code}`), code !== 0])
    }
  })

  test('DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE is answered as usual', () => {
    const lab = new Lab()
    const client = lab.connected({ version: 3 })
    client.bytes = Buffer.alloc(0)
    client.raw('3406 0001 78 0005 76', '6a02 0005', '8a06 0006 0001 78 00', 'aa05 0007 0001 78')
    expect(client.bytes).toEqual(hex('50020005 70020005 90030006 00 b0020007'))
  })

  test.each([0x83, 0x84])('a bridge says level %i', (level) => {
    const lab = new Lab()
    const name = level === 0x83 ? 'MQIsdp' : 'MQTT'
    const bridge = lab.client(level === 0x83 ? 3 : 4).raw(rawConnect({ name, level }))
    expect(bridge.one('connack').returnCode).toBe(0)
    bridge.subscribe('x').publish('x', 'own')
    lab.connected().publish('x', 'other', { retain: true })
    expect(bridge.take().slice(1)).toMatchObject([{ payload: 'other', retain: true }])
  })
})
