// A session with a very long queue whose client connects at another box: it comes whole and in order, a piece at a time, and
// nobody else waits for it. EDGE_HEAVY_MB says how heavy; docs/benchmarks.md has the figures for a gigabyte.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const MEGABYTES = Number(process.env['EDGE_HEAVY_MB'] ?? 64)
const PAYLOAD_BYTES = 16 * 1024
const MESSAGES = Math.round((MEGABYTES * 1024 * 1024) / PAYLOAD_BYTES)
/** What a neighbour may wait for an answer while it comes: mostly, and ever. */
const P99_MS = 100
const LONGEST_MS = 1000

describe.skipIf(leftOut('heavy'))('a heavy session', () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 2 })
    const certs = makeCerts(lan.directory)
    const set = { 'sessions.queue.max_bytes': '2GiB', 'sessions.queue.max_messages': 1_000_000 }
    gateways = [1, 2].map((place) => new Gateway(lan, place, { certs, set }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 20_000)))
  })
  afterAll(() => lan?.down())

  const peakMiB = ({ pid }: Gateway): number =>
    Math.round(Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024)

  test(`${MEGABYTES} MB move to another box`, async () => {
    const script = join(import.meta.dirname, 'clients/heavy.mjs')
    const hosts = [lan.address(1), lan.address(2)]
    const clients = lan.spawn('sw', process.execPath, [script, ...hosts, String(MESSAGES), String(PAYLOAD_BYTES)], {
      PIDS: gateways.map(({ pid }) => pid).join(),
    })
    let said = ''
    for (const stream of [clients.stdout!, clients.stderr!]) {
      stream.on('data', (bytes: Buffer) => {
        said += bytes.toString()
      })
    }
    const report = JSON.parse(await until('it has come', 60_000 + MEGABYTES * 1000, () => said.endsWith('\n') && said))
    const peaks = gateways.map(peakMiB)
    console.info(`${MEGABYTES} MB: ${JSON.stringify({ ...report, peaks })}`)
    expect(report).toMatchObject({ present: true, received: MESSAGES, missing: 0, twice: 0, disorder: 0 })
    expect(Math.max(...report.p99Ms)).toBeLessThan(P99_MS)
    expect(Math.max(...report.longestMs)).toBeLessThan(LONGEST_MS)
    expect(gateways.map((gateway) => gateway.links())).toEqual([1, 1])
  })
})
