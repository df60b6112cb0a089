// An accepted TCP connection as a ByteStream, over Node's handle itself: a public socket costs three times as much to make
// and to end, which counts when a site comes back after a power cut. Speaks and ends as SocketStream does.
//
//   reading -> ending (we said `end`, or the other side did: flush, wait for the other FIN, bounded) -> closing -> closed

import type { Socket } from 'node:net'
import { getSystemErrorMap, getSystemErrorName } from 'node:util'
import type { ByteStream, Endpoint, StreamHandler } from '../base/ports/streams.ts'
import { closeReason } from './close-reason.ts'
import { type Handles, type Name, socketOver, type TcpHandle, type WriteRequest } from './handles.ts'
import { endpoint, FLUSH_MS, LINGER_MS, READ_BUFFER, SocketStream } from './socket-stream.ts'

const numberOf = (code: string): number => [...getSystemErrorMap()].find(([, [name]]) => name === code)?.[0] ?? 0
const UV_EOF = numberOf('EOF')
const UV_ECANCELED = numberOf('ECANCELED')

export class HandleStream implements ByteStream {
  readonly #handle: TcpHandle
  readonly #handles: Handles
  readonly remote: Endpoint
  #local: Endpoint | null = null
  #handler: StreamHandler | null = null
  #state: 'reading' | 'ending' | 'closing' | 'closed' | 'surrendered' = 'reading'
  #reads = false
  /** The other side has said that it sends nothing more. */
  #theirEnd = false
  #pendingBytes = 0
  /** Set with the end of the stream; waits here when there is no handler yet. */
  #why: string | null = null
  #told = false
  #timer: NodeJS.Timeout | null = null

  constructor(handle: TcpHandle, handles: Handles) {
    this.#handle = handle
    this.#handles = handles
    handle.useUserBuffer(READ_BUFFER)
    handle.onread = this.#onRead
    // Known from the connection's start, and kept: one that the other side has reset forgets it.
    const name: Name = {}
    handle.getpeername(name)
    this.remote = endpoint(name.address, name.port)
  }

  get local(): Endpoint {
    if (this.#local === null) {
      const name: Name = {}
      if (this.#state !== 'closed' && this.#state !== 'closing') this.#handle.getsockname(name)
      this.#local = endpoint(name.address, name.port)
    }
    return this.#local
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
    if (this.#state === 'closed') process.nextTick(this.#tell)
    else if (this.#state === 'reading') this.#read()
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== 'reading') return true
    const request = (spare ??= this.#handles.newWrite())
    const error = this.#handle.writeBuffer(request, bytes)
    if (error === 0 && !this.#handles.waits()) return true
    spare = null
    if (error !== 0) {
      this.#broken(error)
      return true
    }
    request.bytes = bytes
    request.oncomplete = (status) => this.#written(request, status)
    this.#pendingBytes += bytes.length
    return false
  }

  pause(): void {
    if (this.#state !== 'reading' || !this.#reads) return
    this.#reads = false
    this.#handle.readStop()
  }

  resume(): void {
    if (this.#state === 'reading') this.#read()
  }

  end(): void {
    if (this.#state !== 'reading') return
    this.#state = 'ending'
    this.#closeIn(FLUSH_MS)
    this.#shutdown()
    // Reading goes on, into the void: the other side's FIN is seen only behind what it still sends.
    this.#read()
  }

  destroy(): void {
    if (this.#state === 'reading' || this.#state === 'ending') this.#close()
  }

  /** Gives the connection away as a public socket, as SocketStream does. */
  surrender(): Socket | null {
    if (this.#state !== 'reading') return null
    this.#state = 'surrendered'
    this.#handler = null
    const socket = socketOver(this.#handle, { buffer: READ_BUFFER, callback: () => true })
    // For life: an error without a listener ends the process.
    socket.on('error', () => {})
    return socket
  }

  readonly #onRead = (): void => {
    const length = this.#handles.read()
    if (length > 0) {
      if (this.#state === 'reading') this.#handler?.received(READ_BUFFER, 0, length)
    } else if (length === UV_EOF) {
      this.#ended()
    } else if (length < 0) {
      this.#broken(length)
    }
  }

  #read(): void {
    if (this.#reads || this.#theirEnd) return
    this.#reads = true
    const error = this.#handle.readStart()
    if (error !== 0) this.#broken(error)
  }

  #written(request: WriteRequest, status: number): void {
    this.#pendingBytes -= request.bytes!.length
    request.bytes = null
    if (this.#state !== 'reading' && this.#state !== 'ending') return
    if (status < 0) this.#broken(status)
    else if (this.#pendingBytes === 0) this.#handler?.drained()
  }

  /** The other side's FIN. Ours follows, behind what is still to be flushed. */
  #ended(): void {
    this.#theirEnd = true
    if (this.#pendingBytes === 0) return this.#close()
    if (this.#state !== 'reading') return
    this.#state = 'ending'
    this.#closeIn(FLUSH_MS)
    this.#shutdown()
  }

  /** Our FIN goes out behind everything that was written. */
  #shutdown(): void {
    const request = this.#handles.newShutdown()
    request.oncomplete = () => this.#flushed()
    if (this.#handle.shutdown(request) !== 0) this.#flushed()
  }

  #flushed(): void {
    if (this.#state !== 'ending') return
    if (this.#theirEnd) this.#close()
    else this.#closeIn(LINGER_MS)
  }

  #broken(error: number): void {
    if (this.#state === 'reading' && error !== UV_ECANCELED) {
      const code = getSystemErrorName(error)
      this.#why = closeReason(Object.assign(new Error(code), { code }))
    }
    this.destroy()
  }

  #close(): void {
    this.#state = 'closing'
    this.#pendingBytes = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#handle.close(() => {
      this.#state = 'closed'
      this.#tell()
    })
  }

  readonly #tell = (): void => {
    if (this.#told || this.#handler === null) return
    this.#told = true
    this.#handler.closed(this.#why)
  }

  #closeIn(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.destroy(), ms)
  }
}

/** Most writes are taken at once, and leave their request as it was: it serves the next one, of whichever stream. */
let spare: WriteRequest | null = null

/** Whether TLS can take its place: it gives its socket away. */
export const hasSocket = (stream: ByteStream): stream is SocketStream | HandleStream =>
  stream instanceof SocketStream || stream instanceof HandleStream
