// Clients that send too much, too fast, or too large: what they get, and that others get theirs.

import { describe, expect, test } from 'vitest'
import { bytesOf, Lab } from './lab.ts'

const publish = (topic: string, payload: string, more: object = {}) => ({
  ...{ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false, messageId: 1 },
  ...more,
})

describe('limits.messages_per_second', () => {
  test('a fast client is not read for a while, and nothing of it is lost', () => {
    const lab = new Lab({ limits: { messagesPerSecond: 10 } })
    const watcher = lab.subscribed('t')
    const fast = lab.connected()
    // All in one read: what comes behind the tenth has to wait as well.
    fast.send(...Array.from({ length: 100 }, (_, index) => publish('t', `${index}`)))
    expect(watcher.got().length).toBeLessThanOrEqual(12)
    expect(fast.stream.paused).toBe(true)
    lab.advance(5000)
    const soFar = watcher.got().length
    expect(soFar).toBeGreaterThan(40)
    expect(soFar).toBeLessThan(60)
    lab.advance(5000)
    expect(watcher.got().at(-1)).toBe('t=99')
    expect(fast.closed).toBe(false)
    expect(lab.meter.get('mqtt.paused.rate')).toBeGreaterThan(1)
    lab.advance(1000)
    expect(fast.stream.paused).toBe(false)
  })

  test('others are not held up, and a client below its rate never is', () => {
    const lab = new Lab({ limits: { messagesPerSecond: 10 } })
    const watcher = lab.subscribed('t')
    const fast = lab.connected()
    fast.send(...Array.from({ length: 50 }, () => publish('fast', '')))
    const slow = lab.connected()
    for (let index = 0; index < 30; index++) {
      slow.publish('t', `${index}`)
      expect(watcher.got()).toEqual([`t=${index}`])
      lab.advance(110)
    }
    expect(slow.stream.paused).toBe(false)
  })

  test('QoS 1 is acknowledged in order, later', () => {
    const lab = new Lab({ limits: { messagesPerSecond: 5 } })
    const fast = lab.connected()
    fast.send(...Array.from({ length: 20 }, (_, index) => publish('t', '', { qos: 1, messageId: index + 1 })))
    lab.advance(6000)
    expect(fast.take().map(({ messageId }) => messageId)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  })

  test('the silence of a client that is held is not taken for its death', () => {
    const lab = new Lab({ limits: { messagesPerSecond: 1 } })
    const fast = lab.connected({ keepalive: 2 })
    fast.send(...Array.from({ length: 30 }, () => publish('t', '')), { cmd: 'pingreq' })
    lab.advance(20_000)
    expect(fast.closed).toBe(false)
    lab.advance(10_000)
    expect(fast.take().map(({ cmd }) => cmd)).toEqual(['pingresp'])
    lab.advance(3100)
    expect(fast.one('disconnect').reasonCode).toBe(0x8d)
  })

  test('a client that goes while it is held leaves nothing behind', () => {
    const lab = new Lab({ limits: { messagesPerSecond: 1 } })
    const fast = lab.connected()
    const { timers } = lab.clock
    fast.send(...Array.from({ length: 30 }, () => publish('t', '')))
    expect(lab.clock.timers).toBe(timers + 1)
    fast.drop()
    expect(lab.broker.counts().clients).toBe(0)
    expect(lab.clock.timers).toBe(timers)
  })
})

test('limits.bytes_per_second: a packet of many seconds is followed by as many seconds of silence', () => {
  const lab = new Lab({ limits: { bytesPerSecond: 1000 } })
  const watcher = lab.subscribed('#')
  const fast = lab.connected()
  fast.send(publish('large', 'x'.repeat(10_000)), publish('then', ''))
  expect(watcher.got()).toHaveLength(1)
  lab.advance(8500)
  expect(watcher.got()).toEqual([])
  lab.advance(1500)
  expect(watcher.got()).toEqual(['then='])
})

describe('limits.max_packet_size', () => {
  test('a packet that is larger is answered 0x95; client and topic are in the log', () => {
    const lab = new Lab({ limits: { maxPacketSize: 1024 } })
    const large = lab.connected({ id: 'camera-7' })
    large.publish('yard/picture', 'x'.repeat(2000), { qos: 1 })
    expect(large.one('disconnect').reasonCode).toBe(0x95)
    expect(large.closed).toBe(true)
    expect(lab.meter.get('mqtt.refused.packet-too-large')).toBe(1)
    expect(lab.lines('packet too large')).toEqual([
      { client: 'camera-7', address: '10.0.0.2', bytes: 2020, topic: 'yard/picture', unsaid: 0 },
    ])
  })

  test('the topic is found in whatever pieces the packet comes, as far as it has come', () => {
    const bytes = bytesOf(publish('yard/picture', 'x'.repeat(2000)), 5)
    const topics = [1, 2, 3, 4, 8, bytes.length].map((cut) => {
      const lab = new Lab({ limits: { maxPacketSize: 1024 } })
      const large = lab.connected()
      large.raw(bytes.subarray(0, cut)).raw(bytes.subarray(cut))
      expect(large.closed).toBe(true)
      return lab.lines('packet too large')[0]!['topic']
    })
    expect(topics).toEqual(['yard/picture', 'yard/picture', null, null, 'yar', 'yard/picture'])
  })

  test('a client that does it again and again does not fill the log', () => {
    const lab = new Lab({ limits: { maxPacketSize: 1024 } })
    for (let index = 0; index < 1000; index++) lab.connected({ id: 'camera' }).publish('t', 'x'.repeat(2000))
    expect(lab.lines('packet too large')).toHaveLength(10)
    lab.advance(6000)
    lab.connected({ id: 'camera' }).publish('t', 'x'.repeat(2000))
    expect(lab.lines('packet too large')).toHaveLength(11)
    expect(lab.lines('packet too large')[10]).toMatchObject({ unsaid: 990 })
    expect(lab.meter.get('mqtt.refused.packet-too-large')).toBe(1001)
  })
})

describe('memory becomes short', () => {
  const scarce = (options: object = {}) => {
    const memory = { share: 0, used: () => memory.share, bytes: () => 0 }
    const lab = new Lab({ ...options, memory })
    const become = (share: number) => {
      memory.share = share
      lab.advance(250)
    }
    return { lab, become }
  }

  test('new clients are refused as a busy server does, 0x89 and 3; those with a session come back', () => {
    const { lab, become } = scarce()
    const away = lab.connected({ id: 'away', clean: false, properties: { sessionExpiryInterval: 100 } })
    away.drop()
    const here = lab.subscribed('t')
    become(0.85)
    expect(lab.client(5).connect().one('connack').reasonCode).toBe(0x89)
    expect(lab.client(4).connect().one('connack').returnCode).toBe(3)
    for (let index = 0; index < 98; index++) lab.client(5).connect()
    expect(lab.meter.get('mqtt.refused.89')).toBe(100)
    expect(lab.lines('client refused')).toHaveLength(10)
    const back = lab.connected({ id: 'away', clean: false })
    expect(back.connack.sessionPresent).toBe(true)
    back.publish('t', 'still', { qos: 1 })
    expect(here.got()).toEqual(['t=still'])
    become(0.75)
    expect(lab.client(5).connect().one('connack').reasonCode).toBe(0x89)
    become(0.69)
    lab.connected()
  })

  test('QoS 0 waits for no slow reader any more, those who read get it; QoS 1 stays queued', () => {
    const { lab, become } = scarce()
    const slow = lab.subscribed('#', { qos: 1 })
    const quick = lab.subscribed('#')
    const publisher = lab.connected()
    slow.freeze()
    slow.stream.heldElsewhere = 300 * 1024
    become(0.85)
    publisher.publish('t', 'zero').publish('t', 'one', { qos: 1 })
    expect(quick.got()).toEqual(['t=zero', 't=one'])
    expect(lab.meter.get('mqtt.dropped.slow-reader')).toBe(1)
    slow.stream.heldElsewhere = 0
    slow.thaw()
    expect(slow.got()).toEqual(['t=one'])
  })

  test('sessions.queue.qos0: nothing is queued of QoS 0', () => {
    const { lab, become } = scarce({ sessions: { queue: { qos0: true } } })
    const away = lab.subscribed('t', { id: 'away', clean: false, properties: { sessionExpiryInterval: 100 } })
    const publisher = lab.connected()
    away.drop()
    publisher.publish('t', 'kept')
    become(0.85)
    publisher.publish('t', 'not kept')
    expect(lab.meter.get('mqtt.dropped.memory')).toBe(1)
    expect(lab.client().connect({ id: 'away', clean: false }).got()).toEqual(['t=kept'])
  })

  test('full: QoS 1 and 2 of MQTT 5 are refused with 0x97, what was begun is ended, and all is well again later', () => {
    const { lab, become } = scarce()
    const watcher = lab.subscribed('#', { qos: 2 })
    const publisher = lab.connected()
    publisher.publish('t', 'begun', { qos: 2, messageId: 7 })
    expect(publisher.one('pubrec').reasonCode ?? 0).toBe(0)
    become(0.95)
    publisher.publish('t', 'begun', { qos: 2, messageId: 7, dup: true })
    expect(publisher.one('pubrec').reasonCode ?? 0).toBe(0)
    publisher.pubrel(7)
    expect(publisher.one('pubcomp').reasonCode ?? 0).toBe(0)
    expect(watcher.got()).toEqual(['t=begun'])
    publisher.publish('t', 'one', { qos: 1, messageId: 8 })
    expect(publisher.one('puback').reasonCode).toBe(0x97)
    publisher.publish('t', 'two', { qos: 2, messageId: 9 })
    expect(publisher.one('pubrec').reasonCode).toBe(0x97)
    publisher.publish('t', 'kept', { retain: true })
    publisher.publish('t', 'zero')
    expect(watcher.got()).toEqual(['t=zero'])
    expect(lab.broker.counts().retained).toBe(0)
    expect(lab.meter.get('mqtt.dropped.memory')).toBe(3)
    expect(lab.broker.problems(true)[0]).toMatch(/^memory is short, 95 % of what there is: .*QoS 1 and 2.* are refused/)
    become(0.81)
    publisher.publish('t', 'one', { qos: 1, messageId: 8 })
    expect(publisher.one('puback').reasonCode ?? 0).toBe(0)
    become(0.5)
    expect(lab.broker.problems(true)).toEqual([])
    expect(lab.lines('memory').map(({ now }) => now)).toEqual(['full', 'tight', 'ample'])
  })

  test('full: a 3.1.1 publisher gets no acknowledgement for what is not taken, and is closed', () => {
    const { lab, become } = scarce()
    const publisher = lab.connected({ version: 4 })
    become(0.95)
    publisher.publish('t', 'one', { qos: 1 })
    expect(publisher.take()).toEqual([])
    expect(publisher.closed).toBe(true)
  })
})

describe('two devices with one client id', () => {
  /** Each connects as soon as it is thrown out, for `ms`; returns how often the CONNACKs came. */
  const fight = (lab: Lab, ms: number, addresses: readonly [string, string]) => {
    let welcomed = 0
    let at = 0
    let newest = lab.client(5, 'mqtt', addresses[0]).connect({ id: 'twin' })
    for (let now = 0; now < ms; now += 50) {
      if (newest.take().some(({ cmd }) => cmd === 'connack')) {
        welcomed++
        at = 1 - at
        newest = lab.client(5, 'mqtt', addresses[at]!).connect({ id: 'twin' })
      }
      lab.advance(50)
    }
    return welcomed
  }

  test('wait ever longer for their CONNACK, and are named with both addresses', () => {
    const lab = new Lab()
    const welcomed = fight(lab, 60_000, ['10.0.0.7', '10.0.0.8'])
    // Undamped it would be 1200.
    expect(welcomed).toBeGreaterThan(10)
    expect(welcomed).toBeLessThan(30)
    expect(lab.lines('client id fought over: two devices have the same one')).toEqual([
      { client: 'twin', addresses: ['10.0.0.8:40000', '10.0.0.7:40000'], takeovers: 6 },
    ])
    const [problem] = lab.broker.problems(true)
    expect(problem).toMatch(
      /^two devices fight over the client id "twin", at 10\.0\.0\.[78] and 10\.0\.0\.[78]: \d+ takeovers/,
    )
    expect(lab.broker.problems(false)[0]).toMatch(/^two devices fight over one client id, at 10/)
    expect(lab.broker.counts().clients).toBe(1)
    lab.advance(60_000)
    expect(lab.broker.problems(true)).toEqual([])
  })

  test('some takeovers in a minute are answered at once, and so is everybody else meanwhile', () => {
    const lab = new Lab()
    for (let index = 0; index < 7; index++) lab.connected({ id: 'twin' })
    const waiting = lab.client().connect({ id: 'twin' })
    expect(waiting.take()).toEqual([])
    lab.connected({ id: 'other' })
    lab.advance(250)
    waiting.one('connack')
    waiting.subscribe('t').one('suback')
  })

  test('one that gives up while it waits throws nobody out', () => {
    const lab = new Lab()
    let last = lab.connected({ id: 'twin' })
    for (let index = 0; index < 6; index++) last = lab.connected({ id: 'twin' })
    const waiting = lab.client().connect({ id: 'twin' })
    waiting.drop()
    lab.advance(1000)
    expect(last.closed).toBe(false)
    expect(lab.broker.counts().clients).toBe(1)
  })

  test('who comes after the other has gone is answered at once', () => {
    const lab = new Lab()
    let last = lab.connected({ id: 'twin' })
    for (let index = 0; index < 6; index++) last = lab.connected({ id: 'twin' })
    last.drop()
    lab.connected({ id: 'twin' })
  })
})
