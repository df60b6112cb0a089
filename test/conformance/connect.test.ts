import { describe, expect, test } from 'vitest'
import { bounds } from '../../src/broker/bounds.ts'
import type { AuthenticationRequest, AuthenticationResult } from '../../src/broker/ports.ts'
import { hex, Lab, MemoryStream } from './lab.ts'

describe('CONNECT', () => {
  test('[MQTT-3.1.4-5] a good CONNECT is answered with CONNACK 0x00', () => {
    const { connack } = new Lab().connected()
    expect(connack).toMatchObject({ sessionPresent: false, reasonCode: 0 })
    expect(connack.properties).toMatchObject({
      receiveMaximum: 64,
      maximumPacketSize: 4 * 1024 * 1024,
      topicAliasMaximum: 64,
    })
  })

  test.each([3, 4] as const)('[MQTT3-3.1.4-4] version %i is answered with return code 0 in four bytes', (version) => {
    const client = new Lab().client(version).connect({ version })
    expect(client.bytes).toEqual(hex('20020000'))
  })

  test('[MQTT-3.1.0-1] anything before CONNECT closes the connection without an answer', () => {
    const client = new Lab().client().raw('c000')
    expect(client.closed).toBe(true)
    expect(client.bytes.length).toBe(0)
  })

  test.each([4, 5] as const)('[MQTT-3.1.0-2] a second CONNECT closes the connection, version %i', (version) => {
    const client = new Lab().connected({ version, id: 'a' }).connect({ version, id: 'a' })
    expect(client.closed).toBe(true)
    if (version === 5) expect(client.one('disconnect').reasonCode).toBe(0x82)
    else expect(client.take()).toEqual([])
  })

  test('[MQTT3-3.1.2-2] an unknown level gets CONNACK 1 and the close', () => {
    const client = new Lab().client(4).raw('100d 0004 4d515454 02 02 0000 0001 61')
    expect(client.bytes).toEqual(hex('20020001'))
    expect(client.closed).toBe(true)
  })

  test('[MQTT-3.1.2-2] a level above 5 gets CONNACK 0x84', () => {
    const client = new Lab().client(5).raw('100e 0004 4d515454 06 02 0000 00 0001 61')
    expect(client.one('connack').reasonCode).toBe(0x84)
    expect(client.closed).toBe(true)
  })

  test('[MQTT3-3.1.4-1] a malformed CONNECT of 3.1.1 is closed without CONNACK', () => {
    const client = new Lab().client(4).raw('100d 0004 4d515454 04 03 0000 0001 61')
    expect(client.bytes.length).toBe(0)
    expect(client.closed).toBe(true)
  })

  test('[MQTT-3.1.4-1] a malformed CONNECT of MQTT 5 is told so', () => {
    const client = new Lab().client(5).raw('100e 0004 4d515454 05 03 0000 00 0001 61')
    expect(client.one('connack').reasonCode).toBe(0x81)
    expect(client.closed).toBe(true)
  })

  test('[MQTT-3.2.2-16] an empty client id is given a name that is told', () => {
    const lab = new Lab()
    const first = lab.connected({ id: '' }).connack.properties.assignedClientIdentifier
    const second = lab.connected({ id: '' }).connack.properties.assignedClientIdentifier
    expect(first).toMatch(/^auto-[0-9a-f]{20}$/)
    expect(second).not.toBe(first)
    expect(lab.broker.counts().sessions).toBe(2)
  })

  test('[MQTT3-3.1.3-6] [MQTT3-3.1.3-8] an empty client id needs a clean session in 3.1.1', () => {
    const lab = new Lab()
    expect(lab.client(4).connect({ id: '', clean: true }).one('connack').returnCode).toBe(0)
    const refused = lab.client(4).raw('100c 0004 4d515454 04 00 0000 0000')
    expect(refused.one('connack').returnCode).toBe(2)
    expect(refused.closed).toBe(true)
  })

  test('a client that says nothing is closed after the connect timeout', () => {
    const lab = new Lab({ limits: { connectTimeoutMs: 3000 } })
    const client = lab.client()
    lab.advance(2999)
    expect(client.closed).toBe(false)
    lab.advance(1)
    expect(client.closed).toBe(true)
    expect(lab.meter.get('mqtt.refused.connect-timeout')).toBe(1)
  })

  test('half a CONNECT does not hold the timeout off', () => {
    const lab = new Lab({ limits: { connectTimeoutMs: 3000 } })
    const client = lab.client().raw('1010 0004')
    lab.advance(2000)
    client.raw('4d51')
    lab.advance(1000)
    expect(client.closed).toBe(true)
  })

  test('a packet announced too large before CONNECT is refused from its header', () => {
    const client = new Lab().client().raw('10ffffff7f')
    expect(client.closed).toBe(true)
  })

  test('connections over the limit are refused, and one that leaves makes room', () => {
    const lab = new Lab({ limits: { maxConnections: 1 } })
    const first = lab.connected()
    for (const [version, refused] of [
      [5, { reasonCode: 0x97 }],
      [4, { returnCode: 3 }],
    ] as const) {
      const surplus = lab.client(version).connect()
      expect(surplus.one('connack')).toMatchObject(refused)
      expect(surplus.closed).toBe(true)
    }
    expect(lab.broker.connections('mqtt')).toBe(1)
    expect(lab.meter.get('mqtt.refused.max-connections')).toBe(2)
    first.drop()
    expect(lab.broker.connections('mqtt')).toBe(0)
    expect(lab.client().closed).toBe(false)
  })

  test('only some of those over the limit are told, and one that says nothing does not keep a place', () => {
    const lab = new Lab({ limits: { maxConnections: 1 } })
    const first = lab.connected()
    const more = Array.from({ length: 100 }, () => lab.client())
    expect(more.filter(({ closed }) => closed)).toHaveLength(100 - bounds.surplusConnections)
    first.drop()
    lab.connected()
    lab.advance(10_000)
    expect(more.every(({ closed }) => closed)).toBe(true)
    const told = lab.client().connect()
    expect(told.one('connack').reasonCode).toBe(0x97)
  })

  test('a stream that is gone as soon as it is read leaves nothing behind', () => {
    const lab = new Lab({ limits: { maxConnections: 1 } })
    const stream = new MemoryStream(() => {})
    stream.open = (handler) => handler.closed('reset')
    lab.broker.accept(stream, { name: 'mqtt' })
    expect(lab.broker.connections('mqtt')).toBe(0)
    expect(lab.connected().closed).toBe(false)
  })

  test('[MQTT-4.12.0-1] an unknown authentication method gets 0x8C', () => {
    const client = new Lab().client().connect({ properties: { authenticationMethod: 'x' } })
    expect(client.one('connack').reasonCode).toBe(0x8c)
    expect(client.closed).toBe(true)
  })

  test('[MQTT-4.12.0-7] AUTH without a method in CONNECT is a protocol error', () => {
    const client = new Lab().connected().raw('f000')
    expect(client.one('disconnect').reasonCode).toBe(0x82)
  })

  test('[MQTT-3.1.2-28] response information comes when asked for', () => {
    const lab = new Lab()
    expect(lab.connected().connack.properties.responseInformation).toBeUndefined()
    const asked = lab.connected({ id: 'a/b', properties: { requestResponseInformation: true } })
    expect(asked.connack.properties.responseInformation).toBe('response/a%2Fb')
  })

  test('[MQTT-3.2.2-19] a reason string that is too long for the client is left out of DISCONNECT', () => {
    const client = new Lab().connected({ properties: { maximumPacketSize: 40 } }).raw('f000')
    expect(client.one('disconnect').reasonCode).toBe(0x82)
    const small = new Lab().connected({ properties: { maximumPacketSize: 25 } })
    small.bytes = Buffer.alloc(0)
    small.raw('f000')
    expect(small.bytes).toEqual(hex('e00182'))
  })
})

describe('authentication', () => {
  class Slow {
    requests: AuthenticationRequest[] = []
    answer: (result: AuthenticationResult) => void = () => {}
    authenticate(request: AuthenticationRequest, done: (result: AuthenticationResult) => void): void {
      this.requests.push(request)
      this.answer = done
    }
  }

  test('what comes behind CONNECT waits for the answer, and nothing is read meanwhile', () => {
    const authenticator = new Slow()
    const lab = new Lab({ authenticator })
    const client = lab.client(4, 'front')
    const connect = hex('100d 0004 4d515454 04 02 0000 0001 61')
    client.raw(connect, '8206 0001 0001 78 00', 'c000')
    expect(client.bytes.length).toBe(0)
    expect(client.stream.paused).toBe(true)
    client.raw('c000')
    authenticator.answer('allowed')
    lab.clock.settle()
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['connack', 'suback', 'pingresp', 'pingresp'])
    expect(authenticator.requests[0]).toMatchObject({
      clientId: 'a',
      username: null,
      listener: 'front',
      remoteAddress: '10.0.0.2',
    })
  })

  test.each([
    ['badUserNameOrPassword', 4, 4],
    ['notAuthorized', 4, 5],
    ['badUserNameOrPassword', 5, 0x86],
    ['notAuthorized', 5, 0x87],
  ] as const)(
    '[MQTT-3.1.4-6] %s in version %i is code %i, and nothing after it is handled',
    (result, version, code) => {
      const authenticator = new Slow()
      const lab = new Lab({ authenticator })
      const client = lab.client(version).connect({ username: 'u', password: 'p' })
      client.raw('c000')
      authenticator.answer(result)
      lab.clock.settle()
      const connack = client.one('connack')
      expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(code)
      expect(client.closed).toBe(true)
      expect(lab.broker.counts().sessions).toBe(0)
    },
  )

  test('an answer for a client that is gone changes nothing', () => {
    const authenticator = new Slow()
    const lab = new Lab({ authenticator })
    const client = lab.client().connect()
    client.drop()
    authenticator.answer('allowed')
    expect(lab.broker.counts()).toMatchObject({ clients: 0, sessions: 0 })
  })

  test('authentication that takes too long ends with the connect timeout', () => {
    const lab = new Lab({ authenticator: new Slow(), limits: { connectTimeoutMs: 3000 } })
    const client = lab.client().connect()
    lab.advance(3000)
    expect(client.closed).toBe(true)
  })
})

describe('keep alive', () => {
  test('[MQTT-3.1.2-22] one and a half times the keep alive of silence closes the connection', () => {
    const lab = new Lab()
    const client = lab.connected({ keepalive: 10 })
    lab.advance(14_000)
    client.raw('c000')
    expect(client.one('pingresp').cmd).toBe('pingresp')
    lab.advance(14_999)
    expect(client.closed).toBe(false)
    lab.advance(1)
    expect(client.one('disconnect').reasonCode).toBe(0x8d)
    expect(client.closed).toBe(true)
  })

  test('keep alive 0 lets a client be silent', () => {
    const lab = new Lab()
    const client = lab.connected({ keepalive: 0 })
    // Longer than one and a half times the longest keep alive there is.
    lab.advance(28 * 3600 * 1000)
    expect(client.closed).toBe(false)
  })

  test('[MQTT-3.2.2-22] the server keep alive is told and kept when the client wants to be silent longer', () => {
    const lab = new Lab({ limits: { maxKeepAliveSec: 20 } })
    const eager = lab.connected({ keepalive: 10 })
    expect(eager.connack.properties.serverKeepAlive).toBeUndefined()
    for (const keepalive of [0, 21]) {
      const client = lab.connected({ keepalive })
      expect(client.connack.properties.serverKeepAlive).toBe(20)
      lab.advance(30_000)
      expect(client.closed).toBe(true)
    }
  })

  test('[MQTT-3.12.4-1] PINGREQ is answered with PINGRESP', () => {
    expect(new Lab().connected({ version: 4 }).raw('c000').one('pingresp').cmd).toBe('pingresp')
  })
})

describe('taking over on one node', () => {
  test('[MQTT-3.1.4-3] the older connection gets 0x8E and is closed', () => {
    const lab = new Lab()
    const older = lab.connected({ id: 'a' })
    const newer = lab.connected({ id: 'a' })
    expect(older.one('disconnect').reasonCode).toBe(0x8e)
    expect(older.closed).toBe(true)
    expect(newer.closed).toBe(false)
    expect(lab.broker.counts()).toMatchObject({ clients: 1, sessions: 1 })
  })

  test('[MQTT3-3.1.4-2] in 3.1.1 it is just closed', () => {
    const lab = new Lab()
    const older = lab.connected({ id: 'a', version: 4 })
    lab.connected({ id: 'a', version: 4 })
    expect(older.take()).toEqual([])
    expect(older.closed).toBe(true)
  })

  test('the session goes on with the newer connection', () => {
    const lab = new Lab()
    const properties = { sessionExpiryInterval: 100 }
    const older = lab.connected({ id: 'a', properties }).subscribe('x', { qos: 1 })
    older.take()
    const newer = lab.connected({ id: 'a', clean: false, properties })
    expect(newer.connack.sessionPresent).toBe(true)
    lab.connected().publish('x', 'one', { qos: 1 })
    expect(newer.got()).toEqual(['x=one'])
    expect(older.got()).toEqual([])
  })
})

describe('stop and limits of the broker', () => {
  test('stop tells MQTT 5 clients 0x8B, ends all streams, fires no will and leaves no timer', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#', { version: 4 })
    const modern = lab.connected({
      keepalive: 60,
      will: { topic: 'gone', payload: 'x' },
      properties: { sessionExpiryInterval: 60 },
    })
    lab.broker.stop()
    lab.clock.settle()
    expect(modern.one('disconnect').reasonCode).toBe(0x8b)
    expect(watcher.take()).toEqual([])
    expect([watcher.closed, modern.closed]).toEqual([true, true])
    lab.advance(100_000)
    expect(lab.clock.timers).toBe(0)
    expect(lab.client().closed).toBe(true)
  })

  test('a box that leaves sends MQTT 5 clients to others by 0x9C with a Server Reference, and fires no will', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('#', { version: 4 })
    const modern = lab.connected({ will: { topic: 'gone', payload: 'x' }, properties: { sessionExpiryInterval: 60 } })
    const old = lab.connected({ version: 4, will: { topic: 'gone', payload: 'x' } })
    lab.broker.drain((listener) =>
      listener === 'mqtt'
        ? [
            { address: '10.0.0.2', port: 1883 },
            { address: 'fd00::3', port: 1884 },
          ]
        : [],
    )
    lab.clock.settle()
    const { reasonCode, properties } = modern.one('disconnect')
    expect([reasonCode, properties?.serverReference]).toEqual([0x9c, '10.0.0.2:1883 [fd00::3]:1884'])
    expect([watcher.take(), old.take(), modern.closed, old.closed]).toEqual([[], [], true, true])
    // It goes on: whoever comes back is served.
    expect(lab.connected({ id: 'again' }).connack.reasonCode).toBe(0)
    const alone = new Lab()
    const last = alone.connected()
    alone.broker.drain(() => [])
    alone.clock.settle()
    expect(last.one('disconnect').reasonCode).toBe(0x8b)
  })

  test('a closed connection that does not take its last bytes is cut', () => {
    const lab = new Lab()
    const client = lab.connected()
    client.freeze()
    client.raw('f000')
    expect(client.stream.ended).toBe(true)
    expect(client.closed).toBe(false)
    lab.advance(5000)
    expect(client.closed).toBe(true)
    expect(lab.broker.connections('mqtt')).toBe(0)
  })

  test('new settings hold for new connections', () => {
    const lab = new Lab()
    lab.broker.configure({ ...lab.settings, limits: { ...lab.settings.limits, maxInflight: 7 } })
    expect(lab.connected().connack.properties.receiveMaximum).toBe(7)
  })

  test('[MQTT-3.2.2-9] what is not supported is told and refused', () => {
    const lab = new Lab({ limits: { maxQoS: 1, retain: false } })
    const client = lab.connected()
    expect(client.connack.properties).toMatchObject({ maximumQoS: 1, retainAvailable: false })
    // [MQTT-3.2.2-10]
    expect(client.subscribe('x', { qos: 2 }).one('suback').granted).toEqual([1])
    expect(client.publish('x', 'y', { qos: 2 }).one('disconnect').reasonCode).toBe(0x9b)
    expect(lab.connected().publish('x', 'y', { retain: true }).one('disconnect').reasonCode).toBe(0x9a)
    // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
    const will = { topic: 'w', payload: 'x' }
    expect(
      lab
        .client()
        .connect({ will: { ...will, qos: 2 } })
        .one('connack').reasonCode,
    ).toBe(0x9b)
    expect(
      lab
        .client()
        .connect({ will: { ...will, retain: true } })
        .one('connack').reasonCode,
    ).toBe(0x9a)
  })

  test('junk of every first byte is answered with a close, and disturbs nobody', () => {
    const lab = new Lab()
    const bystander = lab.subscribed('x')
    for (let first = 0; first < 256; first++) {
      lab.client().raw([first, 2, 0, 0])
      lab.connected().raw([first, 3, 0, 0, 0]).drop()
    }
    lab.connected().publish('x', 'still here')
    expect(bystander.got().at(-1)).toBe('x=still here')
  })
})
