// What a box has acknowledged outlives its death: kill -9 in a loop under load, with persistent subscribers that come and
// go, and what remains of retained messages and sessions after a stop.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const CYCLES = Number(process.env['EDGE_KILLS'] ?? 20)

describe.skipIf(leftOut('durability', 'mosquitto_sub', 'mosquitto_pub'))('durability', () => {
  let lan: Lan
  let gateway: Gateway

  beforeAll(async () => {
    lan = new Lan({ gateways: 1 })
    gateway = new Gateway(lan, 1, { set: { 'cluster.enabled': false } })
    await gateway.start().ready()
  })
  afterAll(() => lan?.down())

  const at = () => ['-h', lan.address(1), '-p', '1883']

  test(
    `kill -9, ${CYCLES} times under load: nothing acknowledged is missing, no QoS 2 twice, in order`,
    async () => {
      const script = join(import.meta.dirname, 'clients/survivor.mjs')
      const clients = lan.spawn('sw', process.execPath, [script, lan.address(1), '1883'])
      let said = ''
      clients.stdout!.on('data', (bytes: Buffer) => {
        said += bytes.toString()
      })
      clients.stderr!.on('data', (bytes: Buffer) => {
        said += bytes.toString()
      })
      await until('load', 30_000, () => gateway.status().rates.inPerSecond > 20)
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await gateway.kill()
        // On a busy machine the thousandth start may be a slow one.
        await gateway.start().ready(60_000)
        // At other moments of its commits each time.
        const commits = 3 + ((cycle * 7) % 11)
        await until(`${commits} commits`, 30_000, () => (gateway.status().counters['store.commits'] ?? 0) >= commits)
      }
      clients.stdin?.write('finish\n')
      await until('the clients have judged', 60_000, () => said.endsWith('\n'))
      const report = JSON.parse(said)
      console.info(`kill -9 ${CYCLES} times: ${report.acknowledged} acknowledged, ${report.received} received`)
      expect(report).toMatchObject({ missing: [], twice: [], disorder: [], lost: [], unanswered: 0 })
      expect(report.acknowledged).toBeGreaterThan(CYCLES * 20)
    },
    120_000 + CYCLES * 30_000,
  )

  test('a retained message and a queue survive a stop', async () => {
    const sub = (...more: string[]) =>
      lan.exec('sw', 'mosquitto_sub', ...at(), '-i', 'sleeper', '-c', '-q', '1', '-t', 'later', '-F', '%t %p', ...more)
    sub('-E')
    lan.exec('sw', 'mosquitto_pub', ...at(), '-t', 'later', '-q', '1', '-m', 'kept for you')
    lan.exec('sw', 'mosquitto_pub', ...at(), '-t', 'state', '-q', '1', '-r', '-m', 'on')
    expect((await gateway.stop()).status).toBe(0)
    await gateway.start().ready()
    expect(sub('-C', '1', '-W', '5')).toBe('later kept for you\n')
    expect(lan.exec('sw', 'mosquitto_sub', ...at(), '-t', 'state', '-C', '1', '-W', '5', '-F', '%t %r %p')).toBe(
      'state 1 on\n',
    )
  })
})
