// A plain TCP stream upgraded in place to TLS 1.3, both certificates required. The side that is the TLS server goes
// through `tls.createServer` and its 'connection' event: a bare TLSSocket with `isServer` accepts certificates of any CA.

import { constants, type X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { createSecureContext, createServer, type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { HostError } from '../base/errors.ts'
import type { ByteStream, Endpoint } from '../base/ports/streams.ts'
import type { Credentials, SecuredPeer, SecureFailure } from '../base/ports/trust.ts'
import { hasSocket } from './handle-stream.ts'
import { secureFailure } from './secure-failure.ts'
import { SocketStream } from './socket-stream.ts'
import { StreamDuplex } from './stream-duplex.ts'
import { factsOf } from './x509.ts'

export type Secured = { readonly stream: ByteStream; readonly peer: SecuredPeer }

/** How long a refused server has to take our certificate and close. */
const HANG_UP_MS = 1000

/**
 * A TLS 1.3 side is up before the other has judged its certificate, and Node says no by closing. Both sides of a link
 * speak at once, so one that closes without a word has refused.
 */
const REFUSED: SecureFailure = 'refused by peer'

interface Ends {
  readonly local: Endpoint
  readonly remote: Endpoint
}

type Settle = (result: Secured | SecureFailure) => void

/** Takes `stream` over; `done` is called once, never from within this call. On failure the connection is closed. */
export function secure(
  stream: ByteStream,
  role: 'server' | 'client',
  credentials: Credentials,
  timeoutMs: number,
  done: (result: Secured | SecureFailure) => void,
): void {
  // Asked before the stream is taken over: one that another member carries has words instead of addresses.
  const ends = { local: stream.local, remote: stream.remote }
  const plain = hasSocket(stream) ? stream.surrender() : new StreamDuplex(stream)
  if (plain === null || plain.destroyed) {
    stream.destroy()
    setImmediate(() => done('closed'))
    return
  }
  let settled = false
  const settle: Settle = (result) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    done(result)
  }
  const timer = setTimeout(() => {
    plain.destroy()
    settle('timeout')
  }, timeoutMs)
  // The connection may close under TLS without a word from it. The turn's grace lets TLS say why when it knows.
  plain.once('close', () => setImmediate(() => settle('closed')))
  plain.pause()
  if (role === 'server') serve(plain, ends, credentials, settle)
  else connect(plain, ends, credentials, settle)
}

/**
 * A server object for each upgrade: failures are told to the server, not to the one socket, and a refused certificate
 * only by closing. What is dear, the context with the parsed certificates, is shared.
 */
function serve(plain: Duplex, ends: Ends, credentials: Credentials, settle: Settle): void {
  const server = createServer({ requestCert: true, rejectUnauthorized: true })
  // No public way leads a ready context into a server, and the public one drops `allowPartialTrustChain` in Node 20.
  if ('_sharedCreds' in server) server._sharedCreds = contextOf(credentials)
  else server.setSecureContext(options(credentials))
  server.on('secureConnection', (socket) => {
    const result = secured(socket, ends)
    if (typeof result === 'string') hangUp(socket)
    settle(result)
  })
  server.on('tlsClientError', (error, socket) => {
    // A certificate that does not verify is told by the socket alone.
    plain.destroy()
    settle(secureFailure(verdictOf(socket) ?? error))
  })
  server.emit('connection', plain)
}

/**
 * With `rejectUnauthorized` Node would hang up on a foreign server before our own certificate has left, and the server
 * would never learn that it is the foreign one. So the verdict, which is the same, is carried out here.
 */
function connect(plain: Duplex, ends: Ends, credentials: Credentials, settle: Settle): void {
  const socket = tlsConnect({
    socket: plain,
    secureContext: contextOf(credentials),
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    // Who the peer is stands in its certificate as a node id, not as a host name: `secured` reads it.
    checkServerIdentity: () => undefined,
  })
  socket.on('error', (error) => {
    plain.destroy()
    settle(secureFailure(error))
  })
  socket.once('secureConnect', () => {
    const result = socket.authorized ? secured(socket, ends) : secureFailure(verdictOf(socket))
    if (typeof result === 'string') hangUp(socket)
    settle(result)
  })
}

function hangUp(socket: TLSSocket): void {
  // It is refused already; how it takes that does not matter, but an error without a listener ends the process.
  socket.on('error', () => {})
  socket.resume()
  socket.end()
  const timer = setTimeout(() => socket.destroy(), HANG_UP_MS)
  socket.once('close', () => clearTimeout(timer))
}

function secured(socket: TLSSocket, ends: Ends): Secured | SecureFailure {
  const peer = identityOf(socket.getPeerX509Certificate())
  if (!socket.authorized || peer === null) return 'bad certificate'
  return {
    stream: new SocketStream(() => socket.pause(), { staticBuffer: false, copies: true, unheard: REFUSED, ends }),
    peer,
  }
}

/** Node's types call it an Error; it is the code of one. */
function verdictOf(socket: TLSSocket): Error | null {
  const verdict: unknown = socket.authorizationError
  return typeof verdict === 'string' ? Object.assign(new Error(verdict), { code: verdict }) : null
}

function identityOf(certificate: X509Certificate | undefined): SecuredPeer | null {
  if (certificate === undefined) return null
  try {
    const facts = factsOf(certificate)
    if (facts.kind !== 'node') return null
    return { nodeId: facts.nodeId, certificate: certificate.toString(), keyFingerprint: facts.keyFingerprint }
  } catch (error) {
    if (error instanceof HostError) return null
    throw error
  }
}

/** TLS 1.3 alone, without session tickets: a link is made anew each time, and both certificates are shown each time. */
const options = ({ certificate, privateKey, anchors, chain = [] }: Credentials) => ({
  cert: [certificate, ...chain].join('\n'),
  key: privateKey,
  ca: [...anchors],
  // A CA of people's own may be an intermediate one, whose root is not here.
  allowPartialTrustChain: true,
  minVersion: 'TLSv1.3' as const,
  maxVersion: 'TLSv1.3' as const,
  secureOptions: constants.SSL_OP_NO_TICKET,
})

const contexts = new WeakMap<Credentials, SecureContext>()

function contextOf(credentials: Credentials): SecureContext {
  const known = contexts.get(credentials)
  if (known !== undefined) return known
  const made = createSecureContext(options(credentials))
  contexts.set(credentials, made)
  return made
}
