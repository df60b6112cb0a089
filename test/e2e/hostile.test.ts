// A hostile LAN: lures that lead elsewhere, and a member that has gone bad. Its link closes with a reason, and nobody else
// is hurt.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway, program } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const memberScript = join(import.meta.dirname, 'clients/member.mjs')

/** A printer that prints whatever it is told, and boxes by the thousand that are said to be there. */
const PRINTER = `
const net = require('node:net'), dgram = require('node:dgram'), { randomBytes } = require('node:crypto')
let connections = 0, bytes = 0
net.createServer((socket) => {
  connections++
  socket.on('error', () => {})
  socket.on('data', (more) => { bytes += more.length })
}).listen(9100)
const socket = dgram.createSocket('udp4')
socket.bind(0, () => {
  socket.setBroadcast(true)
  let sent = 0
  const timer = setInterval(() => {
    for (let each = 0; each < 100; each++, sent++) {
      const port = Buffer.from([9100 >> 8, 9100 & 255])
      socket.send(Buffer.concat([port, Buffer.from(process.argv[1], 'hex'), randomBytes(16)]), 4883, '10.77.0.255')
    }
    if (sent >= 5000) clearInterval(timer)
  }, 20)
})
setInterval(() => console.log(JSON.stringify({ connections, bytes })), 500)
`

describe.skipIf(leftOut('hostile', 'mosquitto_pub', 'mosquitto_sub'))('a hostile LAN', () => {
  let lan: Lan
  let certs: string
  let gateways: Gateway[]
  /** Their ids. */
  let good: readonly string[]

  beforeAll(async () => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
    gateways = [1, 2, 3].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(2, 20_000)))
    good = gateways.map((gateway) => gateway.status().node.id)
  })
  afterAll(() => lan?.down())

  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const child = lan.spawn(4, process.execPath, args, env)
    let said = ''
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (bytes: Buffer) => (said += bytes.toString()))
    return { said: () => said, end: () => child.kill('SIGKILL') }
  }
  const rssOf = (gateway: Gateway) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1])
  /** Whether the good ones are linked with each other, and never were otherwise since then. */
  const linkedSince = (gateway: Gateway) =>
    gateway
      .status()
      .cluster.members.filter(({ self, id }) => !self && good.includes(id))
      .map(({ id, linked, state, sinceMs }) => `${id} ${linked} ${state} ${sinceMs}`)
      .sort()

  test('boxes by the thousand, announced at a printer: few dials, and not one byte for it', async () => {
    const printer = run(['-e', PRINTER, gateways[0]!.status().cluster.id!])
    await until('it was tried', 20_000, () => /"connections":[1-9]/.test(printer.said()))
    // Each dialler waits 2 s for a word and hangs up; by then all of them are heard.
    await new Promise((resolve) => setTimeout(resolve, 8000))
    const last = JSON.parse(printer.said().trim().split('\n').at(-1)!) as { connections: number; bytes: number }
    expect(last.bytes).toBe(0)
    // Three boxes, at most one dial a second each to one address.
    expect(last.connections).toBeLessThan(60)
    console.log(`hostile: 5,000 forged beacons: ${last.connections} dials by three boxes, ${last.bytes} bytes`)
    printer.end()
  })

  test('a member of a later version links and stays, and what is new in it is passed over and counted', async () => {
    const victim = gateways[0]!
    const later = run([memberScript, dirname(program), 'what a later version says', lan.address(1), certs])
    await until('it has said so', 15_000, () => later.said().includes('said'))
    expect(later.said()).not.toContain('closed')
    expect(victim.links()).toBe(3)
    expect(victim.status().counters['time.unknown']).toBe(1)
    later.end()
    await until('it is gone', 15_000, () => victim.links() === 2)
  })

  test('a hello from which somebody took the newer version is found inside TLS', async () => {
    const victim = gateways[0]!
    const before = gateways.map(linkedSince)
    const later = run([memberScript, dirname(program), 'a downgraded hello', lan.address(1), certs])
    await until(`it is closed (${later.said()})`, 15_000, () => later.said().includes('closed: tampered'))
    expect(later.said()).not.toContain('linked')
    const { refused } = victim.status().cluster
    expect(refused.map(({ reason }) => reason)).toContain('tampered')
    expect(gateways.map(linkedSince)).toEqual(before)
  })

  for (const [way, reason] of [
    ['a frame without end', /^broke the rules: frame length out of bounds/],
    ['a frame too short', /^broke the rules: frame length out of bounds/],
    ['a channel that was not opened', /^broke the rules: a channel that was not opened/],
    ['channels without end', /^broke the rules: too many channels/],
    ['nonsense for members', /^broke the rules: too many members/],
    ['an absurd time', /^broke the rules: a time that nobody can mean/],
    ['pieces without end', /^broke the rules: /],
    ['a goodbye in the name of others', null],
    ['pings without end, and it never reads', null],
  ] as const) {
    test(`a member that sends ${way}: nobody else is hurt`, async () => {
      const victim = gateways[0]!
      const before = gateways.map(linkedSince)
      const memory = rssOf(victim)
      const subscriber = lan.spawn('sw', 'mosquitto_sub', [
        '-h',
        lan.address(1),
        '-q',
        '1',
        '-t',
        'still/#',
        '-F',
        '%p',
      ])
      let got = ''
      subscriber.stdout!.on('data', (bytes: Buffer) => (got += bytes.toString()))
      await until('the route', 10_000, () => gateways[1]!.status().routes > 0)
      const others = JSON.stringify(good.slice(1))
      const bad = run([memberScript, dirname(program), way, lan.address(1), certs], { OTHERS: others })
      await until('it is linked', 15_000, () => bad.said().includes('linked'))
      const start = performance.now()
      for (let count = 0; count < 10; count++) {
        lan.exec('sw', 'mosquitto_pub', '-h', lan.address(2), '-q', '1', '-t', 'still/here', '-m', `m${count}`)
      }
      await until('all messages', 10_000, () => got.trim().split('\n').length === 10)
      const tookMs = Math.round(performance.now() - start)
      if (reason === null) {
        await until('it has said so', 15_000, () => /said|closed/.test(bad.said()))
      } else {
        await until(`its link is closed (${bad.said()})`, 10_000, () => bad.said().includes('closed'))
        expect(/closed: (.*)/.exec(bad.said())![1]).toMatch(reason)
      }
      expect(gateways.map(linkedSince)).toEqual(before)
      expect(rssOf(victim) - memory).toBeLessThan(60_000)
      console.log(`hostile: ${way}: ${bad.said().trim().replaceAll('\n', ', ')}; 10 messages in ${tookMs} ms`)
      bad.end()
      subscriber.kill()
      await until('it is gone', 15_000, () => victim.links() === 2)
    })
  }
})
