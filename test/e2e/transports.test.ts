// The four transports with clients that nobody here wrote, the certificates that devices see, and reloads under them.

import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCerts } from './certs.ts'
import { Gateway } from './gateway.ts'
import { Lan, leftOut, until } from './lan.ts'

const clients = join(import.meta.dirname, 'clients')
/** Debian's own, for its packages. */
const PYTHON = '/usr/bin/python3'
const PORTS = { mqtt: 1883, mqtts: 8883, ws: 8083, wss: 8084 } as const
type Type = keyof typeof PORTS

describe.skipIf(leftOut('transports', 'mosquitto_sub', 'mosquitto_pub', PYTHON))('transports', () => {
  let lan: Lan
  let gateway: Gateway
  let ca: string

  beforeAll(async () => {
    lan = new Lan({ gateways: 1 })
    gateway = new Gateway(lan, 1, { certs: makeCerts(lan.directory) })
    await gateway.start().ready()
    await until('all four listeners', 10_000, () => gateway.status().listeners.length === 4)
    ca = join(lan.directory, 'shown.crt')
    execFileSync('sh', ['-c', `cat > '${ca}'`], { input: gateway.command('ca', 'show') })
  })
  afterAll(() => lan?.down())

  const secured = (type: Type) => type === 'mqtts' || type === 'wss'
  const trust = (type: Type) => (secured(type) ? [ca] : [])
  const echoes = (topic: string) => [0, 1, 2].map((qos) => [topic, qos, `message ${qos}`])
  const path = (type: Type) => (type.startsWith('ws') ? '/mqtt' : '')

  for (const type of Object.keys(PORTS) as Type[]) {
    for (const version of ['3', '4', '5']) {
      test(`MQTT.js over ${type}, version ${version}`, () => {
        const topic = `js/${type}/${version}`
        const url = `${type}://${lan.address(1)}:${PORTS[type]}${path(type)}`
        const script = join(clients, 'transports.mjs')
        const printed = lan.exec('sw', process.execPath, script, url, version, topic, ...trust(type))
        expect(JSON.parse(printed)).toEqual([...echoes(topic), [topic, 1, 1_000_000]])
      })

      test(`paho over ${type}, version ${version}`, () => {
        const topic = `paho/${type}/${version}`
        const args = [lan.address(1), `${PORTS[type]}`, type.startsWith('ws') ? 'websockets' : 'tcp', version, topic]
        const printed = lan.exec('sw', PYTHON, join(clients, 'echo.py'), ...args, ...trust(type))
        expect(JSON.parse(printed)).toEqual(echoes(topic))
      })
    }
  }

  for (const type of ['mqtt', 'mqtts'] as const) {
    for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
      test(`mosquitto_pub and mosquitto_sub over ${type}, ${version}`, async () => {
        const at = ['-h', lan.address(1), '-p', `${PORTS[type]}`, '-V', version, '-q', '2', '-t', `${type}/${version}`]
        const tls = secured(type) ? ['--cafile', ca] : []
        const before = gateway.status().subscriptions
        const watcher = lan.spawn('sw', 'mosquitto_sub', [...at, ...tls, '-C', '1', '-i', 'watcher'])
        let printed = ''
        watcher.stdout!.on('data', (bytes: Buffer) => {
          printed += bytes.toString()
        })
        await until('the subscription', 5000, () => gateway.status().subscriptions > before)
        lan.exec('sw', 'mosquitto_pub', ...at, ...tls, '-m', 'hello')
        await until('the message', 5000, () => printed === 'hello\n')
      })
    }
  }

  test('the certificate names the box and its address, for 825 days at most', () => {
    const pem = execFileSync('sh', ['-c', 'openssl x509'], {
      input: lan.exec('sw', 'sh', '-c', `openssl s_client -connect ${lan.address(1)}:8883 -CAfile ${ca} </dev/null`),
      encoding: 'utf8',
    })
    const shown = new X509Certificate(pem)
    expect(shown.checkIP(lan.address(1))).toBeDefined()
    expect(shown.checkHost('edge-mqtt.local')).toBeDefined()
    expect(shown.verify(new X509Certificate(readFileSync(ca)).publicKey)).toBe(true)
    const days = (Date.parse(shown.validTo) - Date.parse(shown.validFrom)) / 86_400_000
    expect(days).toBeLessThanOrEqual(825)
    expect(Date.parse(shown.validFrom)).toBeLessThan(Date.now())
  })

  test('reload: a listener for certificates and a socket come, ws goes with its clients, others stay', async () => {
    const stays = lan.spawn('sw', 'mosquitto_sub', ['-h', lan.address(1), '-t', 'news', '-i', 'stays'])
    let news = ''
    stays.stdout!.on('data', (bytes: Buffer) => {
      news += bytes.toString()
    })
    await until('the subscriber', 5000, () => gateway.status().clients === 1)
    const socket = join(lan.directory, 'mqtt.sock')
    gateway.writeConfiguration(
      [
        'listeners:',
        '  ws: { enabled: false }',
        `  local: { type: unix, path: ${socket} }`,
        '  strict:',
        '    type: mqtts',
        '    port: 8885',
        '    tls: { client_certificates: required, username_from: common_name }',
      ].join('\n'),
    )
    gateway.signal('SIGHUP')
    const names = () => gateway.status().listeners.map(({ name }) => name)
    await until('the new listeners', 5000, () => names().includes('strict') && !names().includes('ws'))
    lan.exec(1, 'mosquitto_pub', '--unix', socket, '-t', 'news', '-m', 'by socket')
    await until('the news', 5000, () => news === 'by socket\n')

    const out = join(lan.directory, 'sensor-7')
    gateway.command('cert', 'issue', 'sensor-7', '--out', out)
    const [cert, key] = [join(out, 'sensor-7.crt'), join(out, 'sensor-7.key')]
    expect(statSync(key).mode & 0o077).toBe(0)
    const strict = ['-h', lan.address(1), '-p', '8885', '--cafile', ca, '-t', 'news', '-q', '1']
    lan.exec('sw', 'mosquitto_pub', ...strict, '--cert', cert, '--key', key, '-m', 'by certificate')
    await until('more news', 5000, () => news.endsWith('by certificate\n'))
    expect(() => lan.exec('sw', 'mosquitto_pub', ...strict, '-m', 'without')).toThrow()
    expect(news).not.toContain('without')
    expect(() => gateway.command('cert', 'issue', 'sensor-7', '--out', out)).toThrow()
    stays.kill()
  })
})
