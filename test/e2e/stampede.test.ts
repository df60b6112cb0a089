// All devices of a site at once, with one account, beside a flow of messages. The figures are printed.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Gateway, program } from './gateway.ts'
import { Lan, leftOut } from './lan.ts'

describe.skipIf(leftOut('stampede'))('a stampede', () => {
  let lan: Lan
  let gateway: Gateway

  beforeAll(async () => {
    lan = new Lan({ gateways: 1 })
    gateway = await new Gateway(lan, 1, { set: { 'cluster.enabled': false, 'auth.anonymous': 'never' } })
      .start()
      .ready()
    const add = ['user', 'add', 'crowd', '--data-dir', gateway.dataDir]
    execFileSync(process.execPath, [program, ...add], { input: 'crowd-secret' })
  })
  afterAll(() => lan?.down())

  test('five thousand connects with one account, and the messages of the others still flow', () => {
    const script = join(import.meta.dirname, 'clients/stampede.mjs')
    const printed = lan.exec('sw', process.execPath, script, lan.address(1), 'crowd', 'crowd-secret', '5000', '1000')
    console.log(`stampede: ${printed.trim()}`)
    const { connected, refused, meanwhile } = JSON.parse(printed)
    expect([connected, refused]).toEqual([5000, 0])
    // With a slow hash for each of them, half the messages would wait for several.
    expect(meanwhile.p50).toBeLessThan(50)
    expect(meanwhile.p99).toBeLessThan(2000)
  })
})
