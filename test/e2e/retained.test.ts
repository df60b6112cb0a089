// Retained messages on three boxes, by mosquitto's clients and the commands an operator would type: everywhere, through
// cuts and restarts, and on a box that comes later.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

/** EDGE_RETAINED=100000 by hand. */
const MANY = Number(process.env['EDGE_RETAINED'] ?? 20_000)

interface Row {
  readonly topic: string
  readonly payload: string
  readonly publisher: string
}

describe.skipIf(leftOut('retained', 'mosquitto_sub', 'mosquitto_pub'))('retained messages', () => {
  let lan: Lan
  let certs: string
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
  })
  afterAll(() => lan?.down())

  const publish = (place: number, topic: string, payload: string, ...more: string[]) => {
    const what = payload === '' ? ['-n'] : ['-m', payload]
    const args = ['-h', lan.address(place), '-q', '1', '-r', '-i', `from-${place}`, '-t', topic, ...what, ...more]
    const { status, stderr } = spawnSync('ip', ['netns', 'exec', lan.namespace('sw'), 'mosquitto_pub', ...args])
    expect([status, stderr.toString()]).toEqual([0, ''])
  }
  /** What a client gets that subscribes now. */
  const late = (place: number, filter: string, count: number): string[] => {
    const args = ['-h', lan.address(place), '-t', filter, '-F', '%r %t %p', '-C', String(count), '-W', '5']
    const { stdout } = spawnSync('ip', ['netns', 'exec', lan.namespace('sw'), 'mosquitto_sub', ...args])
    return stdout.toString().trimEnd().split('\n').sort()
  }
  const all = (gateway: Gateway, filter = '#'): Record<string, string> => {
    const rows = JSON.parse(gateway.command('retained', 'get', filter, '--json')) as Row[]
    return Object.fromEntries(rows.map(({ topic, payload }) => [topic, Buffer.from(payload, 'base64').toString()]))
  }
  const everywhere = async (expected: Record<string, string>, withinMs: number, boxes = gateways) => {
    for (const box of boxes) {
      await until(
        `the same retained messages in ${box.dataDir}`,
        withinMs,
        () => JSON.stringify(all(box)) === JSON.stringify(expected),
      )
      expect(box.status().retained).toBe(Object.keys(expected).length)
    }
  }

  test('what is retained on one box is there for late subscribers of every other', async () => {
    publish(1, 'home/door', 'open')
    publish(2, 'home/light', 'on')
    await everywhere({ 'home/door': 'open', 'home/light': 'on' }, 5000)
    for (const place of [1, 2, 3]) expect(late(place, 'home/#', 2)).toEqual(['1 home/door open', '1 home/light on'])
    publish(3, 'home/door', '')
    await everywhere({ 'home/light': 'on' }, 5000)
  })

  test('two sides of a cut write and remove; after it the later write counts everywhere and nothing rises again', async () => {
    publish(1, 'cut/removed', 'before')
    publish(1, 'cut/changed', 'before')
    await until('all there', 5000, () => gateways[2]!.status().retained === 3)
    lan.isolate(1)
    for (const [index, others] of [0, 1, 1].entries()) await gateways[index]!.linkedWith(others, 20_000)
    const here = (topic: string, payload: string) =>
      lan.exec(1, 'mosquitto_pub', '-h', '127.0.0.1', '-r', '-t', topic, ...(payload === '' ? ['-n'] : ['-m', payload]))
    here('cut/changed', 'older, by the box alone')
    here('cut/both', 'older')
    here('cut/removed', '')
    here('cut/alone', '1')
    await new Promise((resolve) => setTimeout(resolve, 50))
    publish(2, 'cut/changed', 'later, by the two')
    publish(3, 'cut/both', 'later')
    publish(3, 'home/light', '')
    lan.heal()
    const started = performance.now()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 30_000)))
    const linked = performance.now()
    const expected = { 'cut/alone': '1', 'cut/both': 'later', 'cut/changed': 'later, by the two' }
    await everywhere(expected, 15_000)
    const [toLink, toAgree] = [linked - started, performance.now() - linked].map(Math.round)
    console.log(`retained: linked ${toLink} ms after the heal, the same on all ${toAgree} ms later`)
  })

  test('they survive a kill of all boxes at once, removed ones stay so', async () => {
    publish(2, 'power/x', 'kept')
    publish(2, 'power/gone', 'x')
    publish(2, 'power/gone', '')
    const before = all(gateways[1]!)
    await everywhere(before, 10_000)
    await Promise.all(gateways.map((gateway) => gateway.kill()))
    for (const gateway of gateways) await gateway.start().ready()
    for (const gateway of gateways) expect(all(gateway)).toEqual(before)
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
    await everywhere(before, 10_000)
  })

  test('an operator lists, gets and removes them on any box', async () => {
    publish(1, 'op/a', 'one', '-V', 'mqttv5', '-D', 'publish', 'message-expiry-interval', '600')
    publish(1, 'op/b', 'two')
    await until('both there', 5000, () => Object.keys(all(gateways[2]!, 'op/#')).length === 2)
    const listed = gateways[2]!.command('retained', 'list', 'op/#').trim().split('\n')
    expect(listed[0]).toMatch(/^op\/a {2}3 bytes, QoS 1, 20\d\d-\S+Z by from-1, expires in (600|59\d|58\d) s$/)
    expect(listed[1]).toMatch(/^op\/b {2}3 bytes, QoS 1, \S+ by from-1$/)
    expect(gateways[2]!.command('retained', 'get', 'op/b')).toBe('two\n')
    expect(gateways[2]!.command('retained', 'get', 'op/+')).toBe('op/a one\nop/b two\n')
    expect(gateways[2]!.command('retained', 'remove', 'op/#')).toBe('2 removed\n')
    await until('removed on all', 5000, () => gateways.every((box) => Object.keys(all(box, 'op/#')).length === 0))
    expect(gateways[1]!.command('retained', 'remove', 'op/#', '--json')).toMatch(/"removed": 0/)
    expect(() => gateways[1]!.command('retained', 'get', 'op/a')).toThrow(/no retained message matches op\/a/)
    expect(() => gateways[1]!.command('retained', 'list', 'op/#/x')).toThrow(/not a topic filter/)
  })

  test('a box that comes later is given everything, once, and messages flow meanwhile', async () => {
    const client = join(import.meta.dirname, 'clients/retained.mjs')
    const before = gateways[0]!.status().retained
    lan.exec('sw', process.execPath, client, 'fill', lan.address(1), String(MANY))
    for (const box of gateways) await until('all there', 30_000, () => box.status().retained === before + MANY)
    const given = () => gateways.map((box) => box.status().counters['lww.retained.given'] ?? 0)
    const earlier = given()
    const paced = async (during: () => Promise<void>): Promise<string> => {
      const pace = lan.spawn('sw', process.execPath, [client, 'pace', lan.address(1), lan.address(2)])
      let said = ''
      pace.stdout!.on('data', (bytes: Buffer) => {
        said += bytes.toString()
      })
      const ended = new Promise((resolve) => pace.once('exit', resolve))
      await during()
      pace.stdin!.end()
      await ended
      return said.trim()
    }
    const calm = await paced(() => new Promise((resolve) => setTimeout(resolve, 3000)))
    const later = new Gateway(lan, 4, { certs })
    let tookMs = 0
    const meanwhile = await paced(async () => {
      await later.start().ready()
      await later.linkedWith(3, 20_000)
      const linkedMs = performance.now()
      await until('everything', 60_000, () => later.status().retained === before + MANY)
      tookMs = Math.round(performance.now() - linkedMs)
    })
    console.log(
      `retained: ${MANY} on a new box ${tookMs} ms after it was linked; the others' messages: before ${calm},`,
    )
    console.log(`retained:   meanwhile ${meanwhile}`)
    const counts = given().map((count, index) => count - earlier[index]!)
    // One donor; of what was written or asked for while it was filled a little may come twice.
    expect(Math.max(...counts)).toBeGreaterThan(MANY * 0.9)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThan(MANY * 1.1)
    // What the machine's other work does to the flow is in what was before.
    expect(JSON.parse(meanwhile).p99).toBeLessThan(500 + 4 * JSON.parse(calm).p99)
    expect(all(later, 'filled/7/#')).toEqual(all(gateways[1]!, 'filled/7/#'))
    await later.stop()
  })
})
