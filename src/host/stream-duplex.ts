// A ByteStream as what Node's TLS wants below itself: bytes that come through another member instead of a socket.

import { Duplex } from 'node:stream'
import type { ByteStream } from '../base/ports/streams.ts'

export class StreamDuplex extends Duplex {
  readonly #stream: ByteStream
  #written: (() => void) | null = null

  constructor(stream: ByteStream) {
    super({ allowHalfOpen: false })
    this.#stream = stream
    stream.open({
      received: (buffer, start, end) => {
        // The buffer is the stream's own again after this call.
        if (!this.push(Buffer.from(buffer.subarray(start, end)))) stream.pause()
      },
      drained: () => this.#continue(),
      closed: () => {
        this.push(null)
        this.#continue()
        this.destroy()
      },
    })
  }

  override _read(): void {
    this.#stream.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#stream.write(chunk)) return done()
    this.#written = done
  }

  override _final(done: () => void): void {
    this.#stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.destroy()
    done(error)
  }

  #continue(): void {
    const written = this.#written
    this.#written = null
    written?.()
  }
}
