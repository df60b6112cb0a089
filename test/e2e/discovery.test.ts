// Boxes that share a CA find each other and link, by themselves, however they hear of each other.
// EDGE_E2E_ROUNDS=10 repeats the cold starts.

import { afterEach, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const rounds = Number(process.env['EDGE_E2E_ROUNDS'] ?? 1)
const ways = {
  'beacon alone': { 'cluster.discovery.mdns.enabled': false },
  'mDNS alone': { 'cluster.discovery.beacon.enabled': false },
  both: {},
} as const

describe.skipIf(leftOut('discovery'))('discovery', () => {
  let lan: Lan
  afterEach(() => lan.down())

  for (const [way, set] of Object.entries(ways)) {
    for (let round = 1; round <= rounds; round++) {
      test(`three boxes are linked within 10 s of the last start: ${way}, round ${round}`, async () => {
        lan = new Lan({ gateways: 3, noDefaultRoute: round % 2 === 0 })
        const certs = makeCerts(lan.directory)
        const gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs, set }))
        const order = round % 3 === 0 ? [2, 0, 1] : round % 3 === 1 ? [0, 1, 2] : [2, 1, 0]
        for (const index of order) await gateways[index]!.start().ready()
        await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000)))
        for (const gateway of gateways) {
          const { cluster } = gateway.status()
          expect(cluster.state).toBe('member')
          expect(cluster.members.map((member) => member.name).sort()).toEqual(['gw-1', 'gw-2', 'gw-3'])
          expect(cluster.members.every((member) => member.state === 'alive')).toBe(true)
        }
      })

      test(`three daemons on one host likewise: ${way}, round ${round}`, async () => {
        lan = new Lan({ gateways: 1, noDefaultRoute: round % 2 === 0 })
        const certs = makeCerts(lan.directory)
        const free = { 'listeners.mqtt.port': 0, 'cluster.port': 0 }
        const gateways = [1, 2, 3].map(
          (n) => new Gateway(lan, 1, { certs, set: { ...set, ...free, 'node.name': `d${n}` } }),
        )
        for (const gateway of gateways) await gateway.start().ready()
        await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 10_000)))
      })
    }
  }

  test('a box with nothing hears the cluster and waits; one alone on a LAN makes a cluster', async () => {
    lan = new Lan({ gateways: 3 })
    const first = await new Gateway(lan, 1).start().ready()
    expect(first.status().cluster.state).not.toBe('waiting')
    await until('the first box has made its CA', 12_000, () => first.status().cluster.id !== null)
    const fresh = await new Gateway(lan, 2).start().ready()
    await until('the fresh box waits', 12_000, () => fresh.status().cluster.state === 'waiting')
    expect(fresh.status().cluster.id).toBe(null)
    expect(fresh.status().problems.join('\n')).toMatch(/wait/)
    await until('the log names the cluster', 3000, () => fresh.log.includes(first.status().cluster.id!))
    expect(first.links()).toBe(0)
  })

  test('two subnets joined by one static peer become one cluster', async () => {
    lan = new Lan({ gateways: 2, beyond: 2 })
    const certs = makeCerts(lan.directory)
    const gateways = [1, 2, 3, 4].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways.slice(0, 3)) await gateway.start().ready()
    await gateways[3]!.start({ 'cluster.discovery.peers': `["${lan.address(1)}:4883"]` }).ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(3, 20_000)))
  })

  test('a LAN that filters broadcast and multicast after the first day still works', async () => {
    lan = new Lan({ gateways: 2 })
    const certs = makeCerts(lan.directory)
    const gateways = [1, 2].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
    await until('the peers are on disk', 15_000, () => lan.exec(1, 'cat', `${gateways[0]!.dataDir}/state/peers.json`))
    for (const gateway of gateways) await gateway.stop()
    const deaf = { 'cluster.discovery.beacon.enabled': false, 'cluster.discovery.mdns.enabled': false }
    for (const gateway of gateways) await gateway.start(deaf).ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
  })
})
