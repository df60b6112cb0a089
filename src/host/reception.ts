// What stands between an accepted socket and its stream, in this order, as far as the listener has it:
//
//   PROXY header -> TLS handshake -> HTTP upgrade -> WebSocket
//
// All of it within one deadline, and for a bounded number of connections at once: who dawdles costs little, for a while.

import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { HostError } from '../base/errors.ts'
import { type ByteStream, type Endpoint, type ListenHow, UNIX_ADDRESS, type Visitor } from '../base/ports/streams.ts'
import { upgradeServer } from './http-upgrade.ts'
import { readProxyHeader } from './proxy-header.ts'
import { secureFailure } from './secure-failure.ts'
import { endpoint, SocketStream } from './socket-stream.ts'
import { WebSocketStream } from './websocket-stream.ts'

/** Connections between accepting and their stream, of one listener and of one address. */
const ARRIVING_MAX = 2048
const ARRIVING_PER_ADDRESS_MAX = 512
const KEEP_ALIVE_MS = 60_000

type Ends = { readonly local: Endpoint; readonly remote: Endpoint }

/** One connection on its way in. */
interface Arrival {
  readonly steps: Steps
  readonly plain: Socket
  readonly address: string
  readonly timer: NodeJS.Timeout
  /** Who is where, once it is known that the socket does not say so. */
  ends: Ends | null
  proxied: boolean
  certificateName: string | null
  /** It was told why it is refused; that answer still has to leave. */
  answered: boolean
  /** TLS has it in hand. */
  securing: boolean
  over: boolean
}

/** The steps as they were set when a connection came. */
interface Steps {
  readonly how: ListenHow
  readonly tls: TlsServer | null
  readonly http: HttpServer | null
}

export class Reception {
  readonly #accepted: (stream: ByteStream, visitor: Visitor) => void
  readonly #refused: (from: string, why: string) => void
  readonly #byAddress = new Map<string, number>()
  /** TLS tells its server of a socket, but not publicly of the one below: found by that, or by both ends. */
  readonly #below = new WeakMap<object, Arrival>()
  readonly #securing = new Map<string, Arrival>()
  readonly #upgrading = new WeakMap<object, Arrival>()
  #arriving = 0
  #steps: Steps

  /** Throws HostError when the certificate is no good. */
  constructor(
    how: ListenHow,
    accepted: (stream: ByteStream, visitor: Visitor) => void,
    refused: (from: string, why: string) => void,
  ) {
    this.#accepted = accepted
    this.#refused = refused
    this.#steps = this.#make(how)
  }

  /** Connections that are here keep what they began with. */
  renew(how: ListenHow): HostError | null {
    try {
      this.#steps = this.#make(how)
      return null
    } catch (error) {
      if (error instanceof HostError) return error
      throw error
    }
  }

  take(plain: Socket): void {
    // For life: an error without a listener ends the process. What it means is told by the close that follows.
    plain.on('error', () => {})
    const { how } = this.#steps
    const address = how.unixPath === null ? endpoint(plain.remoteAddress, plain.remotePort).address : UNIX_ADDRESS
    const sameAddress = this.#byAddress.get(address) ?? 0
    if (this.#arriving >= ARRIVING_MAX || (!how.proxy && sameAddress >= ARRIVING_PER_ADDRESS_MAX)) {
      this.#refused(address, 'too many at once')
      return void plain.destroy()
    }
    plain.setNoDelay(true)
    plain.setKeepAlive(true, KEEP_ALIVE_MS)
    this.#arriving++
    this.#byAddress.set(address, sameAddress + 1)
    const unix = { address: UNIX_ADDRESS, port: 0 }
    const arrival: Arrival = {
      steps: this.#steps,
      plain,
      address,
      timer: setTimeout(() => this.#turnAway(arrival, 'too slow'), how.arrivalMs),
      ends: how.unixPath === null ? null : { local: unix, remote: unix },
      proxied: how.proxy,
      certificateName: null,
      answered: false,
      securing: false,
      over: false,
    }
    plain.once('close', () => {
      // TLS knows better why, and says it a little later.
      if (!arrival.securing) this.#turnAway(arrival, 'closed')
    })
    if (how.proxy) this.#readProxy(arrival)
    else this.#secure(arrival)
  }

  #make(how: ListenHow): Steps {
    return {
      how,
      tls: how.tls === null ? null : this.#tlsServer(how),
      http: how.websocket === null ? null : this.#httpServer(how),
    }
  }

  #readProxy(arrival: Arrival): void {
    const { plain } = arrival
    let bytes: Buffer = Buffer.alloc(0)
    const more = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header === null) return
      plain.off('data', more)
      plain.pause()
      if (header === 'bad') return this.#turnAway(arrival, 'no PROXY header')
      arrival.ends = header.ends ?? arrival.ends
      if (bytes.length > header.length) plain.unshift(bytes.subarray(header.length))
      this.#secure(arrival)
    }
    plain.on('data', more)
    plain.resume()
  }

  #secure(arrival: Arrival): void {
    const { tls } = arrival.steps
    if (tls === null) return this.#upgrade(arrival, arrival.plain)
    const key = keyOf(arrival.plain)
    arrival.securing = true
    this.#below.set(arrival.plain, arrival)
    this.#securing.set(key, arrival)
    arrival.plain.once('close', () => {
      if (this.#securing.get(key) === arrival) this.#securing.delete(key)
    })
    tls.emit('connection', arrival.plain)
  }

  #tlsServer(how: ListenHow): TlsServer {
    const { certificate, privateKey, anchors, revocations, clientCertificates } = how.tls!
    let server: TlsServer
    try {
      server = createTlsServer({
        cert: certificate,
        key: privateKey,
        ...(anchors.length === 0 ? {} : { ca: [...anchors] }),
        ...(revocations === null ? {} : { crl: revocations }),
        requestCert: clientCertificates !== 'none',
        rejectUnauthorized: clientCertificates === 'required',
        minVersion: 'TLSv1.2',
        // The arrival's own deadline is the earlier one; this one is Node's word against a leak.
        handshakeTimeout: how.arrivalMs + 1000,
      })
    } catch (error) {
      throw new HostError('invalid', `the certificate cannot be served: ${(error as Error).message}`)
    }
    server.on('secureConnection', (socket) => this.#secured(socket, how))
    server.on('tlsClientError', (error, socket) => {
      const arrival = this.#arrivalOf(socket)
      if (arrival !== undefined) this.#turnAway(arrival, `TLS: ${secureFailure(verdictOf(socket) ?? error)}`)
    })
    return server
  }

  #secured(socket: TLSSocket, how: ListenHow): void {
    socket.on('error', () => {})
    const arrival = this.#arrivalOf(socket)
    if (arrival === undefined || arrival.over) return void socket.destroy()
    arrival.securing = false
    if (how.tls!.clientCertificates !== 'none') {
      const peer = socket.getPeerX509Certificate()
      // Where certificates are optional a bad one is still worse than none.
      if (peer !== undefined && !socket.authorized) {
        return this.#turnAway(arrival, `TLS: ${secureFailure(verdictOf(socket))}`)
      }
      arrival.certificateName = peer === undefined ? null : commonName(peer.subject)
    }
    socket.pause()
    this.#upgrade(arrival, socket)
  }

  #arrivalOf(socket: TLSSocket): Arrival | undefined {
    const parent: unknown = '_parent' in socket ? socket._parent : null
    const known = typeof parent === 'object' && parent !== null ? this.#below.get(parent) : undefined
    return known ?? this.#securing.get(keyOf(socket))
  }

  #upgrade(arrival: Arrival, socket: Socket): void {
    const { http } = arrival.steps
    if (http === null) return this.#deliver(arrival, socket, null)
    this.#upgrading.set(socket, arrival)
    http.emit('connection', socket)
    socket.resume()
  }

  #httpServer(how: ListenHow): HttpServer {
    const { path, frameBytesMax } = how.websocket!
    return upgradeServer(
      path,
      (request, socket) => this.#upgraded(request, socket as Socket, frameBytesMax),
      (socket, why) => {
        const arrival = this.#upgrading.get(socket)
        if (arrival === undefined || arrival.over || arrival.answered) return
        arrival.answered = true
        this.#refused(arrival.address, why)
      },
    )
  }

  #upgraded(request: IncomingMessage, socket: Socket, frameBytesMax: number): void {
    const arrival = this.#upgrading.get(socket)
    if (arrival === undefined || arrival.over) return void socket.destroy()
    if (saysProxied(request)) arrival.proxied = true
    this.#deliver(arrival, socket, frameBytesMax)
  }

  #deliver(arrival: Arrival, socket: Socket, frameBytesMax: number | null): void {
    this.#leave(arrival)
    const traits = { staticBuffer: false, copies: socket !== arrival.plain, unheard: null }
    const make = () => {
      socket.pause()
      return socket
    }
    const stream = new SocketStream(make, arrival.ends === null ? traits : { ...traits, ends: arrival.ends })
    void [stream.remote, stream.local]
    const { proxied, certificateName } = arrival
    this.#accepted(frameBytesMax === null ? stream : new WebSocketStream(stream, frameBytesMax), {
      proxied,
      certificateName,
    })
  }

  #turnAway(arrival: Arrival, why: string): void {
    if (arrival.over) return
    this.#leave(arrival)
    if (!arrival.answered) this.#refused(arrival.address, why)
    arrival.plain.destroy()
  }

  #leave(arrival: Arrival): void {
    arrival.over = true
    clearTimeout(arrival.timer)
    this.#arriving--
    const left = this.#byAddress.get(arrival.address)! - 1
    if (left === 0) this.#byAddress.delete(arrival.address)
    else this.#byAddress.set(arrival.address, left)
  }
}

const keyOf = (socket: Socket): string =>
  [socket.remoteAddress, socket.remotePort, socket.localAddress, socket.localPort].join(' ')

/** Node's types call it an Error; it is the code of one. */
function verdictOf(socket: TLSSocket): Error | null {
  const verdict: unknown = socket.authorizationError
  return typeof verdict === 'string' ? Object.assign(new Error(verdict), { code: verdict }) : null
}

const commonName = (subject: string): string | null => /^CN=(.+)$/m.exec(subject)?.[1] ?? null

/** Headers by which a proxy, or a browser with somebody else's page, says that it speaks for another. */
function saysProxied({ headers }: IncomingMessage): boolean {
  if (['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => headers[name] !== undefined)) return true
  const { origin, host } = headers
  if (origin === undefined) return false
  return !(URL.canParse(origin) && new URL(origin).host === host)
}
