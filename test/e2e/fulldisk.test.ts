// A disk that fills up under a box, on a real small file system: QoS 1 and 2 are refused and the rest goes on, until there
// is room; what was acknowledged outlives a kill -9. The figures are printed.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Gateway } from './gateway.ts'
import { Lan, leftOut } from './lan.ts'

const DISK_MIB = 24
const BALLAST_MIB = 8
const MiB = 1024 * 1024

describe.skipIf(leftOut('full disk'))('a full disk', () => {
  let lan: Lan
  let gateway: Gateway
  let disk: string

  beforeAll(async () => {
    lan = new Lan({ gateways: 1 })
    const set = { 'cluster.enabled': false, 'sessions.queue.max_messages': 1_000_000 }
    gateway = new Gateway(lan, 1, { set })
    disk = join(gateway.dataDir, 'state')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=0700`, 'edge-mqtt-full-disk', disk])
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(BALLAST_MIB * MiB))
    await gateway.start().ready()
  })
  afterAll(async () => {
    await gateway?.kill()
    execFileSync('umount', [disk])
    lan?.down()
  })

  // biome-ignore lint/suspicious/noExplicitAny: each story has figures of its own
  const story = (name: string, ...more: string[]): any => {
    const script = join(import.meta.dirname, 'clients/fulldisk.mjs')
    const accepted = join(lan.directory, 'accepted.json')
    const found = JSON.parse(lan.exec('sw', process.execPath, script, name, lan.address(1), accepted, ...more))
    console.info(`full disk, ${name}: ${JSON.stringify(found)}`)
    return found
  }

  test('refuses what it cannot keep, goes on with the rest, and recovers by itself', () => {
    const found = story('full', join(disk, 'ballast'))
    expect(found.filling[0]).toBeGreaterThan(1000)
    expect(found.filling[0x97]).toBeGreaterThanOrEqual(1000)
    expect(found.seen).toEqual({
      qos2: 0x97,
      // The subscriptions of sessions that are kept; 3.1.1 has a word of its own.
      ...{ keeperAgain: 0, keeperMore: 0x97, keeperLeaves: 0x11, newcomer: 0x97, oldSubscribes: 0x80 },
      oldClosed: true,
      clean: 1,
      qos0: 100,
    })
    expect(found.recoveredMs).toBeLessThan(5000)
    expect(found.again[0]).toBeGreaterThanOrEqual(1000)
    expect(found.subscribed).toBe(0)
    expect(found.neighbour.closed).toBe(false)
    expect(gateway.status().problems.join()).not.toContain('store')
    expect(gateway.status().counters['mqtt.dropped.disk']).toBeGreaterThanOrEqual(1000)
  })

  test('has lost nothing that it acknowledged when it is killed then', async () => {
    await gateway.kill()
    await gateway.start().ready()
    const found = story('after')
    expect(found).toMatchObject({ present: true, missing: 0, twice: 0 })
    expect(found.accepted).toBeGreaterThan(2000)
  })
})
