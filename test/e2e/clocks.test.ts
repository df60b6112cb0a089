// Boxes whose clocks are wrong, by faketime: in 1970, in 2099, a day ahead, and one that goes back at a restart. They
// join, hold the same as all others, and nothing expires that should not.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ShownTime } from '../../src/ops/clustertime.ts'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const DAY_MS = 24 * 3600_000

/** Where the linker looks, whatever the machine. */
const LIBRARY = '/usr/$LIB/faketime/libfaketime.so.1'

describe.skipIf(leftOut('clocks', 'faketime', 'mosquitto_pub', 'mosquitto_sub'))('wrong clocks', () => {
  let lan: Lan
  let certs: string
  const gateways: Gateway[] = []

  beforeAll(async () => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
    for (const place of [1, 2]) gateways.push(await new Gateway(lan, place, { certs }).start().ready())
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 20_000)))
  })
  afterAll(() => lan?.down())

  /** The library itself: the program `faketime` keeps signals from the daemon. */
  const wrong = (place: number, when: string) => {
    const env = { LD_PRELOAD: LIBRARY, FAKETIME: when, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_NO_CACHE: '1' }
    return new Gateway(lan, place, {
      certs,
      under: ['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
    })
  }

  const publish = (place: number, topic: string, payload: string, ...more: string[]) =>
    lan.exec(place, 'mosquitto_pub', '-h', '127.0.0.1', '-q', '1', '-r', '-t', topic, '-m', payload, ...more)
  const retained = (gateway: Gateway, filter: string): Record<string, string> => {
    const rows = JSON.parse(gateway.command('retained', 'get', filter, '--json')) as {
      topic: string
      payload: string
    }[]
    return Object.fromEntries(rows.map(({ topic, payload }) => [topic, Buffer.from(payload, 'base64').toString()]))
  }
  const timeOf = (gateway: Gateway) => JSON.parse(gateway.command('cluster', 'time', '--json')) as ShownTime
  const offMs = (gateway: Gateway) => Math.abs(timeOf(gateway).clusterMs - Date.now())

  test.each([
    ['1970', '@1970-01-02 00:00:00'],
    ['2099', '@2099-06-01 12:00:00'],
    ['a day ahead', '+25h'],
  ])('a box in %s has written alone, joins, and all boxes hold the same', async (name, when) => {
    const topic = `clock/${name.replaceAll(' ', '-')}`
    lan.isolate(3)
    const late = wrong(3, when)
    await late.start().ready()
    await until('it serves alone', 20_000, () => late.status().cluster.state === 'alone')
    publish(3, `${topic}/alone`, 'by the box alone')
    publish(3, `${topic}/expiring`, 'for an hour', '-V', 'mqttv5', '-D', 'publish', 'message-expiry-interval', '3600')
    publish(1, `${topic}/theirs`, 'by the others')
    late.command('acl', 'add', 'all', 'deny', 'publish', `${topic}/secret`)
    expect(Math.abs(timeOf(late).ownMs - Date.now())).toBeGreaterThan(DAY_MS - 1000)
    lan.heal()
    await late.linkedWith(2, 30_000)
    const linked = performance.now()
    const all = [...gateways, late]
    const expected = {
      [`${topic}/alone`]: 'by the box alone',
      [`${topic}/expiring`]: 'for an hour',
      [`${topic}/theirs`]: 'by the others',
    }
    for (const box of all) {
      await until(`the same in ${box.dataDir}`, 30_000, () => {
        const found = retained(box, `${topic}/#`)
        return JSON.stringify(Object.entries(found).sort()) === JSON.stringify(Object.entries(expected).sort())
      })
      await until('the rule', 10_000, () => box.command('acl', 'list').includes(`${topic}/secret`))
      expect(offMs(box)).toBeLessThan(5000)
      expect(box.status().problems.filter((text) => text.includes('clock'))).toEqual([])
    }
    console.log(`clocks: ${name}: the same on all ${Math.round(performance.now() - linked)} ms after the link`)
    // It is heard from then on, and hears.
    publish(3, `${topic}/alone`, 'changed')
    publish(2, `${topic}/theirs`, 'changed')
    for (const box of all) {
      const values = () => Object.values(retained(box, `${topic}/+`)).sort()
      await until('the changes', 10_000, () => values().join() === 'changed,changed,for an hour')
    }
    await late.stop()
  })

  test('a box that comes back years earlier has the same, and expires nothing', async () => {
    const dataBox = wrong(4, '+0')
    await dataBox.start().ready()
    await dataBox.linkedWith(2, 30_000)
    publish(4, 'back/kept', 'for a minute', '-V', 'mqttv5', '-D', 'publish', 'message-expiry-interval', '600')
    await until('kept by all', 10_000, () => 'back/kept' in retained(gateways[0]!, 'back/#'))
    await dataBox.stop()
    const again = wrong(4, '-9000d')
    Object.defineProperty(again, 'dataDir', { value: dataBox.dataDir })
    await again.start().ready()
    await again.linkedWith(2, 30_000)
    await until('the time of the others', 10_000, () => offMs(again) < 5000)
    expect(retained(again, 'back/#')).toEqual({ 'back/kept': 'for a minute' })
    publish(4, 'back/kept', 'changed')
    await until('the change', 10_000, () => retained(gateways[1]!, 'back/#')['back/kept'] === 'changed')
    await again.stop()
  })

  test('people set the time of all boxes, and back', async () => {
    const [one, other] = [gateways[0]!, gateways[1]!]
    expect(() => one.command('cluster', 'time', '--set', 'noon')).toThrow(/right would be/)
    const wantedMs = Math.round((Date.now() + 40 * DAY_MS) / 1000) * 1000
    one.command('cluster', 'time', '--set', new Date(wantedMs).toISOString())
    await until('the other follows', 10_000, () => Math.abs(timeOf(other).clusterMs - wantedMs) < 60_000)
    publish(1, 'set/x', 'ahead')
    await until('it is there', 10_000, () => 'set/x' in retained(other, 'set/#'))
    other.command('cluster', 'time', '--set', 'now')
    await until('back again', 10_000, () => offMs(one) < 5000 && offMs(other) < 5000)
    publish(2, 'set/x', 'right')
    await until('the later write counts', 20_000, () => retained(one, 'set/#')['set/x'] === 'right')
    expect(one.command('cluster', 'time')).toMatch(/^Cluster time {2}20\S+Z {2}by gw-2\nThis box {6}20\S+Z {2}right/)
  })
})
