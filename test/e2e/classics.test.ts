// What clustered brokers have got wrong before: filters that overlap on several boxes, a filter that clients on two boxes
// hold, a box that comes back with its store and is told nothing, the power of a whole building. With clients that nobody
// here wrote.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const PLACES = [1, 2, 3] as const

describe.skipIf(leftOut('classics', 'mosquitto_sub', 'mosquitto_pub'))('classics', () => {
  let lan: Lan
  let gateways: Gateway[]

  const linked = () => Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 30_000)))

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    gateways = PLACES.map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await linked()
  })
  afterAll(() => lan?.down())

  const at = (place: number) => ['-h', lan.address(place), '-p', '1883']
  const publish = (place: number, topic: string, text: string) =>
    lan.exec('sw', 'mosquitto_pub', ...at(place), '-t', topic, '-q', '1', '-m', text)

  /** A client that stays; `lines` fills with what it prints. */
  const subscribe = async (place: number, filter: string) => {
    const lines: string[] = []
    const child = lan.spawn('sw', 'stdbuf', ['-oL', 'mosquitto_sub', ...at(place), '-t', filter, '-q', '1', '-v', '-d'])
    child.stdout!.on('data', (bytes: Buffer) => lines.push(...bytes.toString().split('\n').filter(Boolean)))
    await until(`subscribed to ${filter}`, 10_000, () => lines.some((line) => line.startsWith('Subscribed')))
    const got = () => lines.filter((line) => /^[a-z]+\//.test(line))
    return { got, end: () => child.kill('SIGTERM') }
  }
  const session = (id: string, filter: string) => ['-i', id, '-c', '-q', '1', '-t', filter]
  /** Subscribes and goes away again. */
  const sleeper = (place: number, id: string, filter: string) =>
    lan.exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-E')
  const fetched = (place: number, id: string, filter: string, count: number) =>
    lan.exec('sw', 'mosquitto_sub', ...at(place), ...session(id, filter), '-C', String(count), '-W', '20').trimEnd()
  const whole = () =>
    until('no session without its copy', 30_000, () =>
      gateways.every((gateway) => !gateway.status().problems.some((text) => text.startsWith('copies'))),
    )

  test('t/+/x, t/# and t/a on three boxes: each gets what matches, once, from whichever box', async () => {
    const subscribers = [await subscribe(1, 't/+/x'), await subscribe(2, 't/#'), await subscribe(3, 't/a')]
    const expected: string[][] = [[], [], []]
    for (const place of PLACES) {
      for (const [topic, to] of [
        ['t/a', [1, 2]],
        ['t/a/x', [0, 1]],
        ['t/a/y', [1]],
        ['t', [1]],
        ['t/a/b/x', [1]],
        ['u/a', []],
      ] as const) {
        publish(place, topic, `from ${place}`)
        for (const index of to) if (topic !== 't') expected[index]!.push(`${topic} from ${place}`)
      }
    }
    publish(1, 't/last/x', 'the end')
    publish(1, 't/a', 'the end')
    expected[0]!.push('t/last/x the end')
    expected[1]!.push('t/last/x the end', 't/a the end')
    expected[2]!.push('t/a the end')
    await until('all have come to their end', 10_000, () =>
      subscribers.every(({ got }, index) => got().length >= expected[index]!.length),
    )
    for (const [index, { got, end }] of subscribers.entries()) {
      expect(got().sort()).toEqual(expected[index]!.sort())
      end()
    }
  })

  test('a filter that clients on two boxes hold is wanted until the last of each box has gone', async () => {
    const routes = () => gateways[0]!.status().routes
    const before = routes()
    const [one, two, other] = [await subscribe(2, 'held/#'), await subscribe(2, 'held/#'), await subscribe(3, 'held/#')]
    await until('a route to each box', 5000, () => routes() === before + 2)
    one.end()
    publish(1, 'held/it', 'first')
    await until('both have it', 5000, () => [two, other].every(({ got }) => got().join() === 'held/it first'))
    two.end()
    await until('the route to one box is gone', 5000, () => routes() === before + 1)
    publish(1, 'held/it', 'second')
    await until('it has it', 5000, () => other.got().join() === 'held/it first,held/it second')
    const arrived = () => gateways.slice(1).map((gateway) => gateway.status().counters['forward.in'] ?? 0)
    const soFar = arrived()
    other.end()
    await until('no route is left', 5000, () => routes() === before)
    publish(1, 'held/it', 'third')
    expect(arrived()).toEqual(soFar)
  })

  test('a box that comes back with its store is told at once what its sleeping sessions want', async () => {
    sleeper(2, 'silent', 'silent/#')
    await whole()
    // All of them: nobody keeps it going, and nobody remembers what the others wanted.
    for (const gateway of gateways) await gateway.kill()
    for (const index of [1, 0]) await gateways[index]!.start().ready()
    await until('they are linked', 20_000, () => gateways[0]!.links() === 1)
    publish(1, 'silent/it', 'told')
    await gateways[2]!.start().ready()
    await linked()
    publish(3, 'silent/it', 'too')
    expect(fetched(2, 'silent', 'silent/#', 2).split('\n').sort()).toEqual(['told', 'too'])
  })

  test.each([
    [1, 2, 3],
    [3, 1, 2],
    [2, 3, 1],
  ])('the power of the building fails, and boxes start in the order %i %i %i: nothing is missing', async (...order) => {
    const name = `power${order.join('')}`
    for (const place of PLACES) sleeper(place, `${name}-${place}`, `${name}/#`)
    await whole()
    for (const place of PLACES) publish(place, `${name}/from`, `before ${place}`)
    await Promise.all(gateways.map((gateway) => gateway.kill()))
    for (const place of order) gateways[place - 1]!.start()
    for (const gateway of gateways) await gateway.ready()
    for (const place of PLACES) publish(place, `${name}/from`, `after ${place}`)
    await linked()
    const expected = PLACES.flatMap((place) => [`after ${place}`, `before ${place}`]).sort()
    for (const place of PLACES) {
      const elsewhere = (place % 3) + 1
      const got = fetched(elsewhere, `${name}-${place}`, `${name}/#`, expected.length)
      expect(got.split('\n').sort()).toEqual(expected)
    }
  })
})
