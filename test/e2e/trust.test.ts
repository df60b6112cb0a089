// What stands on the wire between boxes, and who is refused, with which word.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway, program } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const rogueScript = join(import.meta.dirname, 'clients/rogue.mjs')
const HELLO_BYTES = 64

describe.skipIf(leftOut('trust', 'tshark', 'mosquitto_pub'))('trust', () => {
  let lan: Lan
  let certs: string

  beforeEach(() => {
    lan = new Lan({ gateways: 4 })
    certs = makeCerts(lan.directory)
  })
  afterEach(() => lan.down())

  const start = async (place: number, set: Record<string, string | boolean> = {}, from = certs) =>
    new Gateway(lan, place, { certs: from, set }).start().ready()

  /** Runs a rogue box at place 4; `said` fills with its words. */
  const rogue = (way: string, victim: number) => {
    const child = lan.spawn(4, process.execPath, [rogueScript, dirname(program), way, lan.address(victim), certs])
    let said = ''
    child.stdout!.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.stderr!.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    return { said: () => said }
  }

  const refusal = (gateway: Gateway, reason: string, address = lan.address(4)) =>
    gateway.status().cluster.refused.find((row) => row.reason === reason && row.address.startsWith(address))

  test('after the two hellos there is nothing but TLS 1.3, and no payload in the clear', async () => {
    const file = join(lan.directory, 'link.pcap')
    // By the port of the links alone: MQTT clients speak in the clear by their own choice.
    const capture = lan.spawn('sw', 'tshark', ['-q', '-i', 'br0', '-f', 'tcp port 4883', '-w', file])
    let said = ''
    capture.stderr!.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    await until('the capture runs', 10_000, () => /Capturing/.test(said))
    const gateways = [await start(1), await start(2)]
    await Promise.all(gateways.map((gateway) => gateway.linkedWith(1, 10_000)))
    const at = (place: number) => ['-h', lan.address(place), '-t', 'secret/topic']
    const subscriber = lan.spawn('sw', 'mosquitto_sub', [...at(1), '-C', '1'])
    let got = ''
    subscriber.stdout!.on('data', (bytes: Buffer) => {
      got += bytes.toString()
    })
    await until('the route', 5000, () => gateways[1]!.status().routes > 0)
    lan.exec('sw', 'mosquitto_pub', ...at(2), '-m', 'PAYLOAD-IN-THE-CLEAR')
    await until('the message', 5000, () => got.includes('PAYLOAD-IN-THE-CLEAR'))
    await until('the capture is written', 5000, () => readFileSync(file).length > 4000)
    capture.kill('SIGTERM')
    await until('the capture has ended', 5000, () => capture.exitCode !== null)
    const raw = readFileSync(file)
    expect(raw.includes('PAYLOAD-IN-THE-CLEAR')).toBe(false)
    expect(raw.includes('secret/topic')).toBe(false)
    const flows = streams(lan, file)
    expect(flows.length).toBeGreaterThanOrEqual(2)
    let serverHellos = 0
    for (const bytes of flows) {
      expect(bytes.subarray(0, 8).toString('latin1')).toBe('edgemqtt')
      serverHellos += tlsRecords(bytes.subarray(HELLO_BYTES))
    }
    expect(serverHellos).toBeGreaterThanOrEqual(1)
  })

  for (const [way, reason] of [
    ['foreign-ca', 'foreign CA'],
    ['wrong-identity', 'wrong identity'],
    ['plain', 'not TLS'],
    ['http', 'not a hello'],
  ] as const) {
    test(`a box that dials and is ${way}: refused as '${reason}'`, async () => {
      const gateway = await start(1)
      const { said } = rogue(way, 1)
      await until(`the refusal (rogue: ${said()})`, 15_000, () => refusal(gateway, reason))
      expect(gateway.links()).toBe(0)
    })
  }

  test("a box that is dialled and shows no certificate: 'no certificate', and asked ever more rarely", async () => {
    const gateway = await start(1)
    rogue('no-certificate', 1)
    const first = await until('the refusal', 20_000, () => refusal(gateway, 'no certificate'))
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    // It announced itself twelve times meanwhile; it is asked again after 5 s, then 10 s, and so on.
    expect(refusal(gateway, 'no certificate')!.count - first.count).toBeLessThanOrEqual(3)
  })

  test('to something that does not speak first, nothing is said', async () => {
    const gateway = await start(1)
    const { said } = rogue('silent', 1)
    await until('the dialler hung up', 20_000, () => said().includes('hung up'))
    expect(said()).not.toContain('heard')
    await until('it is told as a timeout', 5000, () => refusal(gateway, 'timeout'))
  })

  test("a hello changed on the way is found inside TLS: 'tampered'", async () => {
    const victim = await start(1, {
      'cluster.discovery.beacon.enabled': false,
      'cluster.discovery.mdns.enabled': false,
    })
    const { said } = rogue('tamper', 1)
    await until('the man in the middle listens', 10_000, () => said().includes('listening'))
    const dialler = await start(2, {
      'cluster.discovery.beacon.enabled': false,
      'cluster.discovery.mdns.enabled': false,
      'cluster.discovery.peers': `["${lan.address(4)}:4883"]`,
    })
    await until('the refusal', 15_000, () => refusal(dialler, 'tampered') ?? refusal(victim, 'tampered'))
    expect([dialler.links(), victim.links()]).toEqual([0, 0])
  })

  test('another cluster on the same LAN is left in peace', async () => {
    const others = makeCerts(lan.directory, 'others')
    const [ours, theirs] = [await start(1), await start(2, {}, others)]
    const third = await start(3)
    await Promise.all([ours.linkedWith(1, 10_000), third.linkedWith(1, 10_000)])
    expect(theirs.links()).toBe(0)
    expect(theirs.status().cluster.id).not.toBe(ours.status().cluster.id)
    expect(theirs.status().cluster.members.map((member) => member.name)).toEqual(['gw-2'])
    const attempts = [ours, theirs].flatMap((gateway) => gateway.status().cluster.refused)
    expect(attempts.reduce((sum, row) => sum + row.count, 0)).toBeLessThanOrEqual(2)
  })
})

/** What each direction of each TCP connection of a capture said, in order; only connections seen from their start. */
function streams(lan: Lan, file: string): Buffer[] {
  const fields = ['tcp.stream', 'ip.src', 'tcp.srcport', 'tcp.seq', 'tcp.payload'].flatMap((field) => ['-e', field])
  const rows = lan
    .exec('sw', 'tshark', '-r', file, '-T', 'fields', ...fields, 'tcp.len > 0')
    .trim()
    .split('\n')
  const flows = new Map<string, Map<number, Buffer>>()
  for (const row of rows) {
    const [stream, source, port, seq, payload] = row.split('\t')
    const key = `${stream} ${source} ${port}`
    const flow = flows.get(key) ?? flows.set(key, new Map()).get(key)!
    flow.set(Number(seq), Buffer.from(payload!.replaceAll(':', ''), 'hex'))
  }
  return [...flows.values()].map((flow) => {
    const pieces = [...flow].sort(([a], [b]) => a - b)
    return Buffer.concat(pieces.map(([, bytes]) => bytes))
  })
}

/** Walks the records of one direction: each must be TLS; returns how many ServerHellos chose TLS 1.3. */
function tlsRecords(bytes: Buffer): number {
  let serverHellos = 0
  for (let at = 0; at + 5 <= bytes.length; ) {
    const type = bytes[at]!
    const length = bytes.readUInt16BE(at + 3)
    expect([20, 21, 22, 23], `record type at ${at}`).toContain(type)
    expect(bytes[at + 1]).toBe(3)
    expect(length).toBeLessThanOrEqual(16_384 + 256)
    const body = bytes.subarray(at + 5, at + 5 + length)
    // Handshake, ServerHello, with supported_versions (43) naming 0x0304: TLS 1.3.
    if (type === 22 && body[0] === 2) {
      expect(body.includes(Buffer.from([0, 43, 0, 2, 3, 4])), 'ServerHello chooses TLS 1.3').toBe(true)
      serverHellos++
    }
    at += 5 + length
  }
  return serverHellos
}
