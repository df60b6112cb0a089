// A client's session on a LAN: where it connects, there it is, whichever box has died, been cut off or come back.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

describe.skipIf(leftOut('sessions', 'mosquitto_sub', 'mosquitto_pub'))('sessions', () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
  })
  afterAll(() => lan?.down())

  const at = (place: number) => ['-h', lan.address(place), '-p', '1883']
  const session = (id: string, filter: string) => ['-i', id, '-c', '-q', '2', '-t', filter, '-F', '%q %p']
  const publish = (place: number, topic: string, qos: number, ...texts: string[]) => {
    for (const text of texts) lan.exec('sw', 'mosquitto_pub', ...at(place), '-t', topic, '-q', String(qos), '-m', text)
  }
  /** Subscribes and goes away again. */
  const sleeper = (place: number, id: string, filter: string) =>
    lan.exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-E')
  const fetched = (place: number, id: string, filter: string, count: number) =>
    lan
      .exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-C', String(count), '-W', '12')
      .trimEnd()
      .split('\n')
  const sessions = () => gateways.reduce((sum, gateway) => sum + gateway.status().sessions, 0)
  const clients = () => gateways.reduce((sum, gateway) => sum + gateway.status().clients, 0)
  const quiet = () =>
    until('no session without its copy', 20_000, () =>
      gateways.every((gateway) => !gateway.status().problems.some((text) => text.startsWith('copies'))),
    )

  test('its box is killed: it is at every other, with what was published before and after, in order', async () => {
    sleeper(1, 'one', 'one/#')
    await quiet()
    publish(2, 'one/x', 1, 'a')
    publish(3, 'one/x', 2, 'b')
    publish(1, 'one/x', 2, 'c')
    await gateways[0]!.kill()
    publish(3, 'one/x', 2, 'd')
    publish(2, 'one/x', 1, 'e')
    // Order holds for each QoS.
    const got = fetched(3, 'one', 'one/#', 5)
    expect(got.filter((line) => line.startsWith('1'))).toEqual(['1 a', '1 e'])
    expect(got.filter((line) => line.startsWith('2'))).toEqual(['2 b', '2 c', '2 d'])
    await gateways[0]!.start().ready()
    await gateways[0]!.linkedWith(2, 20_000)
    await until('one session in the cluster', 20_000, () => sessions() === 1)
    await quiet()
    publish(1, 'one/x', 2, 'f')
    expect(fetched(2, 'one', 'one/#', 1)).toEqual(['2 f'])
  })

  test('it goes from box to box while it is published to', async () => {
    sleeper(1, 'two', 'two')
    const expected: string[] = []
    for (let round = 0; round < 6; round++) {
      const texts = [0, 1, 2].map((number) => `${round}.${number}`)
      for (const [index, text] of texts.entries()) publish(((round + index) % 3) + 1, 'two', 2, text)
      expected.push(...texts.map((text) => `2 ${text}`))
      expect(fetched(((round + 1) % 3) + 1, 'two', 'two', 3)).toEqual(expected.slice(-3))
    }
  })

  test('one client id on two boxes: one connection is left', async () => {
    const before = clients()
    const first = lan.spawn('sw', 'mosquitto_sub', [...at(1), ...session('twin', 'twin')])
    await until('the first is connected', 10_000, () => clients() === before + 1)
    const second = lan.spawn('sw', 'mosquitto_sub', [...at(2), ...session('twin', 'twin')])
    await until('they have taken over from each other', 20_000, () =>
      gateways.some((gateway) => (gateway.status().counters['mqtt.takeover'] ?? 0) >= 2),
    )
    first.kill('SIGKILL')
    await until('one is left', 10_000, () => clients() === before + 1)
    second.kill('SIGKILL')
    await until('none is left', 10_000, () => clients() === before)
  })

  test('a box is cut off and comes back: a client that stayed is not disturbed, and gets everything', async () => {
    const lines: string[] = []
    const child = lan.spawn('sw', 'mosquitto_sub', [...at(1), ...session('stays', 'stays')])
    child.stdout!.on('data', (bytes: Buffer) => lines.push(...bytes.toString().trimEnd().split('\n')))
    await until('its subscription is known', 10_000, () => {
      publish(2, 'stays', 1, 'known?')
      return lines.length > 0
    })
    await quiet()
    const told = () => lines.filter((line) => !line.endsWith('known?'))
    const takeovers = gateways[0]!.status().counters['mqtt.takeover'] ?? 0
    lan.cut(1, 2)
    lan.cut(1, 3)
    await until('the others think that it is dead', 20_000, () =>
      [1, 2].every((index) => gateways[index]!.status().cluster.members.some(({ state }) => state === 'dead')),
    )
    publish(2, 'stays', 2, 'b', 'c')
    publish(1, 'stays', 2, 'a')
    lan.heal()
    await gateways[0]!.linkedWith(2, 60_000)
    await until('everything has come', 30_000, () => told().length >= 3)
    publish(3, 'stays', 2, 'd')
    await until('the last has come', 10_000, () => lines.includes('2 d'))
    expect(told().sort()).toEqual(['2 a', '2 b', '2 c', '2 d'])
    expect(gateways[0]!.status().counters['mqtt.takeover'] ?? 0).toBe(takeovers)
    child.kill('SIGKILL')
    await quiet()
  })
})
