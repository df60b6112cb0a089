// What one box accepts, another delivers: with clients that nobody here wrote.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const clients = join(import.meta.dirname, 'clients')

describe.skipIf(leftOut('messages', 'mosquitto_sub', 'mosquitto_pub'))('messages', () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000)))
  })
  afterAll(() => lan?.down())

  const at = (place: number) => ['-h', lan.address(place), '-p', '1883']
  const script = <T>(name: string, ...args: (string | number)[]): T =>
    JSON.parse(lan.exec('sw', process.execPath, join(clients, name), ...args.map(String))) as T

  /** Starts mosquitto_sub and waits until every other box knows the route; `lines` fills with what it prints. */
  const subscribe = async (place: number, filter: string, ...more: string[]) => {
    const routes = gateways.map((gateway) => gateway.status().routes)
    const child = lan.spawn('sw', 'mosquitto_sub', [...at(place), '-t', filter, '-F', '%t %q %r %p', ...more])
    const lines: string[] = []
    child.stdout!.on('data', (bytes: Buffer) => lines.push(...bytes.toString().trimEnd().split('\n')))
    await until(`a route for ${filter}`, 5000, () =>
      gateways.every((gateway, index) => index + 1 === place || gateway.status().routes > routes[index]!),
    )
    return { lines, end: () => child.kill() }
  }

  for (const version of ['mqttv311', 'mqttv5']) {
    for (const qos of ['0', '1', '2']) {
      test(`mosquitto_pub to one box, mosquitto_sub on two others: ${version}, QoS ${qos}`, async () => {
        const topic = `plain/${version}/${qos}`
        const exact = await subscribe(2, topic, '-q', qos, '-V', version)
        const wild = await subscribe(3, `plain/+/${qos}/#`, '-q', qos, '-V', version)
        for (const text of ['one', 'two', 'three']) {
          lan.exec('sw', 'mosquitto_pub', ...at(1), '-t', topic, '-m', text, '-q', qos, '-V', version)
        }
        const expected = ['one', 'two', 'three'].map((text) => `${topic} ${qos} 0 ${text}`)
        await until('three messages at each', 5000, () => exact.lines.length >= 3 && wild.lines.length >= 3)
        expect(exact.lines).toEqual(expected)
        expect(wild.lines).toEqual(expected)
        exact.end()
        wild.end()
      })
    }
  }

  test('a will fires across boxes when its client is killed', async () => {
    const watcher = await subscribe(2, 'gone/+')
    const dying = lan.spawn('sw', 'mosquitto_sub', [
      ...at(1),
      '-t',
      'nothing',
      '--will-topic',
      'gone/client',
      '--will-payload',
      'dead',
      '--will-qos',
      '1',
    ])
    await until('the client is connected', 5000, () => gateways[0]!.status().clients > 0)
    dying.kill('SIGKILL')
    await until('the will', 5000, () => watcher.lines.includes('gone/client 0 0 dead'))
    watcher.end()
  })

  test('every MQTT 5 property crosses, user properties in order', () => {
    const got = script<Record<string, unknown>>('properties.mjs', lan.address(1), lan.address(2))
    expect(got).toMatchObject({
      topic: 'all/properties',
      payload: 'payload',
      qos: 2,
      retain: false,
      correlationData: 'c1',
    })
    expect(got['properties']).toMatchObject({
      payloadFormatIndicator: true,
      responseTopic: 'answer/here',
      contentType: 'text/plain',
      subscriptionIdentifier: 7,
      userProperties: { first: '1', second: ['2', '3'] },
    })
    const expiry = (got['properties'] as { messageExpiryInterval: number }).messageExpiryInterval
    expect(expiry).toBeGreaterThan(95)
    expect(expiry).toBeLessThanOrEqual(100)
  })

  test('100,000 QoS 1 messages from box to box arrive, each once, in order', () => {
    const result = script<Record<string, number>>('flood.mjs', lan.address(1), lan.address(3), 100_000, 1, 5)
    expect(result).toMatchObject({ acknowledged: 100_000, missing: 0, doubled: 0, disordered: 0 })
  })

  for (const [qos, version] of [
    [0, 4],
    [1, 4],
    [2, 4],
    [2, 5],
  ] as const) {
    test(`MQTT.js: 5,000 messages of QoS ${qos}, version ${version}, from box to box`, () => {
      const result = script<Record<string, number>>('flood.mjs', lan.address(2), lan.address(1), 5000, qos, version)
      expect(result).toMatchObject({ acknowledged: 5000, missing: 0, doubled: 0, disordered: 0 })
    })
  }

  test('10,000 times: subscribe on one box, publish on another right after the SUBACK; none missing', () => {
    const result = script<Record<string, number>>('race.mjs', lan.address(1), lan.address(2), 10_000)
    expect(result).toMatchObject({ count: 10_000, missing: 0 })
  })
})
