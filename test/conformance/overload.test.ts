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
  test('[MQTT-3.2.2-15] a packet that is larger is answered 0x95; client and topic are in the log', () => {
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
