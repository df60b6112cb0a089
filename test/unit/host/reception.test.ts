// Who comes to a listener, what it finds out about them, and how it turns others away.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { ByteStream, ListenHow, Listening, TlsService, Visitor } from '../../../src/base/ports/streams.ts'
import { TcpStreams } from '../../../src/host/tcp.ts'
import { issueService, makeAuthority, makeKeys } from '../../../src/host/x509.ts'
import { httpStatus, plainly, tlsService, WEBSOCKET } from '../../contract/dialled.ts'
import { Notes } from '../../contract/streams.ts'
import { until } from '../../contract/world.ts'

interface Guests {
  readonly port: number
  readonly listening: Listening
  readonly came: { readonly stream: ByteStream; readonly visitor: Visitor }[]
  readonly refused: string[]
}

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

function listen(how: ListenHow): Promise<Guests | HostError> {
  const came: Guests['came'] = []
  const refused: string[] = []
  return new Promise((resolve) => {
    new TcpStreams().listen(
      { address: '127.0.0.1', port: 0 },
      (stream, visitor) => came.push({ stream, visitor: visitor! }),
      (listening) => {
        if (listening instanceof HostError) return resolve(listening)
        ends.push(() => {
          listening.close()
          for (const { stream } of came) stream.destroy()
        })
        resolve({ port: listening.port, listening, came, refused })
      },
      how,
      (_from, why) => refused.push(why),
    )
  })
}

async function open(how: Partial<ListenHow>): Promise<Guests> {
  const guests = await listen({ ...plainly, ...how })
  if (guests instanceof HostError) throw guests
  return guests
}

interface Client {
  readonly socket: Socket
  text(): string
  closed(): boolean
}

function watch(socket: Socket): Client {
  let text = ''
  let closed = false
  socket.on('error', () => {})
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1')
  })
  socket.on('close', () => {
    closed = true
  })
  ends.push(() => socket.destroy())
  return { socket, text: () => text, closed: () => closed }
}

function dial(port: number, ...write: (string | Buffer)[]): Client {
  const socket = connect(port, '127.0.0.1')
  for (const bytes of write) socket.write(bytes)
  return watch(socket)
}

const upgrade = (...headers: string[]): string =>
  [
    'GET /mqtt HTTP/1.1',
    'Host: gw-1:8083',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...headers,
    '\r\n',
  ].join('\r\n')
const MQTT = 'Sec-WebSocket-Protocol: mqtt'

test('[MQTT-6.0.0-4] the answer to an upgrade picks the subprotocol mqtt', async () => {
  const { port, came } = await open({ websocket: WEBSOCKET })
  const client = dial(port, upgrade('Sec-WebSocket-Protocol: chat, mqttv3.1, mqtt'))
  await until(() => client.text().endsWith('\r\n\r\n'), 'the answer')
  expect(client.text()).toMatch(/^HTTP\/1\.1 101 /)
  // The example of RFC 6455 1.3.
  expect(client.text()).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n')
  expect(client.text()).toContain('Sec-WebSocket-Protocol: mqtt\r\n')
  expect(came.map(({ visitor }) => visitor)).toEqual([{ proxied: false, certificateName: null }])
})

test.each([
  ['Forwarded: for=192.0.2.7', true],
  ['X-Forwarded-For: 192.0.2.7', true],
  ['Origin: http://evil.example', true],
  ['Origin: null', true],
  ['Origin: http://gw-1:8083', false],
])('%s: proxied is %s', async (header, proxied) => {
  const { port, came } = await open({ websocket: WEBSOCKET })
  dial(port, upgrade(MQTT, header))
  await until(() => came.length === 1, 'the client')
  expect(came[0]!.visitor.proxied).toBe(proxied)
})

test('what comes together with the upgrade is not lost', async () => {
  const { port, came } = await open({ websocket: WEBSOCKET })
  dial(port, upgrade(MQTT), Buffer.from([0x82, 0x83, 0, 0, 0, 0, 0x61, 0x62, 0x63]))
  await until(() => came.length === 1, 'the client')
  const notes = new Notes()
  came[0]!.stream.open(notes)
  await until(() => notes.bytes === 3, 'its bytes')
  expect(notes.text).toBe('abc')
})

test('HTTP that is no upgrade is answered and closed at once', async () => {
  const { port, came, refused } = await open({ websocket: WEBSOCKET, arrivalMs: 60_000 })
  expect(await httpStatus(`http://127.0.0.1:${port}/mqtt`)).toBe(426)
  expect(await httpStatus(`http://127.0.0.1:${port}/`)).toBe(404)
  const bad = [
    upgrade(),
    upgrade('Sec-WebSocket-Protocol: chat'),
    upgrade(MQTT).replace('13', '8'),
    upgrade(MQTT).replace('Key: d', 'Key: '),
    upgrade(MQTT).replace('/mqtt', '/other'),
    upgrade(MQTT).replace('GET', 'POST'),
    'CONNECT gw-1:1 HTTP/1.1\r\nHost: a\r\n\r\n',
    'NONSENSE\r\n\r\n',
    `GET /mqtt HTTP/1.1\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`,
  ].map((request) => dial(port, request))
  await until(() => bad.every((client) => client.closed()), 'all to be closed')
  expect(bad.map((client) => client.text().slice(9, 12))).toEqual([
    '400',
    '400',
    '426',
    '400',
    '404',
    '400',
    '400',
    '400',
    '400',
  ])
  expect(came).toEqual([])
  expect(refused.length).toBeGreaterThanOrEqual(bad.length + 2)
})

test('who dawdles is turned away: with the PROXY header, with TLS, with HTTP', async () => {
  const tls = await tlsService()
  const slow = [
    await open({ proxy: true, arrivalMs: 50 }),
    await open({ tls, arrivalMs: 50 }),
    await open({ websocket: WEBSOCKET, arrivalMs: 50 }),
  ]
  const clients = slow.map(({ port }, index) =>
    dial(port, ['PROXY TCP4', '\x16\x03\x01', 'GET /mqtt HTTP/1.1\r\n'][index]!),
  )
  await until(() => clients.every((client) => client.closed()), 'all to be closed')
  expect(slow.map(({ refused }) => refused)).toEqual([['too slow'], ['too slow'], ['too slow']])
})

test('512 half-open connections of one address are the most', async () => {
  const { port, refused } = await open({ tls: await tlsService(), arrivalMs: 60_000 })
  const clients = Array.from({ length: 556 }, () => dial(port))
  await until(() => refused.length >= 44, 'the ones over the bound')
  expect(refused).toEqual(Array.from({ length: 44 }, () => 'too many at once'))
  for (const { socket } of clients) socket.destroy()
})

test('a PROXY header says who it is, and that a proxy was there', async () => {
  const { port, came, refused } = await open({ proxy: true })
  dial(port, 'PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\nMQTT')
  await until(() => came.length === 1, 'the client')
  const { stream, visitor } = came[0]!
  expect([stream.remote, stream.local, visitor.proxied]).toEqual([
    { address: '192.0.2.7', port: 40_000 },
    { address: '192.0.2.1', port: 1883 },
    true,
  ])
  const notes = new Notes()
  stream.open(notes)
  await until(() => notes.bytes === 4, 'what came with the header')
  expect(notes.text).toBe('MQTT')
  const bare = dial(port, 'MQTT')
  await until(() => bare.closed(), 'the one without a header to be closed')
  expect(refused).toEqual(['no PROXY header'])
})

async function certified(clientCertificates: TlsService['clientCertificates']) {
  const ca = await makeAuthority('1122334455667788' as never)
  const other = await makeAuthority('8877665544332211' as never)
  const make = async (of: typeof ca, commonName: string, names: readonly string[]) => {
    const keys = await makeKeys()
    const subject = { commonName, names, addresses: [], fromMs: null, toMs: null }
    return { cert: await issueService(of, subject, keys.publicKey), key: keys.privateKey }
  }
  const own = await make(ca, 'gw-1', ['gw-1'])
  const tls = { certificate: own.cert, privateKey: own.key, anchors: [ca.certificate], revocations: null }
  const guests = await open({ tls: { ...tls, clientCertificates } })
  const dialTls = (shown: { cert: string; key: string } | null) =>
    watch(tlsConnect({ host: '127.0.0.1', port: guests.port, rejectUnauthorized: false, ...shown }))
  return { ca, guests, dialTls, good: await make(ca, 'sensor-7', []), foreign: await make(other, 'sensor-8', []) }
}

test('required: a certificate of the CA gives its common name; none and a foreign one are turned away', async () => {
  const { guests, dialTls, good, foreign } = await certified('required')
  dialTls(good)
  await until(() => guests.came.length === 1, 'the good one')
  expect(guests.came[0]!.visitor).toEqual({ proxied: false, certificateName: 'sensor-7' })
  const bad = [dialTls(null), dialTls(foreign)]
  await until(() => bad.every((client) => client.closed()), 'the bad ones to be closed')
  expect([...guests.refused].sort()).toEqual(['TLS: foreign CA', 'TLS: no certificate'])
  expect(guests.came).toHaveLength(1)
})

test('optional: no certificate is fine and nameless, a foreign one is still turned away', async () => {
  const { guests, dialTls, good, foreign } = await certified('optional')
  dialTls(null)
  await until(() => guests.came.length === 1, 'the one without')
  dialTls(good)
  await until(() => guests.came.length === 2, 'the good one')
  expect(guests.came.map(({ visitor }) => visitor.certificateName)).toEqual([null, 'sensor-7'])
  const bad = dialTls(foreign)
  await until(() => bad.closed(), 'the foreign one to be closed')
  expect(guests.refused).toEqual(['TLS: foreign CA'])
})

test('a renewed certificate counts from the next connection on; those that are here stay', async () => {
  const first = await tlsService()
  const { port, came, listening } = await open({ tls: first })
  const shown: string[] = []
  const client = () => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false })
    socket.once('secureConnect', () => shown.push(socket.getPeerX509Certificate()!.fingerprint256))
    return watch(socket)
  }
  const before = client()
  await until(() => came.length === 1, 'the first')
  expect(listening.renew!({ ...plainly, tls: await tlsService() })).toBeNull()
  client()
  await until(() => came.length === 2 && shown.length === 2, 'the second')
  expect(shown[0]).not.toBe(shown[1])
  const notes = new Notes()
  came[0]!.stream.open(notes)
  before.socket.write('still here')
  await until(() => notes.bytes === 10, 'bytes on the first')
  expect(listening.renew!({ ...plainly, tls: { ...first, certificate: 'nonsense' } })).toBeInstanceOf(HostError)
  client()
  await until(() => came.length === 3 && shown.length === 3, 'the third')
  expect(shown[2]).toBe(shown[1])
})

test('a certificate that is none is an error, not a listener', async () => {
  const tls = { ...(await tlsService()), certificate: 'nonsense' }
  expect(await listen({ ...plainly, tls })).toMatchObject({ kind: 'invalid' })
})

test('a unix socket: open to all, taken when somebody listens, taken over when he was killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-unix-'))
  ends.push(() => rmSync(directory, { recursive: true }))
  const unixPath = join(directory, 'mqtt.sock')
  const script = `require('net').createServer().listen(${JSON.stringify(unixPath)}, () => process.kill(process.pid, 9))`
  expect(() => execFileSync(process.execPath, ['-e', script])).toThrow()
  expect(existsSync(unixPath)).toBe(true)
  const { came } = await open({ unixPath })
  const socket = connect(unixPath)
  ends.push(() => socket.destroy())
  socket.write('hello')
  await until(() => came.length === 1, 'the client')
  const notes = new Notes()
  came[0]!.stream.open(notes)
  await until(() => notes.text === 'hello', 'its bytes')
  expect(came[0]!.stream.remote.address).toBe('unix')
  expect(await listen({ ...plainly, unixPath })).toMatchObject({ kind: 'unavailable' })
  const file = join(directory, 'a file')
  writeFileSync(file, 'mine')
  expect(await listen({ ...plainly, unixPath: file })).toMatchObject({ kind: 'unavailable' })
  expect(existsSync(file)).toBe(true)
})

test('a port that is taken is said with its holder', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  ends.push(() => holder.close())
  const { port } = holder.address() as { port: number }
  const result = await new Promise((resolve) => {
    const how = { ...plainly, websocket: WEBSOCKET }
    new TcpStreams().listen({ address: '127.0.0.1', port }, () => {}, resolve, how)
  })
  expect(result).toMatchObject({ kind: 'unavailable', message: expect.stringContaining(String(port)) })
})
