import { describe, expect, test } from 'vitest'
import { hex, Lab } from './lab.ts'

const lasting = { sessionExpiryInterval: 100 }

describe('sessions', () => {
  test('[MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.2.2-3] Clean Start and Session Present', () => {
    const lab = new Lab()
    const connect = (clean: boolean) => lab.connected({ id: 'a', clean, properties: lasting }).connack.sessionPresent
    expect([connect(false), connect(false), connect(true), connect(false)]).toEqual([false, true, false, true])
  })

  test.each([3, 4] as const)('[MQTT3-3.1.2-4] [MQTT3-3.1.2-6] Clean Session, version %i', (version) => {
    const lab = new Lab()
    const connect = (clean: boolean) => {
      const client = lab.connected({ id: 'a', clean, version })
      const answer = client.bytes[2]
      client.drop()
      return answer
    }
    // MQTT 3.1 has no Session Present.
    const present = version === 4 ? 1 : 0
    expect([connect(false), connect(false), connect(true), connect(false)]).toEqual([0, present, 0, 0])
  })

  test('[MQTT-4.1.0-2] a session ends when its expiry has passed, and not before', () => {
    const lab = new Lab()
    lab.subscribed('x', { id: 'a', properties: lasting }).drop()
    lab.advance(99_999)
    expect(lab.broker.counts()).toMatchObject({ sessions: 1, subscriptions: 1, clients: 0 })
    lab.advance(1)
    expect(lab.broker.counts()).toMatchObject({ sessions: 0, subscriptions: 0 })
    expect(lab.connected({ id: 'a', clean: false }).connack.sessionPresent).toBe(false)
  })

  test('without expiry it ends with the connection', () => {
    const lab = new Lab()
    lab.subscribed('x').drop()
    expect(lab.broker.counts()).toMatchObject({ sessions: 0, subscriptions: 0 })
  })

  test('the expiry is capped, and the cap is told', () => {
    const lab = new Lab({ sessions: { maxExpirySec: 50 } })
    const capped = lab.connected({ id: 'a', properties: { sessionExpiryInterval: 0xffffffff } })
    expect(capped.connack.properties.sessionExpiryInterval).toBe(50)
    expect(lab.connected({ properties: { sessionExpiryInterval: 50 } }).connack.properties.sessionExpiryInterval).toBe(
      undefined,
    )
    const old = lab.connected({ id: 'b', version: 4, clean: false })
    capped.drop()
    old.drop()
    lab.advance(50_000)
    expect(lab.broker.counts().sessions).toBe(1)
  })

  test('DISCONNECT may change the expiry, but not revive a session that was to end', () => {
    const lab = new Lab()
    lab.connected({ id: 'a', properties: lasting }).disconnect({ sessionExpiryInterval: 5 })
    expect(lab.broker.counts().sessions).toBe(1)
    lab.advance(5000)
    expect(lab.broker.counts().sessions).toBe(0)
    lab.connected({ id: 'a', properties: lasting }).disconnect({ sessionExpiryInterval: 0 })
    expect(lab.broker.counts().sessions).toBe(0)
    const client = lab.connected({ id: 'a' })
    client.disconnect({ sessionExpiryInterval: 5 })
    expect(client.one('disconnect').reasonCode).toBe(0x82)
    expect(lab.broker.counts().sessions).toBe(0)
  })

  test('[MQTT3-3.1.2-5] QoS 1 and 2 wait for a client that is away, in order; QoS 0 does not', () => {
    const lab = new Lab()
    lab.subscribed('x', { id: 'a', qos: 2, version: 4, clean: false }).drop()
    const publisher = lab.connected()
    publisher.publish('x', '0').publish('x', '1', { qos: 1 }).publish('x', '2', { qos: 2 }).pubrel(1)
    const again = lab.client(4).connect({ id: 'a', clean: false })
    expect(again.take().map(({ cmd, payload, qos }) => [cmd, payload, qos])).toEqual([
      ['connack', null, 0],
      ['publish', '1', 1],
      ['publish', '2', 2],
    ])
    expect(lab.meter.get('mqtt.dropped.away')).toBe(1)
  })

  test('QoS 0 waits too where the settings say so, and later ones stay behind it', () => {
    const lab = new Lab({ sessions: { queue: { qos0: true } } })
    lab.subscribed('x', { id: 'a', qos: 1, properties: lasting }).drop()
    const publisher = lab.connected().publish('x', '1', { qos: 1 }).publish('x', '2', { qos: 1 }).publish('x', '3')
    const back = lab.client().connect({ id: 'a', clean: false, properties: { ...lasting, receiveMaximum: 1 } })
    publisher.publish('x', '4')
    expect(back.got()).toEqual(['x=1'])
    expect(back.puback(1).got()).toEqual(['x=2', 'x=3', 'x=4'])
    publisher.publish('x', '5')
    expect(back.got()).toEqual(['x=5'])
  })

  test('[MQTT-4.4.0-1] [MQTT-3.3.1-1] what is not acknowledged is sent again: DUP, same ids, same order', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { id: 'a', qos: 2, properties: lasting })
    const publisher = lab.connected()
    const publish = (payload: string, qos: number) => publisher.publish('x', payload, { qos, messageId: 1 }).pubrel(1)
    for (const [payload, qos] of [
      ['1', 1],
      ['2', 2],
      ['3', 2],
      ['4', 1],
      ['5', 1],
    ] as const)
      publish(payload, qos)
    const ids = client.take().map(({ messageId }) => messageId)
    expect(ids).toEqual([1, 2, 3, 4, 5])
    client.puback(4).pubrec(2)
    expect(client.one('pubrel').messageId).toBe(2)
    client.drop()
    publish('6', 1)
    const back = lab.client().connect({ id: 'a', clean: false, properties: lasting })
    expect(
      back
        .take()
        .slice(1)
        .map(({ cmd, messageId, payload, dup }) => [cmd, messageId, payload, dup]),
    ).toEqual([
      ['publish', 1, '1', true],
      ['pubrel', 2, null, false],
      ['publish', 3, '3', true],
      ['publish', 5, '5', true],
      ['publish', 6, '6', false],
    ])
    // [MQTT-4.3.3-6] and the exchange ends as usual.
    back.puback(1).pubcomp(2).pubrec(3)
    expect(back.one('pubrel').messageId).toBe(3)
    back.pubcomp(3).puback(5).puback(6).drop()
    expect(lab.client().connect({ id: 'a', clean: false, properties: lasting }).one('connack').sessionPresent).toBe(
      true,
    )
  })

  test('[MQTT-3.3.4-9] sending again keeps to the Receive Maximum of the new connection', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { id: 'a', qos: 1, properties: lasting })
    const publisher = lab.connected()
    for (const payload of '123456') publisher.publish('x', payload, { qos: 1 })
    expect(client.got().length).toBe(6)
    client.drop()
    const back = lab.client().connect({ id: 'a', clean: false, properties: { ...lasting, receiveMaximum: 2 } })
    expect(back.got()).toEqual(['x=1', 'x=2'])
    publisher.publish('x', '7', { qos: 1 })
    expect(back.puback(1).got()).toEqual(['x=3'])
    // Acknowledged before it was sent again: it is done, and makes no room.
    expect(back.puback(4).got()).toEqual([])
    expect(back.puback(2).puback(3).got()).toEqual(['x=5', 'x=6'])
    expect(back.puback(5).got()).toEqual(['x=7'])
  })

  test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] messages expire while they wait, and tell what is left', () => {
    const lab = new Lab()
    lab.subscribed('x', { id: 'a', qos: 1, properties: lasting }).drop()
    const publisher = lab.connected()
    publisher.publish('x', 'short', { qos: 1, properties: { messageExpiryInterval: 5 } })
    publisher.publish('x', 'long', { qos: 1, properties: { messageExpiryInterval: 60 } })
    publisher.publish('x', 'ever', { qos: 1 })
    lab.advance(20_500)
    const got = lab.client().connect({ id: 'a', clean: false, properties: lasting }).take().slice(1)
    expect(got.map(({ payload, properties }) => [payload, properties?.messageExpiryInterval])).toEqual([
      ['long', 40],
      ['ever', undefined],
    ])
    expect(lab.meter.get('mqtt.dropped.expired')).toBe(1)
  })

  test('expiry passes unaltered to a receiver that is there', () => {
    const lab = new Lab()
    const client = lab.subscribed('x')
    lab.connected().publish('x', 'y', { properties: { messageExpiryInterval: 5 } })
    expect(client.one('publish').properties.messageExpiryInterval).toBe(5)
  })

  test('[MQTT-4.4.0-2] PUBREC with an error ends the exchange for good', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { id: 'a', qos: 2, properties: { ...lasting, receiveMaximum: 1 } })
    const publisher = lab.connected()
    for (const payload of '12') publisher.publish('x', payload, { qos: 2, messageId: 1 }).pubrel(1)
    expect(client.got()).toEqual(['x=1'])
    expect(client.pubrec(1, 0x97).one('publish')).toMatchObject({ payload: '2', messageId: 2 })
  })

  test('acknowledgements of nothing are let pass, those out of turn are not', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { qos: 2 }).puback(9).pubcomp(9)
    expect(client.take()).toEqual([])
    expect(client.pubrec(9).one('pubrel').reasonCode).toBe(0x92)
    lab.connected().publish('x', '1', { qos: 2 }).pubrel(1)
    client.take()
    expect(client.puback(1).one('disconnect').reasonCode).toBe(0x82)
  })

  test('subscriptions of a resumed session hold without being made again', () => {
    const lab = new Lab()
    lab.subscribed('x', { id: 'a', version: 4, clean: false }).drop()
    const back = lab.connected({ id: 'a', version: 4, clean: false })
    lab.connected().publish('x', 'y')
    expect(back.got()).toEqual(['x=y'])
  })

  test('a client may come back with another version', () => {
    const lab = new Lab()
    lab.subscribed('x', { id: 'a', qos: 1, version: 4, clean: false }).drop()
    lab.connected().publish('x', '1', { qos: 1, properties: { contentType: 't' } })
    const back = lab.client(5).connect({ id: 'a', clean: false, properties: lasting })
    expect(back.take()[1]).toMatchObject({ payload: '1', properties: { contentType: 't' } })
    back.drop()
    const old = lab.client(4).connect({ id: 'a', clean: false })
    expect(old.take()[1]).toMatchObject({ payload: '1', dup: true, messageId: 1 })
    expect(old.bytes.subarray(4)).toEqual(hex('3a 06 0001 78 0001 31'))
  })
})

describe('bounds of a session', () => {
  const full = (whenFull: 'drop-oldest' | 'drop-newest' | 'disconnect') => {
    const lab = new Lab({ sessions: { queue: { maxMessages: 2, whenFull } } })
    const client = lab.subscribed('x', { id: 'a', qos: 1, properties: { ...lasting, receiveMaximum: 1 } })
    const publisher = lab.connected()
    for (const payload of '1234') publisher.publish('x', payload, { qos: 1 })
    return { lab, client }
  }

  test.each([
    ['drop-oldest', ['x=1', 'x=3', 'x=4']],
    ['drop-newest', ['x=1', 'x=2', 'x=3']],
  ] as const)('queue full: %s', (whenFull, expected) => {
    const { lab, client } = full(whenFull)
    const got = client.got()
    for (const id of [1, 2]) got.push(...client.puback(id).got())
    expect(got).toEqual(expected)
    expect(lab.meter.get('mqtt.dropped.queue-full')).toBe(1)
    expect(lab.broker.counts().dropped).toBe(1)
  })

  test('queue full: disconnect', () => {
    const { lab, client } = full('disconnect')
    expect(client.take().at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x97 })
    expect(client.closed).toBe(true)
    const back = lab.client().connect({ id: 'a', clean: false, properties: lasting })
    expect(back.got()).toEqual(['x=1', 'x=2', 'x=3'])
  })

  test('queue full by bytes', () => {
    const lab = new Lab({ sessions: { queue: { maxBytes: 1000 } } })
    lab.subscribed('x', { id: 'a', qos: 1, properties: lasting }).drop()
    const publisher = lab.connected()
    for (const payload of ['1', '2', '3']) publisher.publish('x', payload.repeat(300), { qos: 1 })
    publisher.publish('x', '4'.repeat(2000), { qos: 1 })
    const got = lab.client().connect({ id: 'a', clean: false }).got()
    expect(got.map((text) => text.slice(0, 3))).toEqual(['x=2', 'x=3'])
  })

  test('a frozen reader gets no QoS 0 beyond its bound, keeps QoS 1 queued, and holds up nobody', () => {
    const lab = new Lab()
    const frozen = lab.subscribed('x', { id: 'a', qos: 1 })
    const brisk = lab.subscribed('x', { qos: 1 })
    frozen.freeze()
    const publisher = lab.connected()
    const payload = 'x'.repeat(100_000)
    for (let index = 0; index < 100; index++) publisher.publish('x', payload)
    for (let index = 0; index < 5; index++) publisher.publish('x', `${index}`, { qos: 1 })
    expect(brisk.got().length).toBe(105)
    expect(frozen.stream.pendingBytes).toBeLessThan(4_500_000)
    const dropped = lab.meter.get('mqtt.dropped.slow-reader')
    expect(dropped).toBeGreaterThan(50)
    frozen.thaw()
    const got = frozen.got()
    expect(got.length).toBe(105 - dropped)
    expect(got.slice(-5)).toEqual(['x=0', 'x=1', 'x=2', 'x=3', 'x=4'])
  })

  test('a frozen reader of a run is dropped from it by the number of its messages', () => {
    const lab = new Lab()
    const frozen = lab.subscribed('x', { version: 4 })
    frozen.freeze()
    const publisher = lab.connected({ version: 4 })
    const packet = { cmd: 'publish', topic: 'x', payload: 'x'.repeat(10_000), qos: 0 }
    for (let index = 0; index < 100; index++) publisher.send(...Array(10).fill(packet))
    frozen.thaw()
    expect(frozen.got().length + lab.meter.get('mqtt.dropped.slow-reader')).toBe(1000)
    expect(lab.broker.counts().messagesOut).toBe(1000 - lab.broker.counts().dropped)
  })

  test('a client that never takes its answers is not read until it does', () => {
    const lab = new Lab()
    const client = lab.connected()
    client.freeze()
    client.raw('c000')
    expect(client.stream.paused).toBe(false)
    client.stream.heldElsewhere = 13_000_000
    client.raw('c000')
    expect(client.stream.paused).toBe(true)
    client.raw('c000')
    expect(client.take()).toEqual([])
    client.stream.heldElsewhere = 0
    client.thaw()
    expect(client.stream.paused).toBe(false)
    expect(client.take().map(({ cmd }) => cmd)).toEqual(['pingresp', 'pingresp', 'pingresp'])
  })

  test('[MQTT-3.1.2-24] [MQTT-3.1.2-25] what is too large for the client is not sent, and counts as sent', () => {
    const lab = new Lab()
    const client = lab.subscribed('x', { qos: 1, properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
    const publisher = lab.connected()
    publisher.publish('x', 'a'.repeat(100)).publish('x', 'b'.repeat(100), { qos: 1 }).publish('x', 'c', { qos: 1 })
    expect(client.got()).toEqual(['x=c'])
    publisher.publish('x', 'd'.repeat(100), { qos: 1 }).publish('x', 'e', { qos: 1 })
    expect(client.puback(2).got()).toEqual(['x=e'])
    expect(lab.meter.get('mqtt.dropped.too-large')).toBe(3)
  })

  test('[MQTT-3.1.2-26] [MQTT-3.1.2-27] topic aliases to the client, up to its maximum, none without', () => {
    const lab = new Lab()
    const client = lab.subscribed('#', { properties: { topicAliasMaximum: 2 } })
    const plain = lab.subscribed('#')
    const publisher = lab.connected()
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) publisher.publish(topic, 'x')
    expect(client.take().map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', undefined],
      ['', 1],
      ['', 2],
      ['c', undefined],
    ])
    expect(plain.got()).toEqual(['a=x', 'b=x', 'c=x', 'a=x', 'b=x', 'c=x'])
  })

  test('an alias is not taken by a message that was too large to be sent', () => {
    const lab = new Lab()
    const client = lab.subscribed('#', { properties: { topicAliasMaximum: 2, maximumPacketSize: 50 } })
    const publisher = lab.connected().publish('a', 'x'.repeat(100)).publish('a', 'x').publish('a', 'y')
    expect(client.take().map(({ topic, properties }) => [topic, properties.topicAlias])).toEqual([
      ['a', 1],
      ['', 1],
    ])
    publisher.drop()
  })
})
