// What a stranger may try at either end of a stream that is to be sealed with a key: certificates, TLS 1.3, no key.

import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions, connect as tlsConnect } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import type { ClusterId, NodeId } from '../../../src/base/ids.ts'
import type { KeyedFailure, KeySide } from '../../../src/base/ports/keyed.ts'
import type { ByteStream } from '../../../src/base/ports/streams.ts'
import { secureByKey } from '../../../src/host/keyed-tls.ts'
import { TcpStreams } from '../../../src/host/tcp.ts'
import { issue, makeAuthority, makeKeys } from '../../../src/host/x509.ts'
import { until } from '../../contract/world.ts'

type Sealed = { readonly stream: ByteStream; readonly identity: string } | KeyedFailure

const KEY = Buffer.alloc(32, 7)
const HELLO_REQUEST = Buffer.from('160303000400000000', 'hex')
const PSK = 'ECDHE-PSK-CHACHA20-POLY1305'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function listening(server: Server): Promise<number> {
  closers.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Our end, over a connection to `port`. */
async function ourEnd(port: number, side: KeySide): Promise<Sealed> {
  const results: Sealed[] = []
  new TcpStreams().dial({ address: '127.0.0.1', port }, 1000, (stream) => {
    if (stream instanceof Error) throw stream
    secureByKey(stream, side, 1500, (result) => results.push(result))
  })
  await until(() => results.length > 0, 'our end')
  if (typeof results[0] !== 'string') closers.push(() => (results[0] as { stream: ByteStream }).stream.destroy())
  return results[0]!
}

/** What our client makes of a stranger's TLS server. */
async function clientMeets(options: TlsOptions): Promise<Sealed> {
  const port = await listening(
    createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.write(HELLO_REQUEST)
      const server = createTlsServer(options)
      server.on('tlsClientError', () => socket.destroy())
      server.emit('connection', socket)
    }),
  )
  return ourEnd(port, { role: 'client', identity: 'x', key: KEY })
}

/** What our server makes of a stranger, and what the stranger heard of it before TLS. */
async function serverMeets(stranger: (socket: Socket) => void): Promise<{ result: Sealed; heard: Buffer }> {
  let heard: Buffer = Buffer.alloc(0)
  const port = await listening(
    createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (bytes) => {
        heard = Buffer.from(bytes)
        socket.pause()
        stranger(socket)
      })
    }),
  )
  const result = await ourEnd(port, { role: 'server', keyOf: () => KEY })
  return { result, heard }
}

const quiet = (socket: { on(event: 'error', handler: () => void): unknown }) => socket.on('error', () => {})

describe('a client with a key', () => {
  test.each([
    ['TLS 1.2 or 1.3', {}],
    ['TLS 1.3 alone', { minVersion: 'TLSv1.3' }],
    ['TLS 1.2 alone', { maxVersion: 'TLSv1.2' }],
  ] as const)('refuses a server with a valid certificate and no key: %s', async (_what, more) => {
    const ca = await makeAuthority('0123456789abcdef' as ClusterId)
    const keys = await makeKeys()
    const cert = await issue(ca, 'aaaaaaaaaaaaaaa1' as NodeId, keys.publicKey)
    const result = await clientMeets({ cert, key: keys.privateKey, ...more })
    expect(['refused by peer', 'not TLS', 'bad certificate']).toContain(result)
  })

  test('takes a server that offers TLS 1.3 too only by TLS 1.2 and the key', async () => {
    const result = await clientMeets({ ciphers: `TLS_AES_128_GCM_SHA256:${PSK}`, pskCallback: () => KEY })
    expect(result).toMatchObject({ identity: 'x' })
  })

  test('takes no other cipher than the one', async () => {
    const ciphers = 'PSK-AES128-GCM-SHA256:DHE-PSK-AES128-GCM-SHA256'
    expect(await clientMeets({ ciphers, maxVersion: 'TLSv1.2', pskCallback: () => KEY })).toBe('refused by peer')
  })

  test('says nothing to a server that does not begin', async () => {
    let heard = 0
    const port = await listening(
      createTcpServer((socket) => {
        quiet(socket)
        socket.on('data', (bytes) => {
          heard += bytes.length
        })
        socket.write('220 ready\r\n')
      }),
    )
    expect(await ourEnd(port, { role: 'client', identity: 'x', key: KEY })).toBe('not TLS')
    expect(heard).toBe(0)
  })
})

describe('a server with keys', () => {
  test('begins with a HelloRequest and nothing else', async () => {
    const { heard } = await serverMeets((socket) => socket.destroy())
    expect(heard).toEqual(HELLO_REQUEST)
  })

  test.each([
    ['no key', { rejectUnauthorized: false }],
    ['TLS 1.3 alone', { minVersion: 'TLSv1.3', pskCallback: () => ({ psk: KEY, identity: 'x' }) }],
    ['another cipher', { ciphers: 'PSK-AES128-GCM-SHA256', pskCallback: () => ({ psk: KEY, identity: 'x' }) }],
  ] as const)('refuses a client with %s', async (_what, options) => {
    const { result } = await serverMeets((socket) => quiet(tlsConnect({ socket, ...options })))
    expect(typeof result).toBe('string')
    expect(['not TLS', 'refused by peer']).toContain(result)
  })

  test("finds a key that is one bit off: 'wrong key'", async () => {
    const off = Buffer.from(KEY)
    off[31]! ^= 1
    const { result } = await serverMeets((socket) =>
      quiet(
        tlsConnect({ socket, ciphers: PSK, maxVersion: 'TLSv1.2', pskCallback: () => ({ psk: off, identity: 'x' }) }),
      ),
    )
    expect(result).toBe('wrong key')
  })

  test('is not disturbed by a client that connects and goes', async () => {
    const { result } = await serverMeets((socket) => socket.end())
    expect(result).toBe('closed')
  })
})
