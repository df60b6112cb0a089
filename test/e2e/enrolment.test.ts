// How the second box comes in, on a LAN with the real program: each way from start to link, each refusal with its word,
// and nothing of it in the clear. EDGE_E2E_ROUNDS=20 repeats the two fresh boxes.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MadeInvite } from '../../src/cluster/enrolment/invites.ts'
import { makeCerts } from './certs.ts'
import { Gateway, type GatewayOptions } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const PASSWORD = 'four words make a password'
const rounds = Number(process.env['EDGE_E2E_ROUNDS'] ?? 2)

describe.skipIf(leftOut('enrolment', 'tshark', 'mosquitto_pub', 'mosquitto_sub'))('a box comes in', () => {
  let lan: Lan
  let certs: string
  const took: string[] = []

  beforeEach(() => {
    lan = new Lan({ gateways: 3 })
    certs = makeCerts(lan.directory)
  })
  afterEach(() => {
    lan.down()
    if (took.length > 0) console.log(took.splice(0).join('\n'))
  })

  const box = async (place: number, options: GatewayOptions = {}) => new Gateway(lan, place, options).start().ready()
  const member = (place: number, options: GatewayOptions = {}) => box(place, { certs, ...options })
  const invite = (gateway: Gateway, ...more: string[]) =>
    JSON.parse(gateway.command('invite', '--json', ...more)) as MadeInvite
  const waiting = (gateway: Gateway) =>
    until('it waits', 15_000, () => gateway.status().cluster.state === 'waiting' && gateway)

  /** Says how long it took from the start of the box to its link. */
  async function timed(way: string, work: () => Promise<Gateway>): Promise<Gateway> {
    const startMs = performance.now()
    const gateway = await work()
    await gateway.linkedWith(1, 20_000)
    took.push(`from start to linked, ${way}: ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
    return gateway
  }

  /** What fails, in the words that the command prints. */
  function refused(gateway: Gateway, ...args: string[]): string {
    try {
      gateway.command(...args)
    } catch (error) {
      return String((error as { stderr?: string }).stderr)
    }
    throw new Error(`edge-mqtt ${args.join(' ')} was not refused`)
  }

  test('with the folder of the first', async () => {
    const first = await member(1)
    const second = await timed('with the folder of the first', () => member(2))
    expect(second.status().cluster.id).toBe(first.status().cluster.id)
  })

  test('with a code, while it runs, or before its first start', async () => {
    const first = await member(1)
    const running = await timed('with a code, typed when it runs', async () => {
      const gateway = await box(2)
      await waiting(gateway)
      gateway.command('cluster', 'join', '--code', invite(first).code)
      return gateway
    })
    expect(running.status().cluster.state).toBe('member')
    const before = new Gateway(lan, 3)
    const said = lan.exec(
      3,
      process.execPath,
      join(import.meta.dirname, '../../dist/main.js'),
      'setup',
      '--data-dir',
      before.dataDir,
      '--join',
      invite(first).code,
    )
    expect(said).toContain(`set up: this node is a member of cluster ${first.status().cluster.id}`)
    await before.start().ready()
    await before.linkedWith(2, 10_000)
    await running.kill()
    await running.start().ready()
    await running.linkedWith(2, 10_000)
  })

  test('by approval on any member, where all show the same four words', async () => {
    const members = [await member(1), await member(2)]
    await members[0]!.linkedWith(1, 10_000)
    const fresh = await waiting(await box(3))
    const rows = await until('both members show it', 15_000, () => {
      const found = members.map((each) => each.status().cluster.waiting)
      return found.every((each) => each.length === 1) && found
    })
    expect(rows[0]).toEqual(rows[1])
    const [row] = rows[0]!
    expect(row).toMatchObject({ name: 'gw-3', address: lan.address(3), id: fresh.status().node.id })
    const told = fresh.status().problems.join('\n')
    expect(told).toContain(`"${row!.words}"`)
    expect(told).toContain(`edge-mqtt cluster approve ${row!.id}`)
    expect(fresh.command('status')).toContain('waiting to be let in')
    await until('the log has the words', 2000, () => fresh.log.includes(row!.words))
    expect(members[1]!.command('cluster', 'status')).toContain(row!.words)
    const startMs = performance.now()
    expect(members[1]!.command('cluster', 'approve', row!.id.slice(0, 6))).toContain('gw-3')
    await fresh.linkedWith(2, 10_000)
    took.push(`from approval to both links: ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  })

  test('by the password that it shares with a member', async () => {
    const set = { 'cluster.password': PASSWORD }
    await member(1, { set })
    await timed('by the password', () => box(2, { set }))
  })

  test('in the place of a dead box, with its name', async () => {
    const [first, second] = [await member(1), await member(2)]
    await first.linkedWith(1, 10_000)
    await second.kill()
    const { code } = invite(first)
    const card = await waiting(await box(3, { set: { 'node.name': 'gw-2' } }))
    expect(refused(card, 'cluster', 'join', '--code', code, '--replace', 'gw-1')).toMatch(
      /gw-1 is this member, and alive/,
    )
    await until('it is dead', 15_000, () => first.status().cluster.members.some(({ state }) => state === 'dead'))
    card.command('cluster', 'join', '--code', code, '--replace', 'gw-2')
    await card.linkedWith(1, 10_000)
    await second.start().ready()
    await until('the old one knows that it is out', 20_000, () => second.status().cluster.state === 'removed')
    expect(first.links()).toBe(1)
  })

  test('as a lone box that gives up its own cluster', async () => {
    const first = await member(1)
    lan.isolate(2)
    const lone = await box(2)
    const own = await until('it has a cluster of its own', 20_000, () => lone.status().cluster.id)
    const at = (place: number) => (topic: string, message: string) =>
      lan.exec(place, 'mosquitto_pub', '-h', '127.0.0.1', '-q', '1', '-r', '-t', topic, '-m', message)
    const [atFirst, atLone] = [at(1), at(2)]
    atFirst('house/both', 'theirs')
    atFirst('house/first', 'theirs')
    atLone('house/both', 'brought')
    atLone('house/lone', 'brought')
    first.command('user', 'add', 'both', '--random', '--group', 'theirs')
    lone.command('user', 'add', 'both', '--random', '--group', 'brought')
    const anna = JSON.parse(lone.command('user', 'add', 'anna', '--random', '--json')) as { password: string }
    lone.command('acl', 'add', 'user:anna', 'deny', 'publish', 'secret/#')
    lan.heal()
    const row = await until('it asks', 30_000, () => first.status().cluster.waiting[0])
    expect(lone.status().cluster).toMatchObject({ state: 'alone', id: own })
    first.command('cluster', 'approve', row.id)
    await lone.linkedWith(1, 10_000)
    expect(lone.status().cluster.id).toBe(first.status().cluster.id)
    // It brings what it has, and gives way where there is something already.
    const retained = (place: number) =>
      lan
        .exec(place, 'mosquitto_sub', '-h', '127.0.0.1', '-t', 'house/#', '-F', '%t %p', '-W', '1', '-C', '3')
        .trim()
        .split('\n')
        .sort()
    const all = ['house/both theirs', 'house/first theirs', 'house/lone brought']
    for (const place of [1, 2]) {
      await until(`all of it at gw-${place}`, 30_000, () => JSON.stringify(retained(place)) === JSON.stringify(all))
    }
    const accounts = (gateway: Gateway) =>
      (JSON.parse(gateway.command('user', 'list', '--json')) as { name: string; groups: string[] }[])
        .map(({ name, groups }) => `${name} ${groups.join()}`.trim())
        .sort()
    for (const gateway of [first, lone]) {
      await until('all accounts', 20_000, () => accounts(gateway).join() === 'anna,both theirs,devices')
      expect(gateway.command('acl', 'list', '--json')).toContain('secret/#')
    }
    const asAnna = ['-u', 'anna', '-P', anna.password]
    lan.exec(1, 'mosquitto_pub', '-h', '127.0.0.1', '-q', '1', ...asAnna, '-t', 'house/x', '-m', 'x')
    await lone.stop()
    await lone.start().ready()
    await lone.linkedWith(1, 10_000)
  })

  test('or not, and says why, and goes on serving', async () => {
    const first = await member(1, { set: { 'cluster.password': PASSWORD } })
    const fresh = await waiting(await box(2))
    const { code } = invite(first)
    const typo = code.replace(/^(.)(.)/, '$2$1')
    if (typo !== code) expect(refused(fresh, 'cluster', 'join', '--code', typo)).toMatch(/mistyped: the last character/)
    expect(refused(fresh, 'cluster', 'join', '--code', 'abc')).toMatch(/24 characters in 6 groups of 4; this one has 3/)
    const short = invite(first, '--ttl', '1s')
    await until('it has ended', 5000, () => Date.now() > short.endMs)
    expect(refused(fresh, 'cluster', 'join', lan.address(1), '--code', short.code)).toMatch(/has expired/)
    const spare = invite(first)
    expect(first.command('invite', '--list')).toMatch(new RegExp(`^${spare.id}  good .* made on gw-1$`, 'm'))
    first.command('invite', '--revoke', spare.id)
    expect(refused(fresh, 'cluster', 'join', lan.address(1), '--code', spare.code)).toMatch(/has expired/)
    fresh.command('cluster', 'join', '--code', code)
    await fresh.linkedWith(1, 10_000)
    const third = await waiting(await box(3, { set: { 'cluster.password': 'not the right one' } }))
    await until('it says so', 15_000, () => /wrong password/.test(third.status().problems.join()))
    const row = first.status().cluster.refused.find(({ reason }) => reason === 'enrolment: wrong password')
    expect(row?.address).toBe(lan.address(3))
    expect(refused(third, 'cluster', 'join', lan.address(1), '--code', code)).toMatch(/has been used|hung up|closed/)
    expect(third.status().node.state).toBe('ready')
  })

  test('and neither code, password nor key is ever in the clear', async () => {
    const file = join(lan.directory, 'enrolment.pcap')
    const capture = lan.spawn('sw', 'tshark', ['-q', '-i', 'br0', '-w', file])
    let said = ''
    capture.stderr!.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    await until('the capture runs', 10_000, () => /Capturing/.test(said))
    const set = { 'cluster.password': PASSWORD }
    const first = await member(1, { set })
    const { code } = invite(first, '--issuer')
    const second = await waiting(await box(2))
    second.command('cluster', 'join', '--code', code)
    const third = await box(3, { set })
    await Promise.all([second, third].map((each) => each.linkedWith(2, 20_000)))
    capture.kill('SIGTERM')
    await until('the capture has ended', 5000, () => capture.exitCode !== null)
    const raw = readFileSync(file)
    const secret = code.replaceAll('-', '')
    const keys = [1, 2, 3].map((_, index) =>
      readFileSync(join([first, second, third][index]!.dataDir, 'state/node.key')),
    )
    const caKey = readFileSync(join(second.dataDir, 'state/ca.key'))
    expect(caKey.toString()).toContain('PRIVATE KEY')
    expect(raw.includes('edgemqtt')).toBe(true)
    expect(raw.includes(`invite-${secret.slice(3, 7)}`)).toBe(true)
    for (const text of [code, secret, secret.slice(7, 23), PASSWORD, 'PRIVATE KEY', 'BEGIN CERTIFICATE']) {
      expect(raw.includes(text), text.slice(0, 12)).toBe(false)
    }
    for (const key of [...keys, caKey]) {
      const der = Buffer.from(key.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
      // The secret number of a P-256 key in PKCS #8.
      expect(raw.includes(der.subarray(36, 68))).toBe(false)
    }
    const versions = lan.exec(
      'sw',
      'tshark',
      '-r',
      file,
      '-Y',
      'tls.handshake.type == 2 && tcp.port == 4883',
      '-T',
      'fields',
      '-e',
      'tls.handshake.ciphersuite',
    )
    // ECDHE-PSK-CHACHA20-POLY1305 is 0xccac (RFC 7905); links are TLS 1.3.
    expect(versions).toContain('0xccac')
    for (const suite of versions.trim().split('\n')) expect(suite.trim()).toMatch(/^0x(ccac|130[123])$/)
  })

  for (let round = 1; round <= rounds; round++) {
    test(`two fresh boxes started together are one cluster, or one and one that waits, round ${round}`, async () => {
      const boxes = [new Gateway(lan, 1), new Gateway(lan, 2)]
      const gapMs = ((round * 7919) % 12) * 1000
      boxes[0]!.start()
      await new Promise((resolve) => setTimeout(resolve, gapMs))
      const secondMs = performance.now()
      boxes[1]!.start()
      for (const each of boxes) await each.ready()
      const readySec = ((performance.now() - secondMs) / 1000).toFixed(1)
      const rows = await until('one asks the other', 60_000, () => {
        const found = boxes.flatMap((each) => each.status().cluster.waiting)
        return found.length > 0 && found
      })
      expect(rows).toHaveLength(1)
      const asked = boxes.find((each) => each.status().cluster.waiting.length > 0)!
      asked.command('cluster', 'approve', rows[0]!.id)
      await Promise.all(boxes.map((each) => each.linkedWith(1, 15_000)))
      const ids = boxes.map((each) => each.status().cluster.id)
      expect(ids[0]).toBe(ids[1])
      took.push(
        `round ${round}: started ${gapMs / 1000} s apart, the second ready after ${readySec} s, one cluster after one approval`,
      )
    })
  }

  test('two fresh boxes with one password are one cluster by themselves', async () => {
    const set = { 'cluster.password': PASSWORD }
    const startMs = performance.now()
    const boxes = await Promise.all([box(1, { set }), box(2, { set })])
    await Promise.all(boxes.map((each) => each.linkedWith(1, 40_000)))
    took.push(`two fresh boxes with one password: ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  })
})
