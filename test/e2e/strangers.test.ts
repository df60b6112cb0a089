// A hostile LAN: strangers without any key of the cluster. Each is refused with its word, is told nothing, and disturbs
// nobody.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MadeInvite } from '../../src/cluster/enrolment/invites.ts'
import { makeCerts } from './certs.ts'
import { Gateway, type GatewayOptions, program } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const strangerScript = join(import.meta.dirname, 'clients/stranger.mjs')

describe.skipIf(leftOut('strangers', 'mosquitto_pub', 'mosquitto_sub'))('strangers on the LAN', () => {
  let lan: Lan
  let certs: string

  beforeEach(() => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
  })
  afterEach(() => lan.down())

  const start = (place: number, options: GatewayOptions = {}) =>
    new Gateway(lan, place, { certs, ...options }).start().ready()
  /** At place 4; `said` fills with its words. */
  const stranger = (way: string, ...more: readonly string[]) => {
    const child = lan.spawn(4, process.execPath, [strangerScript, dirname(program), way, ...more])
    let said = ''
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (bytes: Buffer) => (said += bytes.toString()))
    return { said: () => said, end: () => child.kill('SIGKILL') }
  }
  const refusal = (gateway: Gateway, reason: string) =>
    gateway.status().cluster.refused.find((row) => row.reason === reason && row.address.startsWith(lan.address(4)))
  const rssOf = (gateway: Gateway) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1])
  /** The link with another member, and since when. */
  const linkWith = (gateway: Gateway, name: string) => {
    const row = gateway.status().cluster.members.find((member) => member.name === name)
    return row === undefined ? null : { linked: row.linked, sinceMs: row.sinceMs }
  }

  /** A CA that is not the cluster's, though it says so, in a folder; and an environment in which all machines trust it. */
  const publicCa = () => {
    const folder = join(lan.directory, 'public')
    execFileSync(process.execPath, [strangerScript, dirname(program), 'make a public CA', certs, folder])
    const env = { NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') }
    const trusted = execFileSync(
      process.execPath,
      [strangerScript, dirname(program), 'is it trusted here', '127.0.0.1', folder],
      { encoding: 'utf8', env: { ...process.env, ...env } },
    )
    expect(trusted.trim()).toBe('trusted')
    return { folder, env }
  }

  test('a certificate of a public CA that the whole machine trusts is a foreign one', async () => {
    const { folder, env } = publicCa()
    const [gateway, second] = [await start(1, { env }), await start(2, { env })]
    await gateway.linkedWith(1, 20_000)
    for (const [count, way] of [
      'a public certificate of a web server',
      'a certificate in the form of ours, by a public CA',
    ].entries()) {
      const { said, end } = stranger(way, lan.address(1), folder)
      await until(`${way} (${said()})`, 15_000, () => refusal(gateway, 'foreign CA')?.count === count + 1)
      await until('it is hung up on', 5000, () => said().includes('closed'))
      expect(said()).not.toContain('heard')
      end()
    }
    expect([gateway.links(), second.links()]).toEqual([1, 1])
  })

  test('a hello that was recorded is of no use, and neither is a version that nobody speaks', async () => {
    const [first, second] = [await start(1), await start(2)]
    await Promise.all([first, second].map((gateway) => gateway.linkedWith(1, 20_000)))
    const before = linkWith(first, 'gw-2')
    const replayed = stranger('a replayed hello', lan.address(1), lan.address(2))
    await until(`the refusal (${replayed.said()})`, 15_000, () => refusal(first, 'foreign CA'))
    const own = stranger('its own hello', lan.address(1))
    await until('it is hung up on', 10_000, () => own.said().split('closed').length === 3)
    const later = stranger('a version that nobody speaks', lan.address(1))
    await until(`the version (${later.said()})`, 10_000, () => refusal(first, 'version'))
    expect(replayed.said() + own.said() + later.said()).not.toMatch(/heard/)
    expect(linkWith(first, 'gw-2')).toEqual(before)
  })

  test('who wants to be let in without a key is refused, and everybody else is let in', async () => {
    const first = await start(1)
    const { code } = JSON.parse(first.command('invite', '--json')) as MadeInvite
    const name = `invite-${code.replaceAll('-', '').slice(3, 7)}`
    const before = first.status().counters
    const failed = () =>
      Object.entries(first.status().counters)
        .filter(([key]) => key.startsWith('enrol.failed.'))
        .reduce((sum, [key, count]) => sum + count - (before[key] ?? 0), 0)
    for (const [index, way] of ['no key at all', 'no key, over TLS 1.3', 'a key that nobody has'].entries()) {
      const { said } = stranger(way, lan.address(1))
      await until(`${way} (${said()})`, 10_000, () => failed() === index + 1 && said().includes('closed'))
      expect(said()).toMatch(/^tls: /m)
      expect(said()).not.toMatch(/secured|heard/)
    }
    const wrong = stranger('the wrong key', lan.address(1), name)
    await until(`the wrong key (${wrong.said()})`, 10_000, () => refusal(first, 'enrolment: wrong code'))
    expect(wrong.said()).not.toMatch(/secured|heard/)
    expect(refusal(first, 'enrolment: unknown code')?.count).toBe(1)
    const fresh = await new Gateway(lan, 2).start().ready()
    await until('it waits', 15_000, () => fresh.status().cluster.state === 'waiting')
    fresh.command('cluster', 'join', '--code', code)
    await fresh.linkedWith(1, 15_000)
  })

  for (const [way, heard, told] of [
    ['a member with a certificate', /^tls: ERR_SSL_NO_SHARED_CIPHER$/m, /10\.77\.0\.4:4883: /],
    ['a member with a wrong key', /^tls: /m, /10\.77\.0\.4:4883: wrong password/],
  ] as const) {
    test(`a box that is to be let in by its password tells nothing to ${way}`, async () => {
      const { folder, env } = publicCa()
      const pretender = stranger(way, lan.address(4), folder)
      const fresh = new Gateway(lan, 3, { env, set: { 'cluster.password': 'four words make a password' } }).start()
      await fresh.ready()
      await until(`it has asked (${pretender.said()})`, 30_000, () => heard.test(pretender.said()))
      expect(pretender.said()).toContain('asked by enrol')
      expect(pretender.said()).not.toMatch(/secured|heard/)
      await until('it says why', 10_000, () => told.test(fresh.status().problems.join('\n')))
      expect(fresh.status().cluster).toMatchObject({ state: 'waiting', id: null })
    })
  }

  test('slow handshakes by the hundred: bounded, and nobody else waits', async () => {
    const [first, second] = [await start(1), await start(2)]
    await Promise.all([first, second].map((gateway) => gateway.linkedWith(1, 20_000)))
    const before = linkWith(first, 'gw-2')
    const memory = rssOf(first)
    const addresses = Array.from({ length: 16 }, (_, index) => `10.77.0.${100 + index}`)
    for (const address of addresses) {
      lan.exec(4, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    }
    const slow = stranger('slow handshakes', lan.address(1), addresses.join(','))
    const clients = stranger('slow clients', lan.address(1))
    await until('all of them are there', 20_000, () => /there/.test(clients.said()) && /opened \d{4}/.test(slow.said()))
    // A box that is new to all of them comes in all the same.
    const startMs = performance.now()
    const third = await start(3)
    await third.linkedWith(2, 20_000)
    const linkedMs = Math.round(performance.now() - startMs)
    const subscriber = lan.spawn('sw', 'mosquitto_sub', ['-h', lan.address(1), '-q', '1', '-t', 'still/#', '-F', '%p'])
    let got = ''
    subscriber.stdout!.on('data', (bytes: Buffer) => (got += bytes.toString()))
    await until('the route', 10_000, () => third.status().routes > 0)
    const beganMs = performance.now()
    for (let count = 0; count < 10; count++) {
      lan.exec('sw', 'mosquitto_pub', '-h', lan.address(3), '-q', '1', '-t', 'still/here', '-m', `m${count}`)
    }
    await until('all messages', 10_000, () => got.trim().split('\n').length === 10)
    const tookMs = Math.round(performance.now() - beganMs)
    // A client with TLS at the listener that the others sit on.
    const ca = join(certs, 'ca.crt')
    const tls = ['-p', '8883', '--cafile', ca, '--insecure']
    lan.exec('sw', 'mosquitto_pub', '-h', lan.address(1), ...tls, '-q', '1', '-t', 'still/here', '-m', 'tls')
    const refused = (why: string): number => first.status().counters[`link.refused.${why}`] ?? 0
    await until('the slow ones are given up', 30_000, () => refused('timeout') > 20)
    const { counters } = first.status()
    expect(counters['link.refused.busy']).toBeGreaterThan(100)
    expect(linkWith(first, 'gw-2')).toEqual(before)
    expect(rssOf(first) - memory).toBeLessThan(80_000)
    const opened = /opened (\d+)\n$/.exec(slow.said())?.[1]
    console.log(
      `slow handshakes: ${opened} opened, ${counters['link.refused.busy']} turned away; a new box from start to both links in ` +
        `${linkedMs} ms, 10 messages in ${tookMs} ms, memory ${rssOf(first) - memory} KiB more`,
    )
    slow.end()
    clients.end()
    subscriber.kill()
  })

  test('mDNS answers by the thousand, at a printer: few dials, and not one byte for it', async () => {
    const gateways = [await start(1), await start(2)]
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 20_000)))
    const before = gateways.map((gateway, index) => linkWith(gateway, `gw-${2 - index}`))
    const memory = gateways.map(rssOf)
    const printer = lan.spawn(4, process.execPath, ['-e', PRINTER])
    let said = ''
    printer.stdout!.on('data', (bytes: Buffer) => (said += bytes.toString()))
    const flood = stranger('mDNS answers', lan.address(4), gateways[0]!.status().cluster.id!)
    await until(`all are sent (${flood.said()})`, 30_000, () => flood.said().includes('sent'))
    await until('it was tried', 20_000, () => /"connections":[1-9]/.test(said))
    // Each dialler waits 2 s for a word and hangs up.
    await new Promise((resolve) => setTimeout(resolve, 8000))
    const last = JSON.parse(said.trim().split('\n').at(-1)!) as { connections: number; bytes: number }
    expect(last.bytes).toBe(0)
    // Two boxes, at most one dial a second each to one address.
    expect(last.connections).toBeLessThan(60)
    const grown = gateways.map((gateway, index) => rssOf(gateway) - memory[index]!)
    for (const each of grown) expect(each).toBeLessThan(60_000)
    expect(gateways.map((gateway, index) => linkWith(gateway, `gw-${2 - index}`))).toEqual(before)
    // A box that comes then is found, by those who hear it and by those it hears.
    const third = await start(3)
    await third.linkedWith(2, 20_000)
    console.log(
      `mDNS: 5,000 forged answers: ${last.connections} dials by two boxes, ${last.bytes} bytes, ${grown.join(' and ')} KiB`,
    )
  })
})

const PRINTER = `
let connections = 0, bytes = 0
require('node:net').createServer((socket) => {
  connections++
  socket.on('error', () => {})
  socket.on('data', (more) => { bytes += more.length })
}).listen(9100)
setInterval(() => console.log(JSON.stringify({ connections, bytes })), 500)
`
