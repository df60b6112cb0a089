// A publisher at one box, persistent subscribers at another: what was acknowledged comes, once and in order, though the
// cable between the boxes is cut, both ways or one way, and though the subscribers' box or the publisher's is killed.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

/** Long enough that the boxes call each other dead. */
const LONG_CUT_MS = 8000
const SHORT_CUT_MS = 2000

describe.skipIf(leftOut('crossing'))('messages from box to box', () => {
  let lan: Lan
  let publishers: Gateway
  let subscribers: Gateway

  beforeAll(async () => {
    lan = new Lan({ gateways: 2 })
    const certs = makeCerts(lan.directory)
    // A session that has no copy: what is lost here is lost.
    const set = { 'sessions.copies': 1 }
    publishers = new Gateway(lan, 1, { certs, set })
    subscribers = new Gateway(lan, 2, { certs, set })
    for (const gateway of [publishers, subscribers]) await gateway.start().ready()
    await publishers.linkedWith(1, 30_000)
  })
  afterAll(() => lan?.down())

  const pause = (ms: number) => {
    const end = performance.now() + ms
    return until('the time', 2 * ms, () => performance.now() > end)
  }

  const stories: readonly (readonly [what: string, fault: () => Promise<unknown>, early?: boolean])[] = [
    [
      'a cut of two seconds',
      async () => {
        lan.cut(1, 2)
        await pause(SHORT_CUT_MS)
        lan.heal()
      },
    ],
    [
      'a cut that both boxes take for a death',
      async () => {
        lan.cut(1, 2)
        await pause(LONG_CUT_MS)
        lan.heal()
      },
    ],
    [
      'a cut of the way there',
      async () => {
        lan.oneWay(1, 2)
        await pause(SHORT_CUT_MS)
        lan.heal()
      },
    ],
    [
      'a cut of the way back',
      async () => {
        lan.oneWay(2, 1)
        await pause(LONG_CUT_MS)
        lan.heal()
      },
    ],
    [
      "kill -9 of the subscribers' box",
      async () => {
        await subscribers.kill()
        await pause(500)
        await subscribers.start().ready(60_000)
      },
    ],
    [
      "kill -9 of the publisher's box",
      async () => {
        await publishers.kill()
        await publishers.start().ready(60_000)
      },
    ],
    [
      "kill -9 of the publisher's box as soon as it has accepted anything",
      async () => {
        await publishers.kill()
        await publishers.start().ready(60_000)
      },
      true,
    ],
  ]

  for (const [what, fault, early = false] of stories) {
    test(what, async () => {
      const script = join(import.meta.dirname, 'clients/survivor.mjs')
      const clients = lan.spawn('sw', process.execPath, [script, lan.address(2), '1883', lan.address(1)])
      let said = ''
      for (const stream of [clients.stdout!, clients.stderr!]) {
        stream.on('data', (bytes: Buffer) => {
          said += bytes.toString()
        })
      }
      const arrived = () => subscribers.status().counters['forward.in'] ?? 0
      const atFirst = arrived()
      await until('messages cross', 60_000, () => arrived() > atFirst + (early ? 0 : 100))
      await fault()
      await publishers.linkedWith(1, 60_000)
      const before = arrived()
      await until('messages cross again', 60_000, () => arrived() > before + 50)
      clients.stdin?.write('finish\n')
      await until('the clients have judged', 60_000, () => said.endsWith('\n'))
      const report = JSON.parse(said)
      console.info(`${what}: ${report.acknowledged} acknowledged, ${report.received} received`)
      expect(report).toMatchObject({ missing: [], twice: [], disorder: [], lost: [], unanswered: 0 })
      for (const gateway of [publishers, subscribers]) {
        const { counters } = gateway.status()
        expect(Object.keys(counters).filter((name) => /^forward\.dropped.*qos12/.test(name))).toEqual([])
      }
    })
  }
})
