// A WebSocket as a ByteStream: MQTT bytes in binary frames, which may share and span packets [MQTT-6.0.0-2].

import type { ByteStream, Endpoint, StreamHandler } from '../base/ports/streams.ts'
import type { SocketStream } from './socket-stream.ts'
import { CloseCode, FrameReader, frameHeader, Opcode } from './websocket-frames.ts'

/** Pongs are left out while this much waits to be sent: pings must not fill our memory. */
const PONG_PENDING_BYTES = 64 * 1024

export class WebSocketStream implements ByteStream, StreamHandler {
  readonly #inner: SocketStream
  readonly #frames: FrameReader
  #handler: StreamHandler | null = null
  #state: 'open' | 'ending' = 'open'
  #why: string | null = null

  /** `inner` begins behind the HTTP upgrade. */
  constructor(inner: SocketStream, frameBytesMax: number) {
    this.#inner = inner
    this.#frames = new FrameReader(frameBytesMax)
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
    if (this.#state !== 'open') return true
    return this.#inner.writeFramed(frameHeader(Opcode.binary, bytes.length), bytes)
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  end(): void {
    this.#close(CloseCode.normal)
  }

  destroy(): void {
    this.#inner.destroy()
  }

  // The side of the stream below.

  received(buffer: Buffer, start: number, end: number): void {
    const frames = this.#frames
    const until = frames.push(buffer, start, end)
    if (until > start) this.#handler?.received(buffer, start, until)
    if (frames.ended !== null) {
      if (this.#state === 'open') this.#why = frames.ended.why
      return this.#close(frames.ended.code)
    }
    const ping = frames.takePing()
    if (ping !== null && this.#state === 'open' && this.#inner.pendingBytes < PONG_PENDING_BYTES) {
      this.#inner.writeFramed(frameHeader(Opcode.pong, ping.length), ping)
    }
  }

  drained(): void {
    this.#handler?.drained()
  }

  closed(why: string | null): void {
    this.#handler?.closed(this.#why ?? why)
  }

  #close(code: number): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    const reason = Buffer.allocUnsafe(2)
    reason.writeUInt16BE(code)
    this.#inner.writeFramed(frameHeader(Opcode.close, 2), reason)
    this.#inner.end()
  }
}
