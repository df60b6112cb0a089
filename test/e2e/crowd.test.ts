// What counts the whole cluster: shared subscriptions, the wills of a box that dies, and where clients are sent when a box
// stops; with mosquitto's clients on a LAN of three boxes.

import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const WILL_AFTER_MS = 6000

describe.skipIf(leftOut('crowd', 'mosquitto_sub', 'mosquitto_pub'))('a cluster and its clients', () => {
  let lan: Lan
  let gateways: Gateway[]
  const clients: ChildProcess[] = []

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    const set = { 'cluster.will_after': `${WILL_AFTER_MS}ms` }
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs, set }))
    for (const gateway of gateways) await gateway.start().ready()
    await linked()
  }, 60_000)
  afterAll(() => {
    for (const client of clients) client.kill()
    lan?.down()
  })

  const box = (place: number) => gateways[place - 1]!
  const linked = () => Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 30_000)))
  const at = (place: number) => ['-V', '5', '-h', lan.address(place), '-p', '1883']
  const number = () => gateways.reduce((sum, gateway) => sum + gateway.status().clients, 0)

  function run(program: string, ...args: string[]) {
    const child = lan.spawn('sw', program, args)
    clients.push(child)
    let text = ''
    child.stdout!.on('data', (bytes: Buffer) => {
      text += bytes.toString()
    })
    const lines = () => text.split('\n').slice(0, -1)
    return { child, lines }
  }

  /** A client that prints the payloads it gets. */
  async function subscriber(place: number, id: string, topic: string, ...more: string[]) {
    const before = box(place).status().subscriptions
    const client = run('mosquitto_sub', ...at(place), '-i', id, '-q', '1', '-t', topic, '-F', '%p', ...more)
    await until(`${id} has subscribed`, 15_000, () => box(place).status().subscriptions > before)
    return client
  }

  /** Publishes lines as they are given, with QoS 1; `end`: when all of them are acknowledged. */
  function publisher(place: number, topic: string) {
    const { child } = run('mosquitto_pub', ...at(place), '-q', '1', '-t', topic, '-l')
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
    return {
      say: (from: number, count: number) => {
        for (let index = from; index < from + count; index++) child.stdin!.write(`${index}\n`)
      },
      end: () => {
        child.stdin!.end()
        return ended
      },
    }
  }

  const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index}`)
  const sorted = (texts: readonly string[]) => [...texts].sort((a, b) => Number(a) - Number(b))

  test('a group with clients on two of three boxes gets 3,000 messages, each once', async () => {
    const consumers = [await subscriber(2, 'b', '$share/g/calm'), await subscriber(3, 'c', '$share/g/calm')]
    const got = () => consumers.flatMap(({ lines }) => lines())
    for (const place of [1, 2, 3]) {
      const from = publisher(place, 'calm')
      from.say((place - 1) * 1000, 1000)
      expect(await from.end()).toBe(0)
    }
    await until('all have come', 30_000, () => got().length >= 3000)
    expect(sorted(got())).toEqual(numbers(3000))
    console.info(`of 3,000 in a group: ${consumers.map(({ lines }) => lines().length).join(' and ')}`)
    expect(Math.min(...consumers.map(({ lines }) => lines().length))).toBeGreaterThan(1000)
    for (const { child } of consumers) child.kill()
    await until('they are gone', 10_000, () => number() === 0)
  }, 120_000)

  test("a consumer's box is killed under load: nothing that was acknowledged is missing", async () => {
    const lasting = ['-c', '-x', '600']
    const consumers = [
      await subscriber(2, 'b', '$share/g/load', ...lasting),
      await subscriber(3, 'c', '$share/g/load', ...lasting),
    ]
    const got = () => new Set(consumers.flatMap(({ lines }) => lines()))
    const from = publisher(1, 'load')
    from.say(0, 300)
    await until('messages come', 15_000, () => got().size > 100)
    from.say(300, 300)
    await box(2).kill()
    from.say(600, 300)
    await until('others take what it had', 60_000, () => got().size >= 600)
    await box(2).start().ready()
    await linked()
    from.say(900, 100)
    expect(await from.end()).toBe(0)
    await until('all have come', 60_000, () => got().size >= 1000)
    expect(sorted([...got()])).toEqual(numbers(1000))
    const times = consumers.reduce((sum, { lines }) => sum + lines().length, 0)
    console.info(`box killed under load: 1,000 messages came ${times} times`)
    for (const { child } of consumers) child.kill()
    await until('they are gone', 20_000, () => number() === 0)
  }, 240_000)

  test('a box is killed: the wills of its clients come, but for the one that has connected elsewhere', async () => {
    const watcher = await subscriber(1, 'watcher', 'wills/#')
    const withWill = (place: number, id: string) =>
      subscriber(
        place,
        id,
        `own/${id}`,
        '--will-topic',
        `wills/${id}`,
        '--will-payload',
        `${id} is gone`,
        '--will-qos',
        '1',
      )
    const [away, moves] = [await withWill(2, 'stays-away'), await withWill(2, 'moves')]
    away.child.kill('SIGKILL')
    moves.child.kill('SIGKILL')
    await until('their wills come', 15_000, () => watcher.lines().length === 2)
    const again = [await withWill(2, 'stays-away'), await withWill(2, 'moves')]
    await box(2).kill()
    for (const { child } of again) child.kill('SIGKILL')
    const killedMs = performance.now()
    await withWill(3, 'moves')
    await until('a will comes', 30_000, () => watcher.lines().length > 2)
    const tookMs = performance.now() - killedMs
    await until('no other', 2 * WILL_AFTER_MS + 5000, () => performance.now() - killedMs > tookMs + WILL_AFTER_MS)
    expect(watcher.lines().slice(2)).toEqual(['stays-away is gone'])
    expect(tookMs).toBeGreaterThan(WILL_AFTER_MS)
    console.info(`the will of a killed box came after ${Math.round(tookMs)} ms`)
    await box(2).start().ready()
    await linked()
  }, 120_000)

  test('a box stops: its clients are told of the others, within two seconds', async () => {
    const told = run(process.execPath, join(import.meta.dirname, 'clients/told.mjs'), lan.address(3), '1883')
    await until('it is connected', 15_000, () => told.lines().includes('connected'))
    const { status, tookMs } = await box(3).stop()
    await until('it is told', 5000, () => told.lines().length > 1)
    const { reasonCode, server } = JSON.parse(told.lines()[1]!)
    expect([status, reasonCode]).toEqual([0, 0x9c])
    expect(server.split(' ').sort()).toEqual([1, 2].map((place) => `${lan.address(place)}:1883`))
    expect(tookMs).toBeLessThan(2500)
    console.info(`a stop that sends clients away took ${Math.round(tookMs)} ms`)
  }, 60_000)
})
