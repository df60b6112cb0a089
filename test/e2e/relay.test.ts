// Two boxes that a switch keeps apart, and a third that both reach: they are one cluster all the same.

import { afterEach, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

/** Every frame that its machine sees, as it is. */
const CAPTURE = `
  use Socket;
  $| = 1;
  binmode STDOUT;
  socket(my $s, 17, SOCK_RAW, unpack 'S', pack 'n', 0x0003) or die $!;
  while (defined recv $s, my $frame, 65536, 0) { print $frame }
`

describe.skipIf(leftOut('relay', 'perl', 'mosquitto_sub', 'mosquitto_pub'))('a relayed link', () => {
  let lan: Lan
  afterEach(() => lan.down())

  test('carries messages both ways, sealed; the straight one takes over without loss when there is a way', async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    const gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
    const [one, two, three] = gateways as [Gateway, Gateway, Gateway]
    const via = (at: Gateway, of: Gateway) => at.status().cluster.members.find(({ name }) => name === `gw-${of.place}`)!

    const listen = (place: number, topic: string): string[] => {
      const lines: string[] = []
      const options = ['-h', lan.address(place), '-i', topic, '-c', '-q', '1', '-t', topic]
      lan.spawn('sw', 'mosquitto_sub', options).stdout!.on('data', (bytes: Buffer) => {
        lines.push(...bytes.toString().split('\n').filter(Boolean))
      })
      return lines
    }
    /** One connection; gives what publishes on it. */
    const publisher = (place: number, topic: string) => {
      const { stdin } = lan.spawn('sw', 'mosquitto_pub', ['-h', lan.address(place), '-t', topic, '-q', '1', '-l'])
      return (...texts: string[]) => void stdin!.write(texts.map((text) => `${text}\n`).join(''))
    }
    const [toOne, toThree] = [publisher(3, 'to-one'), publisher(1, 'to-three')]
    const [atOne, atThree] = [listen(1, 'to-one'), listen(3, 'to-three')]
    await until('both subscriptions are known', 20_000, () => one.status().routes >= 1 && three.status().routes >= 1)

    lan.cut(1, 3)
    await until('they are linked through the second', 30_000, () => {
      const second = two.status().node.id
      return via(one, three).via === second && via(three, one).via === second
    })
    expect(gateways.map((gateway) => gateway.links())).toEqual([2, 2, 2])
    const captured: Buffer[] = []
    lan.spawn(2, 'perl', ['-e', CAPTURE]).stdout!.on('data', (bytes: Buffer) => captured.push(bytes))
    const expected = [...'abcdefgh'].map((letter) => `sealed-marker-${letter}`)
    await until('the capture runs', 10_000, () => captured.length > 0)
    toOne(...expected)
    toThree(...expected)
    await until('all have come', 20_000, () => atOne.length >= 8 && atThree.length >= 8)
    expect([atOne, atThree]).toEqual([expected, expected])
    const seen = Buffer.concat(captured)
    expect(seen.length).toBeGreaterThan(2000)
    expect(seen.includes('sealed-marker')).toBe(false)
    expect(two.status().counters['relay.joined']).toBeGreaterThan(0)

    lan.heal()
    // All the while: before, during and after the links change places.
    const numbers: string[] = []
    await until('they are linked straight', 90_000, () => {
      const number = `n${numbers.length}`
      numbers.push(number)
      toOne(number)
      return via(one, three).via === undefined && via(three, one).via === undefined && via(one, three).linked
    })
    toOne('last')
    await until('everything has come', 20_000, () => atOne.includes('last'))
    expect(atOne.slice(8)).toEqual([...numbers, 'last'])
  }, 240_000)
})
