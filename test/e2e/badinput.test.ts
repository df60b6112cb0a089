// Bad input of any kind: a clear word, the right exit status, and nobody else disturbed.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway, program } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

/** Runs the program to its end and gives its exit status and all it said. */
function start(dataDir: string, args: readonly string[], options: { uid?: number } = {}) {
  const ended = spawnSync(process.execPath, [program, 'start', '--data-dir', dataDir, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    ...options,
  })
  return { status: ended.status, said: ended.stdout + ended.stderr }
}

const freePorts = ['--set', 'cluster.port=0', '--set', 'listeners.mqtt.port=0']

describe('a daemon that cannot start', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-bad-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  test('wrong configuration: file, line, key, what would be right; all of it at once; status 78', () => {
    writeFileSync(
      join(directory, 'edge-mqtt.yaml'),
      'cluster:\n  prot: 4883\n  heartbeat: fast\nlisteners:\n  mqtt: { port: 99999 }\n',
    )
    const { status, said } = start(directory, [])
    expect(status).toBe(78)
    expect(said).toMatch(/edge-mqtt\.yaml:2.*cluster\.prot/s)
    expect(said).toMatch(/port/)
    expect(said).toMatch(/edge-mqtt\.yaml:3.*cluster\.heartbeat/s)
    expect(said).toMatch(/edge-mqtt\.yaml:5.*listeners\.mqtt\.port/s)
    expect(said).not.toMatch(/at .*\.js:/)
  })

  test('a port in use: which one, and status 69', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, () => resolve()))
    const { port } = taken.address() as { port: number }
    for (const key of ['listeners.mqtt.port', 'cluster.port']) {
      const { status, said } = start(directory, [...freePorts, '--set', `${key}=${port}`, '--new-cluster'])
      expect(said).toMatch(new RegExp(`\\b${port}\\b`))
      expect(status).toBe(69)
    }
    taken.close()
  })

  test.skipIf(process.getuid?.() !== 0)('a data directory that cannot be written: what to type, and status 77', () => {
    const closed = join(directory, 'closed')
    mkdirSync(closed)
    chmodSync(closed, 0o755)
    chmodSync(directory, 0o755)
    const { status, said } = start(closed, freePorts, { uid: 65534 })
    expect(said).toContain(closed)
    expect(status).toBe(77)
  })

  test('half a bundle, nonsense and a key that does not fit: which file and why, and status 78', () => {
    const [a, b] = [makeCerts(directory, 'a'), makeCerts(directory, 'b')]
    const data = join(directory, 'data')
    const certs = join(data, 'certs')
    mkdirSync(certs, { recursive: true })
    const bundles = [
      { crt: 'not a certificate', key: readFileSync(join(a, 'ca.key')), names: /ca\.crt/ },
      { crt: readFileSync(join(a, 'ca.crt')), key: 'not a key', names: /ca\.key/ },
      { crt: readFileSync(join(a, 'ca.crt')), key: readFileSync(join(b, 'ca.key')), names: /ca\.key/ },
    ]
    for (const { crt, key, names } of bundles) {
      writeFileSync(join(certs, 'ca.crt'), crt)
      writeFileSync(join(certs, 'ca.key'), key)
      const { status, said } = start(data, freePorts)
      expect(said).toMatch(names)
      expect(status).toBe(78)
    }
  })
})

describe.skipIf(leftOut('bad input', 'mosquitto_pub'))('junk on a LAN', () => {
  let lan: Lan
  afterEach(() => lan.down())

  const rssOf = (gateway: Gateway) =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1])

  test('100,000 junk datagrams and a thousand bad connections: memory bounded, others undisturbed, all counted', async () => {
    lan = new Lan({ gateways: 3 })
    const certs = makeCerts(lan.directory)
    const gateways = [1, 2].map((place) => new Gateway(lan, place, { certs }))
    for (const gateway of gateways) await gateway.start().ready()
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
    const victim = gateways[0]!
    const since = victim.status().cluster.members.find((member) => !member.self)!.sinceMs
    const subscriber = lan.spawn('sw', 'mosquitto_sub', ['-h', lan.address(1), '-t', 'still/here', '-F', '%p'])
    let got = ''
    subscriber.stdout!.on('data', (bytes: Buffer) => {
      got += bytes.toString()
    })
    await until('the route', 5000, () => gateways[1]!.status().routes > 0)
    const before = rssOf(victim)
    const script = join(import.meta.dirname, 'clients/junk.mjs')
    const junk = (...args: (string | number)[]) => lan.exec(3, process.execPath, script, ...args.map(String))
    junk('datagrams', lan.address(1), 100_000)
    junk('streams', lan.address(1), 1883, 500)
    junk('streams', lan.address(1), 4883, 500)
    const after = victim.status()
    expect(rssOf(victim) - before).toBeLessThan(40_000)
    expect(after.clients).toBe(1)
    expect(after.counters['beacon.junk']).toBeGreaterThan(10_000)
    const member = after.cluster.members.find((other) => !other.self)!
    expect(member).toMatchObject({ linked: true, sinceMs: since })
    lan.exec('sw', 'mosquitto_pub', '-h', lan.address(2), '-t', 'still/here', '-m', 'yes')
    await until('a message across', 5000, () => got.includes('yes'))
    await victim.stop()
  })

  test('SIGHUP: a good file is applied, a bad one keeps what was, and both say so', async () => {
    lan = new Lan({ gateways: 1 })
    const gateway = await new Gateway(lan, 1).start().ready()
    gateway.writeConfiguration('cluster:\n  discovery:\n    peers: [10.77.0.200]\n  port: 4999\n')
    gateway.signal('SIGHUP')
    await until('it says what needs a restart', 5000, () => /cluster\.port/.test(gateway.log))
    gateway.writeConfiguration('cluster:\n  discovry: {}\n')
    gateway.signal('SIGHUP')
    await until('it says what is wrong', 5000, () => /discovry/.test(gateway.log))
    expect(gateway.status().node.state).toBe('ready')
  })
})
