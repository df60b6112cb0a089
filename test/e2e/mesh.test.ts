// Many boxes on one LAN: how soon all are linked, by how many connections, what they send each other when there is
// nothing to say, and that a message that nobody elsewhere wants stays where it was published.
//
//   EDGE_MESH=16 EDGE_IDLE=60 npx vitest run --project e2e test/e2e/mesh.test.ts     the figures in docs/benchmarks.md

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const BOXES = Number(process.env['EDGE_MESH'] ?? 4)
const IDLE_SEC = Number(process.env['EDGE_IDLE'] ?? 5)
/** Sixteen processes that start at once on two cores take a while to compute. */
const LINKED_MS = 20_000 + BOXES * 5000
const CLUSTER_PORT = 4883
const ESTABLISHED = '01'
/** Of the kernel's clock in /proc/PID/stat. */
const TICKS_PER_SEC = 100
const MESSAGES = 2000
const MESSAGE_BYTES = 500
/** Heartbeats, beacons and what mDNS says meanwhile. */
const CHATTER_BYTES = 200_000

describe.skipIf(leftOut('mesh', 'mosquitto_sub', 'mosquitto_pub'))(`${BOXES} boxes on one LAN`, () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: BOXES })
    const certs = makeCerts(lan.directory)
    gateways = Array.from({ length: BOXES }, (_, index) => new Gateway(lan, index + 1, { certs }))
  })
  afterAll(() => lan?.down())

  const read = (place: number, file: string): string => lan.exec(place, 'cat', file)
  const sentBytes = (place: number): number => Number(read(place, '/sys/class/net/eth0/statistics/tx_bytes'))
  const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!
  const say = (what: string, value: number, unit: string) =>
    console.log(`${BOXES} boxes: ${what} ${value.toFixed(2)} ${unit}`)

  /** The addresses at the other ends of a box's connections between boxes. */
  const linkedAddresses = (place: number): string[] => {
    const rows = read(place, '/proc/net/tcp').trim().split('\n').slice(1)
    return rows.flatMap((row) => {
      const [, local, remote, state] = row.trim().split(/\s+/)
      const isLink = [local!, remote!].some((end) => Number.parseInt(end.split(':')[1]!, 16) === CLUSTER_PORT)
      const address = Buffer.from(remote!.slice(0, 8), 'hex').reverse().join('.')
      return state === ESTABLISHED && isLink ? [address] : []
    })
  }

  /** Seconds of the processor that a box has used so far. */
  const cpuSec = (gateway: Gateway): number => {
    const fields = readFileSync(`/proc/${gateway.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SEC
  }
  const residentMiB = (gateway: Gateway): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1]) / 1024

  test('all are linked with all', async () => {
    for (const gateway of gateways) gateway.start()
    for (const gateway of gateways) await gateway.ready(LINKED_MS)
    const started = performance.now()
    for (const gateway of gateways) await gateway.linkedWith(BOXES - 1, LINKED_MS)
    say('all linked, after the last was ready,', (performance.now() - started) / 1000, 's')
  }, 600_000)

  test('each pair by one connection', async () => {
    const expected = (place: number) =>
      gateways.flatMap((other) => (other.place === place ? [] : [lan.address(other.place)])).sort()
    for (const { place } of gateways) {
      await until(`box ${place} has one connection with each other`, 10_000, () => {
        expect(linkedAddresses(place).sort()).toEqual(expected(place))
        return true
      })
    }
  })

  test('with nothing to say, a box sends little and computes little', async () => {
    const before = gateways.map((gateway) => ({ sent: sentBytes(gateway.place), cpu: cpuSec(gateway) }))
    const began = performance.now()
    await until('the time is over', IDLE_SEC * 1000 + 10_000, () => performance.now() - began > IDLE_SEC * 1000)
    const seconds = (performance.now() - began) / 1000
    const sent = gateways.map(({ place }, index) => (sentBytes(place) - before[index]!.sent) / seconds)
    const cpu = gateways.map((gateway, index) => (100 * (cpuSec(gateway) - before[index]!.cpu)) / seconds)
    say('idle, sent by a box (median)', median(sent) / 1024, 'KiB/s')
    say('idle, CPU of a box (median)', median(cpu), '%')
    say('resident memory of a box (median)', median(gateways.map(residentMiB)), 'MiB')
    expect(median(sent)).toBeLessThan(1024 * BOXES)
  }, 600_000)

  test('what nobody elsewhere wants is not sent to anybody, and what one box wants to that one', async () => {
    const pour = (topic: string): number[] => {
      const before = gateways.map(({ place }) => sentBytes(place))
      const lines = `yes ${'x'.repeat(MESSAGE_BYTES)} | head -${MESSAGES}`
      lan.exec(1, 'sh', '-c', `${lines} | mosquitto_pub -h 127.0.0.1 -l -q 1 -t ${topic}`)
      return gateways.map(({ place }, index) => sentBytes(place) - before[index]!)
    }
    expect(pour('nobody/wants/this')[0]).toBeLessThan(CHATTER_BYTES)

    const arguments_ = ['-h', '127.0.0.1', '-t', 'one/box/wants/this', '-q', '1', '-C', String(MESSAGES)]
    const subscriber = lan.spawn(BOXES, 'mosquitto_sub', arguments_)
    subscriber.stdout!.resume()
    const ended = new Promise((resolve) => subscriber.once('exit', resolve))
    await until('the route is known', 10_000, () => gateways[0]!.status().routes === 1)
    const sent = pour('one/box/wants/this')
    expect(await ended).toBe(0)
    expect(sent[0]).toBeGreaterThan(MESSAGES * MESSAGE_BYTES)
    // Once, and by nobody else.
    expect(sent[0]).toBeLessThan(1.5 * MESSAGES * MESSAGE_BYTES + CHATTER_BYTES)
    for (const bytes of sent.slice(1, -1)) expect(bytes).toBeLessThan(CHATTER_BYTES)
  })
})
