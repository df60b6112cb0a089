// Trust while the cluster lives, end to end: the CA replaced and a box removed under load, a box that leaves, and the
// key of the CA where it should be and nowhere else.

import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ShownAuthority } from '../../src/ops/certificates.ts'
import type { ShownRemoval, ShownRotation, ShownSealing } from '../../src/ops/trust.ts'
import { makeCerts } from './certs.ts'
import { Gateway, type GatewayOptions } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const steadyScript = join(import.meta.dirname, 'clients/steady.mjs')

interface Counted {
  readonly sent: number
  readonly acknowledged: number
  readonly missing: number
  readonly doubled: number
  readonly disordered: number
  readonly broken: number
}

/** Whether a TLS client that trusts `ca` alone is content with the listener at localhost:8883. */
const CHECK = `
  const socket = require('node:tls').connect({ host: '127.0.0.1', port: 8883, ca: process.argv[1], servername: 'edge-mqtt.local' })
  socket.on('secureConnect', () => { console.log('content'); process.exit() })
  socket.on('error', (error) => { console.log(error.code); process.exit() })`

describe.skipIf(leftOut('trustlife'))('trust while the cluster lives', () => {
  let lan: Lan
  let certs: string

  beforeEach(() => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
  })
  afterEach(() => lan.down())

  const start = async (place: number, options: GatewayOptions = { certs }) =>
    new Gateway(lan, place, options).start().ready()
  const asked = <T>(gateway: Gateway, ...command: string[]) => JSON.parse(gateway.command(...command, '--json')) as T
  const fingerprint = (gateway: Gateway) => asked<ShownAuthority>(gateway, 'ca', 'show').fingerprint
  const keyOf = (gateway: Gateway) => readFileSync(join(gateway.dataDir, 'state/ca.key'), 'utf8')
  const tlsAt = (gateway: Gateway, ca: string) =>
    lan.exec(gateway.place, process.execPath, '-e', CHECK, '--', ca).trim()

  /** Load on these boxes; `counted` ends it. */
  const steady = async (perSecond: number, ...gateways: readonly Gateway[]) => {
    const hosts = gateways.map(({ place }) => lan.address(place))
    const child = lan.spawn('sw', process.execPath, [steadyScript, String(perSecond), ...hosts])
    let said = ''
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (bytes: Buffer) => {
        said += bytes.toString()
      })
    }
    await until('the load is under way', 20_000, () => said.includes('under way'))
    return async (): Promise<Counted> => {
      child.stdin!.write('stop\n')
      const line = await until(`the count (${said})`, 20_000, () => /\{.*\}/.exec(said)?.[0])
      return JSON.parse(line) as Counted
    }
  }

  test('a rotation and a removal under QoS 1 load lose nothing; who was off links again, who was removed never', async () => {
    const [first, second, third] = [await start(1), await start(2), await start(3)]
    await Promise.all([first, second, third].map((gateway) => gateway.linkedWith(2, 20_000)))
    const before = asked<ShownAuthority>(first, 'ca', 'show')
    const devices = () => first.command('user', 'show', 'devices').trim()
    const url = devices()
    expect(url).toMatch(/^mqtt:\/\/devices:\w+@/)
    await third.stop()
    const counted = await steady(100, first, second)

    const rotated = asked<ShownRotation>(first, 'ca', 'rotate')
    expect(rotated).toMatchObject({ generation: 1, compromised: false })
    expect(rotated.confirmed.map(({ name }) => name)).toEqual(['gw-2'])
    expect(rotated.missing.map(({ name }) => name)).toEqual(['gw-3'])
    expect(fingerprint(second)).toBe(rotated.fingerprint)
    expect(rotated.fingerprint).not.toBe(before.fingerprint)
    // Devices that know the CA before are content with the new certificate, as are those that know the new one.
    const now = asked<ShownAuthority>(first, 'ca', 'show')
    for (const gateway of [first, second]) {
      await until('the listener shows its new certificate', 20_000, () => tlsAt(gateway, now.certificate) === 'content')
      expect(tlsAt(gateway, before.certificate)).toBe('content')
    }

    third.start()
    await third.ready()
    await third.linkedWith(2, 30_000)
    await until('it stands on the new CA', 20_000, () => fingerprint(third) === rotated.fingerprint)

    const removed = asked<ShownRemoval>(second, 'cluster', 'remove', 'gw-3')
    expect(removed).toMatchObject({ name: 'gw-3', missing: [] })
    expect(removed.confirmed.map(({ name }) => name)).toEqual(['gw-1'])
    // Its bundle has a key of the first CA only; whether it had the present one decides about the CA.
    await until('it says so itself', 20_000, () => third.status().cluster.state === 'removed')
    await third.stop()
    third.start()
    await third.ready()
    await new Promise((resolve) => setTimeout(resolve, 20_000))
    expect([third.links(), first.links(), second.links()]).toEqual([0, 1, 1])
    expect(third.status().cluster.state).toBe('removed')

    const count = await counted()
    console.log('rotation and removal under load:', JSON.stringify(count))
    expect(count).toMatchObject({ acknowledged: count.sent, missing: 0, doubled: 0, disordered: 0, broken: 0 })
    expect(count.sent).toBeGreaterThan(4000)
    // What devices were given counts on, and is told again, though it was made from a CA that is gone.
    expect(devices()).toBe(url)
    await first.stop()
    first.start()
    await first.ready()
    expect(devices()).toBe(url)
  })

  test('the key of the CA: in files of the service alone, from all boxes but two by a sealing, in a new one after a theft', async () => {
    const gateways = [await start(1), await start(2), await start(3)]
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
    const sealed = asked<ShownSealing>(gateways[0]!, 'ca', 'seal')
    expect([sealed.kept.length, sealed.deleted.length, sealed.missing.length]).toEqual([2, 1, 0])
    expect(sealed.inBundle).toEqual(sealed.deleted)
    const has = (gateway: Gateway) => keyOf(gateway).includes('PRIVATE KEY')
    expect(gateways.filter(has)).toHaveLength(2)
    for (const gateway of gateways.filter(has)) {
      expect(statSync(join(gateway.dataDir, 'state/ca.key')).mode & 0o777).toBe(0o600)
    }
    const counted = await steady(50, gateways[0]!, gateways[1]!)
    const rotated = asked<ShownRotation>(gateways.find((gateway) => !has(gateway))!, 'ca', 'rotate', '--compromised')
    expect(rotated).toMatchObject({ compromised: true, generation: 1, missing: [] })
    expect(new Set(gateways.map(fingerprint))).toEqual(new Set([rotated.fingerprint]))
    await until('two have the new key', 20_000, () => gateways.filter(has).length === 2)
    expect(gateways.map((gateway) => gateway.links())).toEqual([2, 2, 2])
    // The one without the key shows a certificate of the new CA, too: it had it signed.
    const now = asked<ShownAuthority>(gateways[0]!, 'ca', 'show')
    expect(now.holders).toHaveLength(2)
    for (const gateway of gateways) {
      await until('the new certificate', 20_000, () => tlsAt(gateway, now.certificate) === 'content')
    }
    // Whoever has the stolen key is a stranger from now on, also after its minute.
    const thief = await start(4)
    await until('it is refused', 30_000, () => thief.status().cluster.refused.length > 0)
    // When its minute is over, no link stands on the CA before: each was made anew by the next, and nothing was lost.
    const renewed = () => gateways.reduce((sum, each) => sum + (each.status().counters['link.renewed'] ?? 0), 0)
    await until('every link was renewed', 90_000, () => renewed() >= 3)
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
    expect(thief.links()).toBe(0)
    const count = await counted()
    console.log('links renewed under load:', JSON.stringify(count))
    expect(count).toMatchObject({ acknowledged: count.sent, missing: 0, doubled: 0, disordered: 0, broken: 0 })
  })

  test('a box that leaves is alone with a new identity, and a left one to the others', async () => {
    const [first, second] = [await start(1), await start(2)]
    await Promise.all([first.linkedWith(1, 20_000), second.linkedWith(1, 20_000)])
    const { id } = second.status().node
    const left = asked<{ cluster: string; node: string }>(second, 'cluster', 'leave')
    expect(left.cluster).toBe(first.status().cluster.id)
    expect(left.node).not.toBe(id)
    await until('it is alone', 20_000, () => second.status().cluster.state === 'alone')
    const row = await until('the other knows', 10_000, () =>
      first.status().cluster.members.find((each) => each.id === id),
    )
    expect(row.state).toBe('left')
    await second.stop()
    second.start()
    await second.ready()
    expect(second.status().node.id).toBe(left.node)
    expect([first.links(), second.links()]).toEqual([0, 0])
  })
})
