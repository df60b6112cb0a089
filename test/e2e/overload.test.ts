// Clients that are too much for a box: it goes on serving the others, within its memory. The figures are printed.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { Gateway, type GatewayOptions } from './gateway.ts'
import { Lan, leftOut } from './lan.ts'

const MiB = 1024

describe.skipIf(leftOut('overload'))('overload', () => {
  let lan: Lan | null = null
  afterEach(() => lan?.down())

  const box = async (options: GatewayOptions): Promise<Gateway> => {
    lan = new Lan({ gateways: 1 })
    return new Gateway(lan, 1, { ...options, set: { 'cluster.enabled': false, ...options.set } }).start().ready()
  }

  /** Runs a story of clients/overload.mjs against the box, and prints what came of it with the memory it took. */
  // biome-ignore lint/suspicious/noExplicitAny: each story has figures of its own
  const story = (name: string, gateway: Gateway): any => {
    const before = kilobytes(gateway, 'VmRSS')
    const script = join(import.meta.dirname, 'clients/overload.mjs')
    const environment = ['env', `BOX_PID=${gateway.pid}`] as const
    const found = JSON.parse(lan!.exec('sw', ...environment, process.execPath, script, name, lan!.address(1)))
    const figures = { ...found, grownMiB: Math.round((kilobytes(gateway, 'VmHWM') - before) / MiB) }
    console.log(`${name}: ${JSON.stringify(figures)}`)
    return figures
  }

  const kilobytes = (gateway: Gateway, what: string): number =>
    Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1])

  test('a frozen subscriber among twenty fills only its own queue', async () => {
    const gateway = await box({ set: { 'sessions.queue.max_messages': 500 } })
    const found = story('frozen', gateway)
    expect(found.least).toBe(found.count)
    // Its window and its queue; what came between was dropped, and counted.
    expect(found.frozen).toBeGreaterThan(500)
    expect(found.frozen).toBeLessThan(700)
    expect(found.frozenClosed).toBe(false)
    const { counters } = gateway.status()
    expect(counters['mqtt.dropped.queue-full']).toBe(found.count - found.frozen)
    expect(found.grownMiB).toBeLessThan(100)
  })

  test('28 connections of 100 MB that never become clients cost nothing, and hold up nobody', async () => {
    const gateway = await box({})
    const found = story('strangers', gateway)
    expect(found.neighbour.closed).toBe(false)
    expect(found.neighbour.longestMs).toBeLessThan(1000)
    expect(found.grownMiB).toBeLessThan(64)
    expect(gateway.status().clients).toBeLessThanOrEqual(1)
  })

  test('slow, silent and half-open connections end in time', async () => {
    const gateway = await box({ set: { 'limits.connect_timeout': '2s' } })
    const found = story('dribble', gateway)
    for (const kind of ['slow', 'silent']) {
      expect(found.shortest[kind]).toBeGreaterThan(1500)
      expect(found.longest[kind]).toBeLessThan(5000)
    }
    expect(found.shortest.halfOpen).toBeGreaterThan(1200)
    expect(found.longest.halfOpen).toBeLessThan(4000)
    expect(found.neighbour.closed).toBe(false)
    expect(gateway.status().counters['mqtt.refused.connect-timeout']).toBe(200)
  })

  test('100,000 retained messages for one who subscribes to everything: the others do not notice', async () => {
    const gateway = await box({})
    const found = story('retained', gateway)
    expect(found.received).toBe(100_000)
    expect(found.neighbour.longestMs).toBeLessThan(1000)
  })

  test('when the memory is full QoS 1 is refused, nothing acknowledged is lost, and it recovers', async () => {
    const gateway = await box({
      env: { NODE_OPTIONS: '--max-old-space-size=56' },
      set: {
        'store.durability': 'memory',
        'sessions.queue.max_messages': 10_000_000,
        'sessions.queue.max_bytes': '4GiB',
      },
    })
    const found = story('memory', gateway)
    expect(found.reasons[0x97]).toBeGreaterThan(1000)
    expect(found.refused).toBe(0x89)
    expect(found.present).toBe(true)
    expect(found.received).toBe(found.reasons[0])
    expect(found.welcome).toBe(0)
    expect(found.again).toEqual({ 0: 1 })
    const { counters, problems } = gateway.status()
    expect(counters['mqtt.memory.full']).toBeGreaterThanOrEqual(1)
    expect(problems.join()).not.toContain('memory')
  })
})
