// TLS against peers that are not ours: what Node and openssl do when they are wrong.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect as tlsConnect, createServer as tlsServer } from 'node:tls'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HostError } from '../../../src/base/errors.ts'
import type { ClusterId, NodeId } from '../../../src/base/ids.ts'
import type { CertificateAuthority, Credentials, SecureFailure } from '../../../src/base/ports/trust.ts'
import { secureFailure } from '../../../src/host/secure-failure.ts'
import { TcpStreams } from '../../../src/host/tcp.ts'
import { type Secured, secure } from '../../../src/host/tls.ts'
import { issue, makeAuthority, makeKeys } from '../../../src/host/x509.ts'
import { Notes } from '../../contract/streams.ts'
import { until } from '../../contract/world.ts'

const CLUSTER = '0123456789abcdef' as ClusterId
const NODE = 'aaaaaaaaaaaaaaa1' as NodeId

let ca: CertificateAuthority
let own: Credentials
beforeAll(async () => {
  ca = await makeAuthority(CLUSTER)
  const { publicKey, privateKey } = await makeKeys()
  own = { certificate: await issue(ca, NODE, publicKey), privateKey, anchors: [ca.certificate] }
})

const endings: (() => void)[] = []
afterEach(() => {
  for (const end of endings.splice(0)) end()
})

/** Our side as TLS server, with a raw client; what our side made of it. */
async function asServer(client: (port: number) => Socket, of = own): Promise<Secured | SecureFailure> {
  const answers: (Secured | SecureFailure)[] = []
  new TcpStreams().listen(
    { address: '127.0.0.1', port: 0 },
    (stream) => secure(stream, 'server', of, 2000, (result) => answers.push(result)),
    (listening) => {
      if (listening instanceof HostError) throw listening
      endings.push(() => listening.close())
      const socket = client(listening.port)
      socket.on('error', () => {})
      socket.resume()
      endings.push(() => socket.destroy())
    },
  )
  await until(() => answers.length > 0, 'the server')
  return answers[0]!
}

/** Our side as TLS client, against a raw server. */
async function asClient(server: (socket: Socket) => void, of = own): Promise<Secured | SecureFailure> {
  const answers: (Secured | SecureFailure)[] = []
  const listener = createServer((socket) => {
    socket.on('error', () => {})
    server(socket)
  })
  endings.push(() => listener.close())
  listener.listen(0, '127.0.0.1', () => {
    const at = listener.address() as { port: number }
    new TcpStreams().dial({ address: '127.0.0.1', port: at.port }, 1000, (stream) => {
      if (stream instanceof HostError) throw stream
      secure(stream, 'client', of, 2000, (result) => answers.push(result))
    })
  })
  await until(() => answers.length > 0, 'the client')
  if (typeof answers[0] === 'object') {
    const { stream } = answers[0]
    endings.push(() => stream.destroy())
  }
  return answers[0]!
}

const tlsTo = (port: number, options: ConnectionOptions): Socket =>
  tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1.2', ...options })

describe('our side as TLS server refuses', () => {
  test('a client without a certificate', async () => {
    expect(await asServer((port) => tlsTo(port, {}))).toBe('no certificate')
  })

  test('TLS 1.2', async () => {
    const old = { maxVersion: 'TLSv1.2' as const, cert: own.certificate, key: own.privateKey }
    expect(await asServer((port) => tlsTo(port, old))).toBe('not TLS')
  })

  test('half a record, then a reset', async () => {
    const result = await asServer((port) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(Buffer.from([22, 3, 1, 0, 200, 1]), () => socket.resetAndDestroy())
      })
      return socket
    })
    expect(result).toBe('closed')
  })

  test('a record of junk', async () => {
    const junk = Buffer.concat([Buffer.from([22, 3, 1, 0, 200]), Buffer.alloc(300, 0x41)])
    const result = await asServer((port) =>
      connect(port, '127.0.0.1').once('connect', function (this: Socket) {
        this.write(junk)
      }),
    )
    expect(result).toBe('not TLS')
  })
})

describe('our side as TLS client', () => {
  test('hears that a server of TLS 1.2 refuses', async () => {
    const old = tlsServer({ cert: own.certificate, key: own.privateKey, maxVersion: 'TLSv1.2' })
    old.on('tlsClientError', () => {})
    expect(await asClient((socket) => old.emit('connection', socket))).toBe('refused by peer')
  })

  test('closes when it is reset', async () => {
    expect(await asClient((socket) => socket.once('data', () => socket.resetAndDestroy()))).toBe('closed')
  })

  test('gives a reset on the finished connection as the reason of its end', async () => {
    const server = tlsServer({ cert: own.certificate, key: own.privateKey, ca: ca.certificate, requestCert: true })
    let plain: Socket | null = null
    const result = await asClient((socket) => {
      plain = socket
      server.emit('connection', socket)
    })
    if (typeof result === 'string') throw new Error(result)
    const notes = new Notes()
    result.stream.open(notes)
    plain!.resetAndDestroy()
    await until(() => notes.ends.length > 0, 'the end')
    expect(notes.ends).toEqual(['connection reset'])
  })

  test('takes the bytes of a write at once, so that the buffer may be used again', async () => {
    const server = tlsServer({ cert: own.certificate, key: own.privateKey, ca: ca.certificate, requestCert: true })
    let heard = ''
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1')
      })
    })
    const result = await asClient((socket) => server.emit('connection', socket))
    if (typeof result === 'string') throw new Error(result)
    const notes = new Notes()
    result.stream.open(notes)
    const buffer = Buffer.from('first')
    expect(result.stream.write(buffer)).toBe(true)
    buffer.write('xxxxx')
    await until(() => heard.length === 5 && notes.drains === 1, 'the bytes and the drain')
    expect(heard).toBe('first')
    expect(result.stream.pendingBytes).toBe(0)
  })
})

test('an intermediate CA of people`s own is an anchor without its root; an expired member is a bad certificate', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-tls-'))
  endings.push(() => rmSync(directory, { recursive: true }))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
  const get = (name: string) => readFileSync(join(directory, name), 'utf8')
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...ec, '-keyout', 'root.key', '-out', 'root.pem', '-days', '9', '-subj', '/CN=Root')
  const ext = ['-addext', 'basicConstraints=critical,CA:TRUE']
  openssl('req', '-new', ...ec, '-keyout', 'mid.key', '-out', 'mid.csr', '-subj', '/CN=Middle', ...ext)
  const signing = ['-CA', 'root.pem', '-CAkey', 'root.key', '-CAcreateserial', '-copy_extensions', 'copy']
  openssl('x509', '-req', '-in', 'mid.csr', '-out', 'mid.pem', '-days', '9', ...signing)
  const middle = { certificate: get('mid.pem'), privateKey: get('mid.key') }
  const { publicKey, privateKey } = await makeKeys()
  const member = { certificate: await issue(middle, NODE, publicKey), privateKey, anchors: [middle.certificate] }
  const good = { cert: member.certificate, key: privateKey }
  expect(await asServer((port) => tlsTo(port, good), member)).toMatchObject({ peer: { nodeId: NODE } })

  openssl('req', '-new', ...ec, '-keyout', 'late.key', '-out', 'late.csr', '-subj', `/CN=${NODE}`)
  openssl(
    'x509',
    '-req',
    '-in',
    'late.csr',
    '-out',
    'late.pem',
    '-days',
    '-1',
    '-CA',
    'mid.pem',
    '-CAkey',
    'mid.key',
    '-CAcreateserial',
  )
  const late = { cert: get('late.pem'), key: get('late.key') }
  expect(await asServer((port) => tlsTo(port, late), member)).toBe('bad certificate')
})

test('a member that the CA signed for something else is a bad certificate', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-tls-'))
  endings.push(() => rmSync(directory, { recursive: true }))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
  const get = (name: string) => readFileSync(join(directory, name), 'utf8')
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '9', '-subj', '/CN=CA')
  openssl('req', '-new', ...ec, '-keyout', 'd.key', '-out', 'd.csr', '-subj', `/CN=${NODE}`)
  openssl(
    'x509',
    '-req',
    '-in',
    'd.csr',
    '-out',
    'd.pem',
    '-days',
    '9',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
  )
  const device = { cert: get('d.pem'), key: get('d.key') }
  const server = { ...own, anchors: [...own.anchors, get('ca.pem')] }
  expect(await asServer((port) => tlsTo(port, device), server)).toBe('bad certificate')
  // One that takes the refusal badly is nobody's end.
  let closed = false
  const result = await asServer((port) => {
    const plain = connect(port, '127.0.0.1')
    const socket = tlsTo(port, { ...device, socket: plain })
    socket.once('secureConnect', () => {
      socket.write(Buffer.alloc(100_000))
      setImmediate(() => plain.resetAndDestroy())
    })
    plain.once('close', () => {
      closed = true
    })
    return socket
  }, server)
  expect(result).toBe('bad certificate')
  await until(() => closed, 'the reset')
})

describe('clocks', () => {
  const faketime = (() => {
    try {
      return execFileSync('which', ['faketime'], { encoding: 'utf8' }).trim()
    } catch {
      return null
    }
  })()

  // openssl's own notion of the time is what decides in Node's TLS too; both read the machine's clock.
  test.each(['1970-01-02 00:00:00', '2099-12-31 00:00:00'])('at %s the handshake succeeds', async (at) => {
    if (faketime === null) {
      const seconds = String(Date.parse(`${at.replace(' ', 'T')}Z`) / 1000)
      const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-clock-'))
      endings.push(() => rmSync(directory, { recursive: true }))
      const { writeFileSync } = await import('node:fs')
      writeFileSync(join(directory, 'ca.pem'), ca.certificate)
      writeFileSync(join(directory, 'node.pem'), own.certificate)
      const said = execFileSync('openssl', ['verify', '-attime', seconds, '-CAfile', 'ca.pem', 'node.pem'], {
        cwd: directory,
      })
      expect(said.toString()).toContain('OK')
      return
    }
    const script = `
      const { createServer, connect } = require('node:tls')
      const own = JSON.parse(process.env.OWN)
      const both = { cert: own.certificate, key: own.privateKey, ca: own.anchors, minVersion: 'TLSv1.3' }
      const server = createServer({ ...both, requestCert: true, rejectUnauthorized: true }, (socket) => {
        console.log(new Date().getUTCFullYear(), 'server', socket.authorized)
        socket.end('hello')
      })
      server.listen(0, '127.0.0.1', () => {
        const client = connect({ ...both, port: server.address().port, checkServerIdentity: () => undefined })
        client.on('data', (data) => console.log('client', client.authorized, String(data)))
        client.on('close', () => server.close())
      })`
    const env = { ...process.env, OWN: JSON.stringify(own), NODE_OPTIONS: '' }
    const said = execFileSync(faketime, ['-f', `@${at}`, process.execPath, '-e', script], {
      env,
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect(said).toContain(`${at.slice(0, 4)} server true`)
    expect(said).toContain('client true hello')
  })
})

test.each([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'foreign CA'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'foreign CA'],
  ['CERT_HAS_EXPIRED', 'bad certificate'],
  ['INVALID_PURPOSE', 'bad certificate'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'no certificate'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'refused by peer'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'refused by peer'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'refused by peer'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'not TLS'],
  ['ERR_SSL_HTTP_REQUEST', 'not TLS'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'not TLS'],
  ['ECONNRESET', 'closed'],
  ['EPIPE', 'closed'],
])('%s is "%s"', (code, words) => {
  expect(secureFailure(Object.assign(new Error(code), { code }))).toBe(words)
})
