// What is published for the sessions of a box that is out of reach: it is parked on disk, also by a box that came up alone
// after everybody's power went, and stands at a second box, in case the first does not come back.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

/** Longer than a box that has just started takes everybody to want everything. */
const ALONE_MS = 33_000
const TEXTS = ['a', 'b', 'c', 'd', 'e']

describe.skipIf(leftOut('parking', 'mosquitto_sub', 'mosquitto_pub'))('parking', () => {
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

  const gateway = (place: number) => gateways[place - 1]!
  const at = (place: number) => ['-h', lan.address(place), '-p', '1883']
  const session = (id: string, filter: string) => ['-i', id, '-c', '-q', '2', '-t', filter]
  /** Subscribes and goes away again. */
  const sleeper = (place: number, id: string, filter: string) =>
    lan.exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-E')
  const fetched = (place: number, id: string, filter: string, count: number) =>
    lan
      .exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-C', String(count), '-W', '20')
      .trimEnd()
      .split('\n')
  /** Each is acknowledged when this returns. */
  const publish = (place: number, topic: string) => {
    for (const [index, text] of TEXTS.entries()) {
      lan.exec('sw', 'mosquitto_pub', ...at(place), '-t', topic, '-q', String(1 + (index % 2)), '-m', text)
    }
  }
  const queueAt = (place: number, of: number) =>
    gateway(place)
      .status()
      .cluster.members.find(({ name }) => name === `gw-${of}`)?.queue
  const pause = (ms: number) => {
    const end = performance.now() + ms
    return until('the time', 2 * ms, () => performance.now() > end)
  }

  test('the power of the building goes; the box that is back alone keeps what the others are to have', async () => {
    sleeper(2, 'dark', 'dark/#')
    await Promise.all(gateways.map((each) => each.kill()))
    await gateway(1).start().ready()
    await pause(ALONE_MS)
    publish(1, 'dark/x')
    const { problems } = gateway(1).status()
    expect(problems.filter((text) => /is out of reach: \d+ messages are parked here/.test(text))).toHaveLength(1)
    // Not even this box stays.
    await gateway(1).kill()
    for (const each of gateways) await each.start().ready()
    await Promise.all(gateways.map((each) => each.linkedWith(2, 30_000)))
    expect(fetched(2, 'dark', 'dark/#', TEXTS.length).sort()).toEqual(TEXTS)
    await until('nothing is parked any more', 20_000, () => queueAt(1, 2)?.parked === 0)
  })

  test('the box that has parked is gone for good: a second one hands it over', async () => {
    sleeper(2, 'cut', 'cut/#')
    lan.isolate(2)
    await until('gw-2 is dead for the others', 20_000, () =>
      [1, 3].every((place) =>
        gateway(place)
          .status()
          .cluster.members.some(({ name, state }) => name === 'gw-2' && state === 'dead'),
      ),
    )
    publish(1, 'cut/x')
    expect(queueAt(1, 2)).toMatchObject({ parked: TEXTS.length })
    expect(gateway(1).command('cluster', 'status')).toMatch(/gw-2 .* 5 parked/)
    await gateway(1).kill()
    await until('gw-3 has parked it', 40_000, () => {
      const { counters } = gateway(3).status()
      return (counters['park.taken-over'] ?? 0) >= TEXTS.length
    })
    lan.heal()
    await gateway(2).linkedWith(1, 30_000)
    expect(fetched(2, 'cut', 'cut/#', TEXTS.length).sort()).toEqual(TEXTS)
    await until('nothing is parked any more', 20_000, () => queueAt(3, 2)?.parked === 0)
  })
})
