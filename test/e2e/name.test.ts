// edge-mqtt.local on a LAN: asked by multicast, as a resolver does, and answered by the boxes that live.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const OWN = '10.77.0.250'
/**
 * Asks for an IPv4 address of edge-mqtt.local and gives all answers that come within a second, a line each: sender,
 * class, TTL, address. From the mDNS port it is answered to all, from any other to itself (RFC 6762 6.7).
 */
const ASK = `
  const socket = require('dgram').createSocket({ type: 'udp4', reuseAddr: true })
  const name = Buffer.from('\\x09edge-mqtt\\x05local\\x00', 'latin1')
  socket.on('message', (bytes, from) => {
    if (!(bytes[2] & 0x80)) return
    const at = bytes.lastIndexOf(name) + name.length
    if (at < name.length || bytes.readUInt16BE(at) !== 1) return
    const [klass, ttl, size] = [bytes.readUInt16BE(at + 2), bytes.readUInt32BE(at + 4), bytes.readUInt16BE(at + 8)]
    console.log(from.address, klass, ttl, [...bytes.subarray(at + 10, at + 10 + size)].join('.'))
  })
  socket.bind(Number(process.argv[1]), () => {
    socket.addMembership('224.0.0.251', '${OWN}')
    socket.setMulticastInterface('${OWN}')
    const query = Buffer.concat([Buffer.from('000100000001000000000000', 'hex'), name, Buffer.from('00010001', 'hex')])
    socket.send(query, 5353, '224.0.0.251')
    setTimeout(() => process.exit(), 1000)
  })`

describe.skipIf(leftOut('name'))('edge-mqtt.local', () => {
  let lan: Lan
  let gateways: Gateway[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    gateways = [1, 2].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 20_000)))
  })
  afterAll(() => lan?.down())

  const ask = (port: 0 | 5353): string[] =>
    lan.exec('sw', process.execPath, '-e', ASK, String(port)).split('\n').filter(Boolean).sort()
  /** Of class IN, without the cache-flush bit, and not to be kept for long. */
  const answers = (...boxes: number[]) => boxes.map((box) => `10.77.0.${box} 1 10 10.77.0.${box}`)

  for (const port of [5353, 0] as const) {
    test(`every living box answers with its own address, asked from port ${port === 0 ? 'of its own' : port}`, async () => {
      await until('both have answered', 15_000, () => {
        expect([...new Set(ask(port))]).toEqual(answers(1, 2))
        return true
      })
    })
  }

  test('a box that waits to be let in does not answer, a killed one does no more, and one that is back does', async () => {
    const stranger = await new Gateway(lan, 3).start().ready()
    await until('the stranger waits', 20_000, () => stranger.status().cluster.state === 'waiting')
    expect([...new Set(ask(0))]).toEqual(answers(1, 2))
    await gateways[0]!.kill()
    expect(ask(0)).toEqual(answers(2))
    await gateways[0]!.start().ready()
    await until('it answers again', 15_000, () => ask(0).join() === answers(1, 2).join())
  })

  test('a box that stops takes its address back', async () => {
    const listening = lan.spawn('sw', process.execPath, ['-e', ASK.replace('1000)', '15000)'), '5353'])
    const heard: string[] = []
    listening.stdout!.on('data', (bytes: Buffer) => heard.push(...bytes.toString().trimEnd().split('\n')))
    await until('the listener hears', 15_000, () => heard.length > 0)
    await gateways[1]!.stop()
    await until('the goodbye', 5000, () => heard.includes('10.77.0.2 1 0 10.77.0.2'))
    expect(heard.some((line) => line.startsWith('10.77.0.1 1 0 '))).toBe(false)
  })
})
