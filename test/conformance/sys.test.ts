// $SYS: what the broker says of itself, by mosquitto's names.

import { describe, expect, test } from 'vitest'
import { NoPeers } from '../../src/broker/ports.ts'
import { type Client, Lab } from './lab.ts'

/** What a client has got, by topic; the last word counts. */
const heard = (client: Client): Record<string, string> =>
  Object.fromEntries(
    client
      .take()
      .filter(({ cmd }) => cmd === 'publish')
      .map(({ topic, payload }) => [topic, payload]),
  )

describe('a subscriber of $SYS', () => {
  test('is told at once how things stand, as retained messages, with QoS 0', () => {
    const lab = new Lab()
    const away = lab.connected({ id: 'away', clean: false, properties: { sessionExpiryInterval: 100 } })
    away.subscribe('kept', { qos: 1 })
    away.drop()
    lab.connected().publish('kept', 'x'.repeat(100), { qos: 1, retain: true })
    const packets = lab.connected().subscribe('$SYS/#', { qos: 2 }).take()
    expect(packets[0].cmd).toBe('suback')
    const messages = packets.slice(1)
    expect(messages.every(({ retain, qos }) => retain && qos === 0)).toBe(true)
    expect(
      Object.fromEntries(messages.map(({ topic, payload }) => [topic.slice('$SYS/broker/'.length), payload])),
    ).toEqual({
      'clients/connected': '2',
      'clients/disconnected': '1',
      'clients/total': '3',
      'clients/maximum': '2',
      'clients/expired': '0',
      'subscriptions/count': '2',
      'shared_subscriptions/count': '0',
      'retained messages/count': '1',
      'messages/stored': '2',
      'store/messages/count': '2',
      'store/messages/bytes': '232',
      'messages/received': '6',
      'messages/sent': '6',
      'publish/messages/received': '1',
      'publish/messages/sent': '0',
      'publish/messages/dropped': '0',
      'bytes/received': expect.stringMatching(/^[1-9]\d+$/),
      'bytes/sent': expect.stringMatching(/^[1-9]\d+$/),
    })
  })

  test('hears every ten seconds of what has changed, and of nothing else', () => {
    const lab = new Lab()
    const watcher = lab.connected().subscribe('$SYS/broker/clients/+')
    watcher.take()
    lab.advance(10_000)
    expect(heard(watcher)).toEqual({})
    const other = lab.connected()
    lab.advance(9000)
    expect(heard(watcher)).toEqual({})
    lab.advance(1000)
    expect(heard(watcher)).toEqual({
      '$SYS/broker/clients/connected': '2',
      '$SYS/broker/clients/maximum': '2',
      '$SYS/broker/clients/total': '2',
    })
    other.drop()
    lab.advance(10_000)
    expect(heard(watcher)).toEqual({ '$SYS/broker/clients/connected': '1', '$SYS/broker/clients/total': '1' })
  })

  test('reads the load as averages of 1, 5 and 15 minutes', () => {
    const lab = new Lab()
    const publisher = lab.connected()
    for (let second = 0; second < 600; second++) {
      publisher.publish('t', '')
      lab.advance(1000)
    }
    const load = heard(lab.connected().subscribe('$SYS/broker/load/publish/received/+'))
    expect(Number(load['$SYS/broker/load/publish/received/1min'])).toBeCloseTo(60, 0)
    expect(Number(load['$SYS/broker/load/publish/received/5min'])).toBeCloseTo(60 * (1 - Math.exp(-2)), 0)
    expect(Number(load['$SYS/broker/load/publish/received/15min'])).toBeCloseTo(60 * (1 - Math.exp(-2 / 3)), 0)
  })

  test('[MQTT-4.7.2-1] is nobody who subscribed to # or +/monitor', () => {
    const lab = new Lab()
    const watcher = lab.subscribed(['#', '+/broker/#'])
    lab.advance(60_000)
    expect(watcher.take()).toEqual([])
  })

  test('hears nothing of the $SYS of another node, and makes no other node send its own', () => {
    const wanted: string[] = []
    const peers = new NoPeers()
    peers.wanted = (filter: string, _durable: boolean, taken: () => void) => {
      wanted.push(filter)
      taken()
    }
    const lab = new Lab({ peers })
    const watcher = lab.connected().subscribe(['$SYS/broker/uptime', 'plain', '$SYS/#'])
    watcher.take()
    expect(wanted).toEqual(['plain'])
    const message = {
      ...origin,
      counter: 0,
      retain: false,
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: 'p' as never,
      stamp: null,
    }
    expect(lab.broker.deliverFromPeer({ ...message, ...bytes('1 seconds'), topic: '$SYS/broker/uptime', qos: 0 })).toBe(
      0,
    )
    expect(watcher.take()).toEqual([])
    watcher.unsubscribe('$SYS/#', 'plain').one('unsuback')
  })
})

const origin = { origin: { node: 'b' as never, incarnation: 1 } }
const bytes = (text: string) => ({ payload: Buffer.from(text), properties: Buffer.alloc(0) })

test('what nobody has subscribed to is worked out and told to nobody: no message, no drop', () => {
  const lab = new Lab()
  lab.connected()
  lab.advance(100_000)
  const { messagesOut, dropped } = lab.broker.counts()
  expect({ messagesOut, dropped }).toEqual({ messagesOut: 0, dropped: 0 })
})
