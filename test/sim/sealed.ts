// A stream that is none of the network's (one that another member carries), as the simulated TLS wants it: what came with
// a handshake can be put back, and the stream can change hands.

import type { ByteStream, Endpoint, StreamHandler } from '../../src/base/ports/streams.ts'
import type { SimClock } from './clock.ts'
import { SimStream } from './stream.ts'

/** What a simulated handshake needs of a stream. */
export type Sealable = Pick<SimStream, 'gone' | 'detach' | 'unread' | 'refuse'> & ByteStream

export const sealable = (stream: ByteStream, clock: SimClock): Sealable =>
  stream instanceof SimStream ? stream : new Carried(stream, clock)

class Carried implements Sealable {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #inner: ByteStream
  readonly #clock: SimClock
  #handler: StreamHandler | null = null
  #inbox: Buffer[] = []
  #paused = false
  #waking = false
  #closed: { readonly why: string | null } | null = null
  gone = false

  constructor(inner: ByteStream, clock: SimClock) {
    this.#inner = inner
    this.#clock = clock
    this.local = inner.local
    this.remote = inner.remote
    inner.open({
      received: (buffer, start, end) => {
        this.#inbox.push(Buffer.from(buffer.subarray(start, end)))
        // What nobody reads is left where it is, as TCP would.
        if (this.#handler === null || this.#paused) inner.pause()
        this.#wake()
      },
      drained: () => this.#handler?.drained(),
      closed: (why) => {
        this.#closed = { why }
        this.gone = true
        this.#wake()
      },
    })
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
    this.#inner.resume()
    this.#wake()
  }

  write(bytes: Buffer): boolean {
    return this.#inner.write(bytes)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#inner.resume()
    this.#wake()
  }

  end(): void {
    this.#inner.end()
  }

  destroy(): void {
    this.#inner.destroy()
  }

  detach(): void {
    this.#handler = null
    this.#paused = false
  }

  unread(bytes: Buffer): void {
    if (bytes.length > 0) this.#inbox.unshift(bytes)
    this.#wake()
  }

  refuse(): void {
    this.#inner.destroy()
  }

  #wake(): void {
    if (this.#waking) return
    this.#waking = true
    this.#clock.soon(() => {
      this.#waking = false
      while (this.#handler !== null && !this.#paused && this.#inbox.length > 0) {
        const bytes = this.#inbox.shift()!
        this.#handler.received(bytes, 0, bytes.length)
      }
      if (this.#inbox.length > 0 || this.#closed === null || this.#handler === null) return
      const { why } = this.#closed
      this.#closed = null
      this.#handler.closed(why)
    })
  }
}
