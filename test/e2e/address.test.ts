// The floating address on a LAN: held by one living box, moved when that dies, left alone when somebody else has it.

import type { ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const unit = resolve(import.meta.dirname, '../../systemd/edge-mqtt-address')
const ADDRESS = '10.77.0.99'

describe.skipIf(leftOut('address', 'perl', 'mosquitto_sub', 'mosquitto_pub'))('the floating address', () => {
  let lan: Lan
  let gateways: Gateway[]
  afterEach(() => lan.down())

  const make = (count: number, more = 0): void => {
    lan = new Lan({ gateways: count + more })
    const certs = makeCerts(lan.directory)
    const set = { 'cluster.address': `${ADDRESS}/24` }
    gateways = Array.from({ length: count }, (_, index) => new Gateway(lan, index + 1, { certs, set }))
  }
  const startUnit = ({ place, dataDir }: Gateway): ChildProcess =>
    lan.spawn(place, 'perl', [unit, `${dataDir}/run/address.sock`])
  /** Boxes that have it on their interface, by place. */
  const havers = () =>
    lan.places().filter((place) => lan.exec(place, 'ip', '-4', '-o', 'addr', 'show', 'dev', 'eth0').includes(ADDRESS))
  const holder = () => until('one box has it', 15_000, () => havers().length === 1 && havers()[0]!)
  const linked = async () => {
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(gateways.length - 1, 20_000)))
  }

  test('is held by one box; a client with a persistent session is back on it within 5 s of its death, and has lost nothing', async () => {
    make(3)
    await linked()
    for (const gateway of gateways) startUnit(gateway)
    const first = await holder()
    const own = gateways[first - 1]!
    for (const gateway of gateways) {
      await until('all know the holder', 5000, () => gateway.status().cluster.address?.holder === own.status().node.id)
    }
    const lines: string[] = []
    const client = lan.spawn('sw', 'stdbuf', [
      ...['-oL', 'mosquitto_sub'],
      ...['-h', ADDRESS, '-i', 'floats', '-c', '-q', '1', '-t', 'floats', '-k', '5', '-d', '-F', 'got %p'],
    ])
    client.stdout!.on('data', (bytes: Buffer) => lines.push(...bytes.toString().split('\n').filter(Boolean)))
    const told = () => lines.filter((line) => line.startsWith('got ')).map((line) => line.slice(4))
    const connects = () => lines.filter((line) => line.includes('received CONNACK (0)')).length
    await until('it is subscribed', 15_000, () => lines.some((line) => line.includes('Subscribed')))
    await until('its session has its copy', 20_000, () =>
      gateways.every((gateway) => !gateway.status().problems.some((text) => text.startsWith('copies'))),
    )
    const other = lan.address((first % 3) + 1)
    const publish = (text: string) =>
      lan.exec('sw', 'mosquitto_pub', '-h', other, '-t', 'floats', '-q', '1', '-m', text)
    publish('before')
    const killedMs = performance.now()
    const killed = own.kill()
    // Before it can have come back, so that only its session can have kept it.
    publish('away')
    await killed
    await until('it is back', 10_000, () => connects() === 2)
    const backMs = performance.now() - killedMs
    publish('after')
    await until('everything has come', 15_000, () => new Set(told()).size === 3)
    expect([...new Set(told())]).toEqual(['before', 'away', 'after'])
    console.log(`back after ${Math.round(backMs)} ms`)
    expect(backMs).toBeLessThan(5000)
    const second = await holder()
    expect(second).not.toBe(first)
    // Who was killed is back and does not take it away from a box that lives.
    await own.start().ready()
    await own.linkedWith(2, 20_000)
    await until(
      'it knows the holder',
      10_000,
      () => own.status().cluster.address?.holder === gateways[second - 1]!.status().node.id,
    )
    expect(havers()).toEqual([second])
  })

  test('goes to another box when its own hangs, and stays there', async () => {
    make(2)
    await linked()
    for (const gateway of gateways) startUnit(gateway)
    const first = await holder()
    gateways[first - 1]!.signal('SIGSTOP')
    await until('the other has it, alone', 10_000, () => havers().join() === String(3 - first))
    gateways[first - 1]!.signal('SIGCONT')
    await gateways[first - 1]!.linkedWith(1, 20_000)
    const other = gateways[2 - first]!.status().node.id
    await until('both know who has it', 10_000, () =>
      gateways.every((each) => each.status().cluster.address?.holder === other),
    )
    expect(havers()).toEqual([3 - first])
  })

  test('each side of a cut has its own; after the heal one is left, and all reach it there', async () => {
    make(3)
    await linked()
    for (const gateway of gateways) startUnit(gateway)
    const first = await holder()
    const others = [1, 2, 3].filter((place) => place !== first)
    for (const other of others) lan.cut(first, other)
    await until('one on each side', 15_000, () => havers().length === 2)
    lan.heal()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 60_000)))
    const last = await holder()
    const name = `gw-${last}`
    for (const gateway of gateways) {
      await until(
        `${gateway.dataDir} knows ${name}`,
        5000,
        () => gateway.status().cluster.address?.holder === gateways[last - 1]!.status().node.id,
      )
    }
    const seen = lan.exec('sw', 'mosquitto_sub', '-h', ADDRESS, '-t', 'edge', '-E', '-d')
    expect(seen).toContain('Subscribed')
  })

  test('is left to a stranger that has it, which is said; taken when he goes', async () => {
    make(1, 1)
    lan.exec(2, 'ip', 'addr', 'add', `${ADDRESS}/24`, 'dev', 'eth0')
    const gateway = await gateways[0]!.start().ready()
    await until('the missing unit is named', 20_000, () =>
      gateway.status().problems.some((text) => text.includes('edge-mqtt-address.service is not running here')),
    )
    startUnit(gateway)
    const mac = /link\/ether ([0-9a-f:]+)/.exec(lan.exec(2, 'ip', 'link', 'show', 'dev', 'eth0'))![1]!
    await until('the stranger is named', 15_000, () =>
      gateway.status().problems.some((text) => text.includes(`${mac}, which is none of our boxes, has it`)),
    )
    expect(havers()).toEqual([2])
    lan.exec(2, 'ip', 'addr', 'del', `${ADDRESS}/24`, 'dev', 'eth0')
    await until('taken', 40_000, () => havers().join() === '1')
    await until('nothing is wrong any more', 5000, () =>
      gateway.status().problems.every((text) => !text.includes(ADDRESS)),
    )
    // A stranger that comes with it later: it is defended once, then left to him.
    lan.exec(2, 'ip', 'addr', 'add', `${ADDRESS}/24`, 'dev', 'eth0')
    const claim = () => lan.exec(2, 'perl', '-e', GRATUITOUS, mac)
    await until('let go', 20_000, () => {
      claim()
      return havers().join() === '2'
    })
  })
})

/** A gratuitous ARP of ADDRESS, from the MAC that is its argument. */
const GRATUITOUS = `
  use Socket;
  socket(my $s, 17, SOCK_DGRAM, unpack 'S', pack 'n', 0x0806) or die $!;
  open my $f, '<', '/sys/class/net/eth0/ifindex'; my $index = <$f>;
  my $mac = pack 'C6', map { hex } split /:/, $ARGV[0];
  my $ip = inet_aton('${ADDRESS}');
  my $arp = pack 'n n C C n a6 a4 a6 a4', 1, 0x0800, 6, 4, 1, $mac, $ip, "\\0" x 6, $ip;
  send $s, $arp, 0, pack 'S n l S C C a8', 17, 0x0806, $index, 0, 0, 6, "\\xff" x 6 or die $!;
`
