import { describe, expect, test } from 'vitest'
import { NoPeers } from '../../src/broker/ports.ts'
import { hex, Lab } from './lab.ts'

const will = { topic: 'w', payload: 'gone', qos: 1 as const }

function watched(options: object = {}) {
  const lab = new Lab()
  const watcher = lab.subscribed('w', { qos: 2 })
  return { lab, watcher, client: lab.connected({ id: 'c', will, ...options }) }
}

describe('wills', () => {
  test.each([4, 5] as const)('[MQTT-3.1.2-8] published when the connection fails, version %i', (version) => {
    const { watcher, client } = watched({ version })
    client.drop()
    expect(watcher.one('publish')).toMatchObject({ topic: 'w', payload: 'gone', qos: 1, retain: false })
  })

  test.each([4, 5] as const)('[MQTT-3.14.4-3] DISCONNECT drops it, version %i', (version) => {
    const { watcher, client } = watched({ version })
    client.disconnect()
    expect(client.closed).toBe(true)
    expect(watcher.take()).toEqual([])
  })

  test('DISCONNECT 0x04 publishes it', () => {
    const { watcher, client } = watched()
    client.disconnect({}, 4)
    expect(watcher.got()).toEqual(['w=gone'])
  })

  test('a protocol error of the client and a keep alive that ran out publish it', () => {
    const { watcher, client } = watched()
    client.raw('f000')
    expect(watcher.got()).toEqual(['w=gone'])
    const silent = watched({ keepalive: 1 })
    silent.lab.advance(1500)
    expect(silent.watcher.got()).toEqual(['w=gone'])
  })

  test('[MQTT-3.1.2-15] a retained will is kept', () => {
    const { lab, client } = watched({ will: { ...will, retain: true } })
    client.drop()
    expect(lab.connected().subscribe('w').got()).toEqual(['w=gone'])
  })

  test('the delay passes first, and a client that is back in time has no will published', () => {
    const properties = { sessionExpiryInterval: 100 }
    const delayed = { ...will, properties: { willDelayInterval: 10 } }
    const { lab, watcher, client } = watched({ will: delayed, properties })
    client.drop()
    lab.advance(9999)
    expect(watcher.got()).toEqual([])
    // [MQTT-3.1.3-9]
    const back = lab.connected({ id: 'c', clean: false, will: delayed, properties })
    lab.advance(20_000)
    expect(watcher.got()).toEqual([])
    back.drop()
    lab.advance(10_000)
    expect(watcher.got()).toEqual(['w=gone'])
    lab.advance(200_000)
    expect(watcher.got()).toEqual([])
  })

  test('[MQTT-3.1.2-8] the end of the session comes before the delay', () => {
    const { lab, watcher, client } = watched({
      will: { ...will, properties: { willDelayInterval: 100 } },
      properties: { sessionExpiryInterval: 5 },
    })
    client.drop()
    lab.advance(4999)
    expect(watcher.got()).toEqual([])
    lab.advance(1)
    expect(watcher.got()).toEqual(['w=gone'])
    expect(lab.broker.counts().sessions).toBe(1)
  })

  test('a delay without a session that outlives the connection does not wait', () => {
    const { watcher, client } = watched({ will: { ...will, properties: { willDelayInterval: 100 } } })
    client.drop()
    expect(watcher.got()).toEqual(['w=gone'])
  })

  test.each([
    ['no delay', 0, false, ['w=gone']],
    ['a delay, session resumed', 10, false, []],
    ['a delay, session ended by Clean Start', 10, true, ['w=gone']],
  ])('taking over: %s', (_name, willDelayInterval, clean, expected) => {
    const { lab, watcher } = watched({
      will: { ...will, properties: { willDelayInterval } },
      properties: { sessionExpiryInterval: 100 },
    })
    lab.connected({ id: 'c', clean, properties: { sessionExpiryInterval: 100 } })
    expect(watcher.got()).toEqual(expected)
    lab.advance(50_000)
    expect(watcher.got()).toEqual([])
  })

  test('[MQTT-3.1.3-10] properties of the will pass in order, and its expiry counts from its publishing', () => {
    const lab = new Lab()
    const watcher = lab.subscribed('w')
    // will delay 2, expiry 30, user a=1 b=2 a=3; session expiry 60
    const willProperties = hex('18 00000002  02 0000001e  26 0001 61 0001 31  26 0001 62 0001 32  26 0001 61 0001 33')
    const body = Buffer.concat([
      hex('0004 4d515454 05 06 0000 05 11 0000003c 0001 63'),
      Buffer.from([willProperties.length]),
      willProperties,
      hex('0001 77 0001 21'),
    ])
    lab.client().raw([0x10, body.length], body).drop()
    watcher.bytes = Buffer.alloc(0)
    lab.advance(2000)
    expect(watcher.bytes).toEqual(
      Buffer.concat([hex('30 1f 0001 77 1a 02 0000001e'), willProperties.subarray(10), hex('21')]),
    )
  })

  test('a will is not delivered by No Local to its own client, and reaches members', () => {
    const forwarded: string[] = []
    const peers = Object.assign(new NoPeers(), {
      generation: 0,
      interested: () => true,
      forward: (message: { topic: string; counter: number; publisher: string }) =>
        forwarded.push(`${message.topic} ${message.counter} ${message.publisher}`),
    })
    const lab = new Lab({ peers })
    const properties = { sessionExpiryInterval: 60 }
    const client = lab.connected({ id: 'c', will, properties }).subscribe('w', { qos: 1, nl: true })
    client.drop()
    expect(lab.client().connect({ id: 'c', clean: false }).got()).toEqual([])
    expect(forwarded).toEqual(['w 1 c'])
  })
})
