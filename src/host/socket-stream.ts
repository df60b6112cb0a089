// One TCP or TLS socket as a ByteStream. Reads arrive by a call from the socket's static buffer where it has one
// (`onread`), else by 'data' events; writes tell at once whether the kernel took them all.
//
//   reading -> ending (we said `end`, or the other side did: flush, wait for the other FIN, bounded) -> closed

import type { Socket } from 'node:net'
import type { ByteStream, Endpoint, StreamHandler } from '../base/ports/streams.ts'
import { closeReason } from './close-reason.ts'

/** How long the other side may take to read our last bytes once we want to close. */
export const FLUSH_MS = 5000
/** How long we wait for the other side's FIN after ours: closing earlier may reset what it has not read yet. */
export const LINGER_MS = 1000

/** One buffer for all sockets: the kernel fills it and the handler empties it within one call. */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)

export interface OnRead {
  readonly buffer: Buffer
  readonly callback: (length: number, buffer: Uint8Array) => boolean
}

export interface SocketTraits {
  /** True when the socket was made with the `onread` it was offered, false when it speaks by 'data' events. */
  readonly staticBuffer: boolean
  /** True when the socket has copied what it accepted once it was idle, as TLS does when it encrypts. */
  readonly copies: boolean
  /** What it means when the other side ends in good order without having said anything; null: nothing special. */
  readonly unheard: string | null
  /** Who is where, when it is not what the socket says: behind a proxy, or on a unix socket. */
  readonly ends?: { readonly local: Endpoint; readonly remote: Endpoint }
}

export class SocketStream implements ByteStream {
  readonly #socket: Socket
  readonly #byEvents: boolean
  readonly #copies: boolean
  /** Why it has ended, if it ends now in good order. */
  #unheard: string | null
  #local: Endpoint | null = null
  #remote: Endpoint | null = null
  #handler: StreamHandler | null = null
  #state: 'reading' | 'ending' | 'closed' | 'surrendered' = 'reading'
  #draining = false
  /** Set with the end of the stream; waits here when there is no handler yet. */
  #why: string | null = null
  #told = false
  #linger: NodeJS.Timeout | null = null

  /** `make` gives the socket, paused, and may pass on the `onread` it is offered. */
  constructor(make: (onread: OnRead) => Socket, traits: SocketTraits) {
    this.#socket = make({ buffer: READ_BUFFER, callback: (length) => this.#take(READ_BUFFER, length) })
    this.#byEvents = !traits.staticBuffer
    this.#copies = traits.copies
    this.#unheard = traits.unheard
    this.#local = traits.ends?.local ?? null
    this.#remote = traits.ends?.remote ?? null
    this.#socket.on('error', this.#failed)
    this.#socket.on('end', this.#ended)
    this.#socket.on('close', this.#closed)
  }

  get local(): Endpoint {
    this.#local ??= endpoint(this.#socket.localAddress, this.#socket.localPort)
    return this.#local
  }

  /** Known from the connection's start, and kept: a socket that is gone has forgotten it. */
  get remote(): Endpoint {
    this.#remote ??= endpoint(this.#socket.remoteAddress, this.#socket.remotePort)
    return this.#remote
  }

  get pendingBytes(): number {
    return this.#state === 'closed' ? 0 : this.#socket.writableLength
  }

  open(handler: StreamHandler): void {
    const first = this.#handler === null
    this.#handler = handler
    if (this.#state === 'closed') {
      process.nextTick(this.#tell)
      return
    }
    if (first && this.#byEvents) this.#socket.on('data', this.#data)
    if (this.#state === 'reading') this.#socket.resume()
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== 'reading') return true
    const socket = this.#socket
    const idle = this.#copies && socket.writableLength === 0
    socket.write(bytes, this.#written)
    if (socket.writableLength === 0) return true
    this.#draining = true
    return idle
  }

  /** Both as one write to the kernel; the answer is that of `write`. */
  writeFramed(header: Buffer, bytes: Buffer): boolean {
    if (this.#state !== 'reading') return true
    const socket = this.#socket
    const idle = this.#copies && socket.writableLength === 0
    socket.cork()
    socket.write(header)
    socket.write(bytes, this.#written)
    socket.uncork()
    if (socket.writableLength === 0) return true
    this.#draining = true
    return idle
  }

  pause(): void {
    if (this.#state === 'reading') this.#socket.pause()
  }

  resume(): void {
    if (this.#state === 'reading') this.#socket.resume()
  }

  end(): void {
    if (this.#state !== 'reading') return
    this.#state = 'ending'
    // Reading goes on, into the void: the other side's FIN is seen only behind what it still sends.
    if (this.#byEvents && this.#handler === null) this.#socket.on('data', this.#data)
    this.#socket.resume()
    this.#destroyIn(FLUSH_MS)
    this.#socket.end(() => {
      if (this.#state === 'ending') this.#destroyIn(LINGER_MS)
    })
  }

  destroy(): void {
    if (this.#state === 'closed' || this.#state === 'surrendered') return
    this.#state = 'ending'
    this.#socket.destroy()
  }

  /**
   * Gives the socket away, to be wrapped in TLS. This stream is then dead and its handler hears nothing more; the
   * listener for errors stays, since an error without a listener ends the process. Null when already closed or closing.
   */
  surrender(): Socket | null {
    if (this.#state !== 'reading') return null
    this.#state = 'surrendered'
    this.#handler = null
    this.#socket.off('data', this.#data)
    this.#socket.off('end', this.#ended)
    this.#socket.off('close', this.#closed)
    return this.#socket
  }

  #take(buffer: Buffer, length: number): boolean {
    this.#unheard = null
    if (this.#state === 'reading' && this.#handler !== null) this.#handler.received(buffer, 0, length)
    return true
  }

  readonly #data = (chunk: Buffer): void => {
    this.#take(chunk, chunk.length)
  }

  readonly #written = (): void => {
    if (!this.#draining || this.#socket.writableLength > 0) return
    this.#draining = false
    if (this.#state === 'reading' || this.#state === 'ending') this.#handler?.drained()
  }

  readonly #failed = (error: Error): void => {
    if (this.#state === 'reading') this.#why = closeReason(error)
  }

  /** The other side's FIN. Node ends our side as well, behind what is still to be flushed. */
  readonly #ended = (): void => {
    if (this.#state !== 'reading') return
    this.#state = 'ending'
    this.#why = this.#unheard
    this.#destroyIn(FLUSH_MS)
  }

  readonly #closed = (): void => {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#tell()
  }

  readonly #tell = (): void => {
    if (this.#told || this.#handler === null) return
    this.#told = true
    this.#handler.closed(this.#why)
  }

  #destroyIn(ms: number): void {
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#linger = setTimeout(() => this.#socket.destroy(), ms)
  }
}

/** An IPv4 peer of a listener on `::` is shown as IPv4, or the same box would have two names. */
export function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const plain = address ?? ''
  return { address: plain.startsWith('::ffff:') ? plain.slice(7) : plain, port: port ?? 0 }
}
