// The clients' side of listeners that have more than plain TCP: what a device would speak to them.

import { randomBytes } from 'node:crypto'
import { get, request as httpRequest } from 'node:http'
import { connect as netConnect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { HostError } from '../../src/base/errors.ts'
import type {
  ByteStream,
  Endpoint,
  ListenHow,
  Listening,
  StreamHandler,
  Streams,
  TlsService,
} from '../../src/base/ports/streams.ts'
import { errorWords } from '../../src/host/host-errors.ts'
import { SocketStream } from '../../src/host/socket-stream.ts'
import { TcpStreams } from '../../src/host/tcp.ts'
import { issueService, makeAuthority, makeKeys } from '../../src/host/x509.ts'

export const plainly: ListenHow = { unixPath: null, proxy: false, tls: null, websocket: null, arrivalMs: 10_000 }
export const WEBSOCKET = { path: '/mqtt', frameBytesMax: 16 * 1024 * 1024 }

/** A listener of one kind, and clients that speak to it. */
export class Dialled implements Streams {
  readonly #how: ListenHow
  readonly #host = new TcpStreams()

  constructor(how: ListenHow) {
    this.#how = how
  }

  listen(at: Endpoint, accepted: (stream: ByteStream) => void, done: (result: Listening | HostError) => void): void {
    this.#host.listen(at, accepted, done, this.#how)
  }

  dial(to: Endpoint, timeoutMs: number, done: (result: ByteStream | HostError) => void): () => void {
    let open = true
    const finish = (result: ByteStream | HostError): void => {
      clearTimeout(timer)
      if (open) done(result)
      else if (!(result instanceof HostError)) result.destroy()
      open = false
    }
    const timer = setTimeout(() => finish(new HostError('unavailable', 'no answer')), timeoutMs)
    const failed = (error: Error) => finish(new HostError('unavailable', errorWords(error)))
    const plain = netConnect({ host: to.address, port: to.port, noDelay: true })
    plain.on('error', failed)
    plain.once('connect', () => {
      const { tls, websocket, proxy } = this.#how
      if (proxy) {
        const { localAddress, localPort, remotePort, remoteAddress, remoteFamily } = plain
        const family = remoteFamily === 'IPv6' ? 'TCP6' : 'TCP4'
        plain.write(`PROXY ${family} ${localAddress} ${remoteAddress} ${localPort} ${remotePort}\r\n`)
      }
      const secured = (socket: Socket): void => {
        if (websocket === null) finish(streamOver(socket, tls !== null))
        else upgrade(socket, websocket.path, tls !== null, finish)
      }
      if (tls === null) return secured(plain)
      const socket = tlsConnect({ socket: plain, rejectUnauthorized: false })
      socket.on('error', failed)
      socket.once('secureConnect', () => secured(socket))
    })
    return () => {
      open = false
      plain.destroy()
      clearTimeout(timer)
    }
  }
}

const streamOver = (socket: Socket, copies: boolean): SocketStream => {
  const stream = new SocketStream(() => socket.pause(), { staticBuffer: false, copies, unheard: null })
  void [stream.local, stream.remote]
  return stream
}

/** Whoever upgrades by node:http gets its socket back. */
function upgrade(socket: Socket, path: string, copies: boolean, done: (result: ByteStream | HostError) => void): void {
  const request = httpRequest({
    path,
    createConnection: () => socket,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Protocol': 'mqtt',
    },
  })
  request.on('upgrade', (_response, upgraded: Socket, head) => {
    if (head.length > 0) upgraded.unshift(head)
    done(new MaskedStream(streamOver(upgraded, copies)))
  })
  request.on('response', ({ statusCode }) => done(new HostError('unavailable', `HTTP ${statusCode}`)))
  request.on('error', (error) => done(new HostError('unavailable', errorWords(error))))
  request.end()
}

/** A client's masked frame. */
export function maskedFrame(opcode: number, payload: Buffer, final = true): Buffer {
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78])
  const length = payload.length
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = (final ? 0x80 : 0) | opcode
  header[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([header, mask, payload.map((byte, index) => byte ^ mask[index & 3]!)])
}

/** Our frames as a client reads them: opcode, payload, and what is left. */
export function readFrames(bytes: Buffer): { frames: { opcode: number; payload: Buffer }[]; rest: Buffer } {
  const frames: { opcode: number; payload: Buffer }[] = []
  let at = 0
  while (bytes.length - at >= 2) {
    const short = bytes[at + 1]! & 0x7f
    const header = short === 126 ? 4 : short === 127 ? 10 : 2
    if (bytes.length - at < header) break
    const length = header === 2 ? short : header === 4 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
    if (bytes.length - at < header + length) break
    frames.push({ opcode: bytes[at]! & 0x0f, payload: bytes.subarray(at + header, at + header + length) })
    at += header + length
  }
  return { frames, rest: bytes.subarray(at) }
}

/** A WebSocket client's end as a stream. */
class MaskedStream implements ByteStream, StreamHandler {
  readonly #inner: SocketStream
  #handler: StreamHandler | null = null
  #rest: Buffer = Buffer.alloc(0)

  constructor(inner: SocketStream) {
    this.#inner = inner
  }

  get local(): Endpoint {
    return this.#inner.local
  }

  get remote(): Endpoint {
    return this.#inner.remote
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes
  }

  open(handler: StreamHandler): void {
    const first = this.#handler === null
    this.#handler = handler
    if (first) this.#inner.open(this)
  }

  write(bytes: Buffer): boolean {
    return this.#inner.write(maskedFrame(2, bytes))
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  end(): void {
    this.#inner.write(maskedFrame(8, Buffer.from([3, 232])))
    this.#inner.end()
  }

  destroy(): void {
    this.#inner.destroy()
  }

  received(buffer: Buffer, start: number, end: number): void {
    const { frames, rest } = readFrames(Buffer.concat([this.#rest, buffer.subarray(start, end)]))
    this.#rest = rest
    for (const { opcode, payload } of frames) {
      if (opcode === 2) this.#handler?.received(payload, 0, payload.length)
    }
  }

  drained(): void {
    this.#handler?.drained()
  }

  closed(why: string | null): void {
    this.#handler?.closed(why)
  }
}

/** A certificate as listeners show it, of a CA of its own. */
export async function tlsService(clientCertificates: TlsService['clientCertificates'] = 'none'): Promise<TlsService> {
  const ca = await makeAuthority('1122334455667788' as never)
  const keys = await makeKeys()
  const names = { commonName: 'gw-1', names: ['gw-1', 'localhost'], addresses: ['127.0.0.1', '::1'] }
  const certificate = await issueService(ca, { ...names, fromMs: 0, toMs: 4e12 }, keys.publicKey)
  return { certificate, privateKey: keys.privateKey, anchors: [ca.certificate], revocations: null, clientCertificates }
}

/** What a listener's HTTP side answers to a plain request. */
export const httpStatus = (url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    get(url, (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject)
  })
