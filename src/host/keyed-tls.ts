// A plain TCP stream upgraded in place to TLS 1.2 with a pre-shared key (RFC 5489) and nothing else: no certificate on
// either side. Not TLS 1.3: its server may pass over the key and show any certificate, and whoever overhears the binder
// can try passwords against it.
//
// The client proves first that it knows the key, so a stranger who dials learns nothing to try passwords on. That makes
// the dialler the client, which must not speak while its hello may still be on the way: the server begins with a
// HelloRequest ("the client should begin", RFC 5246 7.4.1.1), read here before TLS is put on top.

import type { Socket } from 'node:net'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { Bug } from '../base/errors.ts'
import type { KeyedFailure, KeySide } from '../base/ports/keyed.ts'
import type { ByteStream } from '../base/ports/streams.ts'
import { hasSocket } from './handle-stream.ts'
import { errorCode } from './host-errors.ts'
import { secureFailure } from './secure-failure.ts'
import { SocketStream } from './socket-stream.ts'

const CIPHER = 'ECDHE-PSK-CHACHA20-POLY1305'
/** A record of TLS 1.2 with a handshake message of kind 0 and no body. */
const HELLO_REQUEST = Buffer.from('160303000400000000', 'hex')

const OPTIONS = { ciphers: CIPHER, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const

type Keyed = { readonly stream: ByteStream; readonly identity: string }
type Settle = (result: Keyed | KeyedFailure) => void

/** Takes `stream` over; `done` is called once, never from within this call. On failure the connection is closed. */
export function secureByKey(stream: ByteStream, side: KeySide, timeoutMs: number, done: Settle): void {
  if (!hasSocket(stream)) throw new Bug('only a stream of this host can be upgraded')
  let settled = false
  let plain: Socket | null = null
  const settle: Settle = (result) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    if (typeof result === 'string') {
      stream.destroy()
      plain?.destroy()
    }
    done(result)
  }
  const timer = setTimeout(() => settle('timeout'), timeoutMs)
  const upgrade = (): void => {
    plain = stream.surrender()
    if (plain === null || plain.destroyed) return void setImmediate(settle, 'closed')
    // The turn's grace lets TLS say why when it knows.
    plain.once('close', () => setImmediate(settle, 'closed'))
    plain.pause()
    if (side.role === 'server') serve(plain, side, settle)
    else connect(plain, side, settle)
  }
  if (side.role === 'server') upgrade()
  else awaitRequest(stream, upgrade, settle)
}

function awaitRequest(stream: ByteStream, ready: () => void, settle: Settle): void {
  let heard = Buffer.alloc(0)
  stream.open({
    received: (buffer, start, end) => {
      heard = Buffer.concat([heard, buffer.subarray(start, end)])
      if (!HELLO_REQUEST.subarray(0, heard.length).equals(heard)) return settle('not TLS')
      if (heard.length === HELLO_REQUEST.length) ready()
    },
    drained: () => {},
    closed: () => settle('closed'),
  })
}

function serve(plain: Socket, side: KeySide & { role: 'server' }, settle: Settle): void {
  let identity = ''
  const pskCallback = (_socket: TLSSocket, shown: string) => {
    identity = shown
    // Typed as if there were always a key.
    return side.keyOf(shown) as Buffer
  }
  const server = createServer({ ...OPTIONS, pskCallback })
  server.on('secureConnection', (socket) => settle(keyed(socket, identity)))
  server.on('tlsClientError', (error) => settle(failureOf(error)))
  plain.write(HELLO_REQUEST)
  server.emit('connection', plain)
}

function connect(plain: Socket, side: KeySide & { role: 'client' }, settle: Settle): void {
  const { identity, key } = side
  const socket = tlsConnect({
    ...OPTIONS,
    socket: plain,
    pskCallback: () => ({ psk: key, identity }),
    // Where none was shown Node gives an empty object, or does not ask.
    checkServerIdentity: (_host, shown) =>
      Object.keys(shown).length === 0 ? undefined : new Error('a certificate instead of the key'),
  })
  socket.on('error', (error) => settle(failureOf(error)))
  socket.once('secureConnect', () => settle(keyed(socket, identity)))
}

function keyed(socket: TLSSocket, identity: string): Keyed | KeyedFailure {
  if (socket.getCipher().name !== CIPHER || socket.getPeerX509Certificate() !== undefined) return 'bad certificate'
  return {
    stream: new SocketStream(() => socket.pause(), { staticBuffer: false, copies: true, unheard: null }),
    identity,
  }
}

/** What OpenSSL says of a key, on the side that finds it and on the side that is told; found by trying. */
const UNKNOWN = new Set(['ERR_SSL_PSK_IDENTITY_NOT_FOUND', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY'])
const WRONG = new Set([
  'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
  'ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC',
  'ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC',
])

function failureOf(error: Error): KeyedFailure {
  const code = errorCode(error)
  if (UNKNOWN.has(code)) return 'unknown key'
  if (WRONG.has(code)) return 'wrong key'
  return secureFailure(error)
}
