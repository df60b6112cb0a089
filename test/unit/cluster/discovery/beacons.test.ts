import { beforeEach, describe, expect, test } from 'vitest'
import { HostError } from '../../../../src/base/errors.ts'
import { type ClusterId, NO_CLUSTER } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { silentLog } from '../../../../src/base/ports/log.ts'
import { Beacons, type BeaconsWorld } from '../../../../src/cluster/discovery/beacons.ts'
import type { Sighting } from '../../../../src/cluster/discovery/candidates.ts'
import { decodeBeacon, encodeBeacon } from '../../../../src/wire/link/beacon.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { at, Cable, cluster, eth0, FakeDatagrams, instance, lo, node, SeededRandom } from '../fakes.ts'

let clock: VirtualClock
let cable: Cable
let lan: FakeDatagrams
let meter: Meter
let heard: Sighting[]
let own: ClusterId | null
let beacons: Beacons

const settings = { port: 4883, intervalMs: 5000, interfaces: [] }

beforeEach(() => {
  clock = new VirtualClock(0)
  cable = new Cable(clock)
  lan = new FakeDatagrams(cable, [eth0(1), lo])
  meter = new Meter()
  heard = []
  own = cluster('a')
  beacons = make()
})

function make(): Beacons {
  const world: BeaconsWorld = { clock, random: new SeededRandom(3), datagrams: lan, log: silentLog, meter }
  const self = { id: () => node('5'), instance: instance('5'), cluster: () => own, port: () => 4884 }
  return new Beacons(world, settings, self, (sighting) => heard.push(sighting))
}

const foreign = (digit: string) =>
  encodeBeacon({ port: 4883, cluster: cluster('a'), node: node(digit), instance: instance(digit) })
const destinations = () => lan.sent.map(({ from, to }) => `${from}>${to}`)

describe('sending', () => {
  test('begins at once and goes on by a jittered timer, from every interface', () => {
    beacons.start()
    clock.advance(0)
    expect(destinations()).toEqual(['10.0.0.1>255.255.255.255', '10.0.0.1>10.0.0.255', '127.0.0.1>127.255.255.255'])
    clock.advance(60_000)
    const rounds = lan.sent.length / 3
    expect(rounds).toBeGreaterThanOrEqual(12)
    expect(rounds).toBeLessThanOrEqual(15)
  })

  test('says port, cluster, node and instance; no cluster is zero', () => {
    beacons.start()
    clock.advance(0)
    const said = { port: 4884, cluster: cluster('a'), node: node('5'), instance: instance('5') }
    expect(decodeBeacon(lan.sent[0]!.bytes)).toEqual(said)
    own = null
    clock.advance(5000)
    expect(decodeBeacon(lan.sent.at(-1)!.bytes)).toEqual({ ...said, cluster: NO_CLUSTER })
  })

  test('follows interfaces that come and go, and leaves out those of containers', () => {
    beacons.start()
    lan.faces = [eth0(1, 'docker0'), { ...eth0(7, 'wlan0'), broadcast: '10.0.0.127' }]
    clock.advance(5000)
    expect(destinations().slice(-2)).toEqual(['10.0.0.7>255.255.255.255', '10.0.0.7>10.0.0.127'])
  })

  test('that fails on one interface goes on on the others and is told until it works again', () => {
    lan.broken.add('eth0')
    beacons.start()
    clock.advance(10_000)
    expect(destinations()).toContain('127.0.0.1>127.255.255.255')
    expect(beacons.problems()).toEqual(['beacons: cannot be sent on eth0 (ENETUNREACH)'])
    lan.broken.clear()
    clock.advance(15_000)
    expect(beacons.problems()).toEqual([])
  })
})

describe('a newcomer', () => {
  test('is answered at once, and every further one within a second', () => {
    beacons.start()
    clock.advance(2000)
    lan.sent.length = 0
    lan.deliver(foreign('b'), '10.0.0.2')
    expect(lan.sent).toHaveLength(3)
    lan.deliver(foreign('c'), '10.0.0.3')
    lan.deliver(foreign('d'), '10.0.0.4')
    expect(lan.sent).toHaveLength(3)
    clock.advance(1000)
    expect(lan.sent).toHaveLength(6)
  })

  test('is one when it was started anew; a box known already is not', () => {
    beacons.start()
    clock.advance(0)
    lan.deliver(foreign('b'), '10.0.0.2')
    clock.advance(2000)
    lan.sent.length = 0
    lan.deliver(foreign('b'), '10.0.0.2')
    clock.advance(1500)
    expect(lan.sent).toEqual([])
    const again = { port: 4883, cluster: cluster('a'), node: node('b'), instance: instance('e') }
    lan.deliver(encodeBeacon(again), '10.0.0.2')
    expect(lan.sent).toHaveLength(3)
  })
})

describe('receiving', () => {
  test('tells of a box on link, with the port it names', () => {
    beacons.start()
    clock.advance(0)
    lan.deliver(foreign('b'), '10.0.0.2')
    lan.deliver(Buffer.from('1314', 'hex'), '10.0.0.3')
    expect(heard).toEqual([
      {
        endpoint: at('10.0.0.2'),
        source: 'beacon',
        node: node('b'),
        instance: instance('b'),
        cluster: cluster('a'),
      },
      { endpoint: at('10.0.0.3', 4884), source: 'beacon', node: null, instance: null, cluster: null },
    ])
  })

  test('does not hear itself, on any address, but does hear a copy of itself', () => {
    beacons.start()
    clock.advance(6000)
    expect(heard).toEqual([])
    expect(meter.get('beacon.own')).toBeGreaterThan(3)
    const copy = { port: 4883, cluster: cluster('a'), node: node('5'), instance: instance('6') }
    lan.deliver(encodeBeacon(copy), '10.0.0.9')
    expect(heard).toHaveLength(1)
  })

  test('believes only our own subnets, also one that has just come up', () => {
    beacons.start()
    clock.advance(2000)
    lan.deliver(foreign('b'), '172.16.0.2')
    expect(heard).toEqual([])
    expect(meter.get('beacon.offlink')).toBe(1)
    clock.advance(1000)
    lan.faces = [eth0(1), { ...eth0(1, 'wlan0'), address: '172.16.0.1' }]
    lan.deliver(foreign('b'), '172.16.0.2')
    expect(heard).toHaveLength(1)
  })

  test('of 100,000 junk datagrams costs a count and nothing else', () => {
    beacons.start()
    clock.advance(0)
    const asked = lan.asked
    const random = new SeededRandom(1)
    for (let index = 0; index < 100_000; index++) {
      const length = index % 26
      lan.deliver(random.bytes(length === 2 ? 3 : length), '10.0.0.2')
    }
    for (let index = 0; index < 1000; index++) lan.deliver(foreign('b'), `172.16.${index % 200}.2`)
    expect(heard).toEqual([])
    expect(meter.get('beacon.junk')).toBe(100_000)
    expect(meter.get('beacon.offlink')).toBe(1000)
    expect(lan.asked - asked).toBeLessThanOrEqual(1)
  })

  test('of ever new boxes makes at most one beacon more a second', () => {
    beacons.start()
    clock.advance(0)
    lan.sent.length = 0
    for (let index = 0; index < 20_000; index++) {
      const id = node('b').slice(0, 8) + index.toString(16).padStart(8, '0')
      lan.deliver(
        encodeBeacon({ port: 1, cluster: cluster('a'), node: id as ReturnType<typeof node>, instance: instance('b') }),
        '10.0.0.2',
      )
      clock.advance(1)
    }
    expect(lan.sent.length / 3).toBeLessThanOrEqual(20 + 5)
  })
})

describe('a port that cannot be opened', () => {
  test('is a line in problems, and tried again every 30 s', () => {
    lan.bindError = new HostError('unavailable', 'port 4883 is taken')
    beacons.start()
    clock.advance(0)
    expect(beacons.problems()).toEqual([
      'beacons: UDP port 4883 cannot be opened (port 4883 is taken); tried again every 30 s',
    ])
    clock.advance(29_000)
    lan.bindError = null
    expect(lan.sent).toEqual([])
    clock.advance(1000)
    expect(beacons.problems()).toEqual([])
    expect(lan.sent).not.toEqual([])
  })

  test('any more is closed and opened again', () => {
    beacons.start()
    clock.advance(0)
    lan.fail(null, new HostError('failed', 'EBADF'))
    expect(lan.open).toBe(0)
    expect(beacons.problems()).toHaveLength(1)
    clock.advance(30_000)
    expect(lan.open).toBe(1)
  })
})

describe('stopping', () => {
  test('closes the port and leaves no timer', () => {
    beacons.start()
    clock.advance(0)
    lan.deliver(foreign('b'), '10.0.0.2')
    beacons.stop()
    expect(lan.open).toBe(0)
    expect(clock.timers).toEqual([])
  })

  test('before the port is open closes it when it is', () => {
    beacons.start()
    beacons.stop()
    clock.advance(60_000)
    expect(lan.open).toBe(0)
    expect(lan.sent).toEqual([])
  })
})
