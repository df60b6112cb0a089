// Plugs pulled, cables cut, clocks wrong: what the others say, and that everything comes back by itself.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MemberStatus } from '../../src/cluster/status.ts'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const DEAD_AFTER_MS = 5000
const HEARTBEAT_MS = 1000
/** Links are looked at four times in a heartbeat, and a death is rather told one look early than late. */
const LOOK_MS = HEARTBEAT_MS / 4
/** What a timer may be late on two busy cores. */
const LATE_MS = 500
/** What the machine may add to a promise about time: starting programs on two busy cores. */
const SLACK_MS = 2000

describe.skipIf(leftOut('faults', 'faketime', 'mosquitto_sub'))('faults', () => {
  let lan: Lan
  let certs: string
  let gateways: Gateway[]

  beforeEach(async () => {
    lan = new Lan({ gateways: 3 })
    certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000)))
  })
  afterEach(() => lan.down())

  const seenBy = (place: number, other: number): MemberStatus => {
    const member = gateways[place - 1]!.status().cluster.members.find(({ name }) => name === `gw-${other}`)
    if (member === undefined) throw new Error(`gw-${place} does not know gw-${other}`)
    return member
  }
  const says = (place: number, other: number, state: MemberStatus['state'], linked: boolean) => () => {
    const member = seenBy(place, other)
    return member.state === state && member.linked === linked
  }

  /**
   * How long it took after `sinceMs` until a box said so, by the time that it gives itself (all of them have this
   * machine's clock): in `dead_after`, counted from the last sign of life, the newest of which is a heartbeat old.
   */
  const inTime = (what: string, saidMs: number, sinceMs: number): void => {
    const tookMs = saidMs - sinceMs
    console.info(`${what}: ${tookMs} ms`)
    expect(tookMs, what).toBeLessThanOrEqual(DEAD_AFTER_MS + LATE_MS)
    expect(tookMs, what).toBeGreaterThanOrEqual(DEAD_AFTER_MS - HEARTBEAT_MS - LOOK_MS - LATE_MS)
  }
  const deadInTime = async (place: number, other: number, sinceMs: number): Promise<void> => {
    const what = `gw-${place} says that gw-${other} is dead`
    await until(what, DEAD_AFTER_MS + SLACK_MS, says(place, other, 'dead', false))
    inTime(what, seenBy(place, other).sinceMs, sinceMs)
  }
  /** When the link of `place` with `other` was closed for its silence, by the log of `place`. */
  const silentInTime = async (place: number, other: number, sinceMs: number): Promise<void> => {
    const what = `gw-${place} closes its link with gw-${other}`
    const peer = gateways[other - 1]!.status().node.id
    const closed = await until(what, DEAD_AFTER_MS + SLACK_MS, () => {
      const lines = gateways[place - 1]!.log.split('\n').slice(0, -1)
      return lines
        .map((line) => JSON.parse(line))
        .find((line) => line.msg === 'link closed' && line.peer === peer && line.time >= sinceMs)
    })
    expect(closed).toMatchObject({ why: 'silent', by: 'us' })
    expect(seenBy(place, other).linked).toBe(false)
    inTime(what, closed.time, sinceMs)
  }

  test('a box killed with -9 is dead to the others within dead_after, and linked within 10 s of its return', async () => {
    const killedMs = Date.now()
    await gateways[2]!.kill()
    for (const place of [1, 2]) await deadInTime(place, 3, killedMs)
    expect(gateways[0]!.links()).toBe(1)
    await gateways[2]!.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000)))
    for (const place of [1, 2]) expect(says(place, 3, 'alive', true)()).toBe(true)
  })

  test('a switch port that goes silent and comes back: dead within dead_after, linked again without restart', async () => {
    const pids = gateways.map((gateway) => gateway.pid)
    const silentMs = Date.now()
    lan.isolate(3)
    for (const [place, other] of [
      [1, 3],
      [2, 3],
      [3, 1],
      [3, 2],
    ] as const)
      await deadInTime(place, other, silentMs)
    expect(says(1, 2, 'alive', true)()).toBe(true)
    lan.heal()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000 + SLACK_MS)))
    expect(gateways.map((gateway) => gateway.pid)).toEqual(pids)
  })

  test('a cut between two boxes only, and a one-way cut, heal by themselves', async () => {
    const cutMs = Date.now()
    lan.cut(1, 2)
    await silentInTime(1, 2, cutMs)
    expect(seenBy(1, 3).linked && seenBy(2, 3).linked).toBe(true)
    lan.heal()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 15_000)))
    const oneWayMs = Date.now()
    lan.oneWay(1, 3)
    await silentInTime(3, 1, oneWayMs)
    lan.heal()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 15_000)))
  })

  test('a stopped box says goodbye: the others do not wait for dead_after; it stops within 2 s with status 0', async () => {
    const client = lan.spawn('sw', 'stdbuf', [
      '-oL',
      'mosquitto_sub',
      '-h',
      lan.address(3),
      '-t',
      'any',
      '-V',
      'mqttv5',
      '-d',
    ])
    let said = ''
    client.stdout!.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    await until('the client is connected', 5000, () => gateways[2]!.status().subscriptions === 1)
    const { status, tookMs } = await gateways[2]!.stop()
    expect(status).toBe(0)
    expect(tookMs).toBeLessThan(2000)
    await until('gw-1 has no link to gw-3', 1500, () => !seenBy(1, 3).linked)
    // 0x9C, Use another server: the others have such a listener.
    await until('the MQTT 5 client was told', 2000, () => said.includes('DISCONNECT (156)'))
  })

  for (const clock of ['1970-01-02 00:00:00', '2099-06-01 00:00:00']) {
    test(`a box whose clock says ${clock} links`, async () => {
      await gateways[2]!.kill()
      const wrong = new Gateway(lan, 3, {
        certs,
        under: ['faketime', clock],
        env: { FAKETIME_DONT_FAKE_MONOTONIC: '1' },
      })
      gateways[2] = wrong
      await wrong.start({ 'node.name': 'wrong-clock' }).ready()
      await wrong.linkedWith(2, 10_000 + SLACK_MS)
    })
  }

  test('a copied card: the copy makes itself a new identity and both link', async () => {
    await gateways[2]!.stop()
    const original = gateways[1]!
    const copy = new Gateway(lan, 3, { set: { 'node.name': 'copy' } })
    lan.exec(
      'sw',
      'sh',
      '-c',
      `rm -rf '${copy.dataDir}' && cp -a '${original.dataDir}' '${copy.dataDir}' && rm -rf '${copy.dataDir}/run'`,
    )
    await copy.start().ready()
    await until('both live, with different ids', 20_000, () => {
      const [a, b] = [original.status(), copy.status()]
      return a.node.id !== b.node.id && original.links() === 2 && copy.links() === 2
    })
  })
})
