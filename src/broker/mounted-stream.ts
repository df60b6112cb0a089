// The stream of a client whose listener has a mount point: the broker reads and writes whole topics, the client its own
// part of them. Packets are gathered whole here, within the bounds the broker has for them.

import type { ByteStream, Endpoint, StreamHandler } from '../base/ports/streams.ts'
import { Mount } from '../wire/mqtt/mount.ts'
import { INCOMPLETE, MALFORMED, readVarint, varintBytes } from '../wire/mqtt/varint.ts'
import { bounds } from './bounds.ts'

const NONE: Buffer = Buffer.alloc(0)
const HEADER_BYTES_MAX = 5

/** Whole packets out of pieces. */
class Packets {
  #kept: Buffer[] = []
  #keptBytes = 0
  /** Bytes of `#kept` with which the packet at its front is whole. */
  #needed = 2

  /** The first bytes of a packet that is not to be taken: the broker, shown these, says why. Nothing comes after it. */
  refused: Buffer | null = null

  get bytes(): number {
    return this.#keptBytes
  }

  /** The packets that are whole now. */
  push(bytes: Buffer, bytesMax: number): Buffer[] {
    if (this.refused !== null) return []
    this.#kept.push(Buffer.from(bytes))
    this.#keptBytes += bytes.length
    if (this.#keptBytes < this.#needed) return []
    const all = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
    const whole: Buffer[] = []
    let at = 0
    this.#needed = 2
    while (at < all.length) {
      const length = readVarint(all, at + 1, Math.min(all.length, at + HEADER_BYTES_MAX))
      if (length === INCOMPLETE) {
        this.#needed = all.length - at + 1
        break
      }
      const end = at + 1 + varintBytes(Math.max(0, length)) + length
      if (length === MALFORMED || end - at > bytesMax) {
        this.refused = Buffer.from(all.subarray(at, at + HEADER_BYTES_MAX))
        this.#kept = []
        this.#keptBytes = 0
        return whole
      }
      if (end > all.length) {
        this.#needed = end - at
        break
      }
      whole.push(all.subarray(at, end))
      at = end
    }
    this.#kept = at === all.length ? [] : [at === 0 ? all : Buffer.from(all.subarray(at))]
    this.#keptBytes = all.length - at
    return whole
  }
}

export class MountedStream implements ByteStream, StreamHandler {
  readonly #inner: ByteStream
  readonly #mount: Mount
  readonly #packetBytesMax: () => number
  readonly #in = new Packets()
  readonly #out = new Packets()
  #handler: StreamHandler | null = null

  constructor(inner: ByteStream, prefix: string, packetBytesMax: () => number) {
    this.#inner = inner
    this.#mount = new Mount(prefix)
    this.#packetBytesMax = packetBytesMax
  }

  get local(): Endpoint {
    return this.#inner.local
  }

  get remote(): Endpoint {
    return this.#inner.remote
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes + this.#out.bytes
  }

  open(handler: StreamHandler): void {
    const first = this.#handler === null
    this.#handler = handler
    if (first) this.#inner.open(this)
  }

  write(bytes: Buffer): boolean {
    const packets = this.#out.push(bytes, Number.POSITIVE_INFINITY)
    const turned = packets.map((packet) => this.#mount.outward(packet) ?? packet)
    return turned.length === 0 ? true : this.#inner.write(Buffer.concat(turned))
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  end(): void {
    this.#inner.end()
  }

  destroy(): void {
    this.#inner.destroy()
  }

  // The side of the stream below.

  received(buffer: Buffer, start: number, end: number): void {
    const refusedBefore = this.#in.refused
    const bytesMax = this.#packetBytesMax()
    const packets = this.#in.push(
      buffer.subarray(start, end),
      this.#mount.begun ? bytesMax : Math.min(bounds.connectPacketBytes, bytesMax),
    )
    const turned: Buffer[] = []
    for (const packet of packets) {
      const moved = this.#mount.inward(packet)
      // What cannot be moved below the prefix must not come in beside it.
      if (moved === null) {
        this.#give(turned)
        return this.#inner.destroy()
      }
      turned.push(moved)
    }
    const { refused } = this.#in
    if (refused !== null && refusedBefore === null) turned.push(refused)
    this.#give(turned)
  }

  drained(): void {
    this.#handler?.drained()
  }

  closed(why: string | null): void {
    this.#handler?.closed(why)
  }

  #give(packets: readonly Buffer[]): void {
    const bytes = packets.length === 0 ? NONE : Buffer.concat(packets)
    if (bytes.length > 0) this.#handler?.received(bytes, 0, bytes.length)
  }
}
