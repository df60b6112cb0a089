// Packets moved below a prefix and back: what a client of a listener with a mount point calls `a` is `PREFIXa` in the
// broker. Topics, filters, wills and response topics; everything else stays as it is, byte for byte.

import { Property, propertyEnd } from './properties.ts'
import { readVarint, varintBytes, writeVarint } from './varint.ts'

/** Turns one text into another; null: it cannot be. */
type Turn = (text: Buffer) => Buffer | null

const CONNECT = 1
const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const SHARE = Buffer.from('$share/')
const SLASH = 0x2f
const STRING_BYTES_MAX = 65_535
const WILL = 0x04

/** Goes over a packet's body, and writes it anew where something changes. */
class Body {
  readonly #bytes: Buffer
  readonly #end: number
  readonly #out: Buffer[] = []
  /** Everything before it is in `#out`. */
  #copied: number
  at: number
  failed = false

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#end = end
    this.#copied = start
    this.at = start
  }

  get more(): boolean {
    return !this.failed && this.at < this.#end
  }

  skip(length: number): void {
    this.at += length
    if (this.at > this.#end) this.failed = true
  }

  byte(): number {
    this.skip(1)
    return this.failed ? 0 : this.#bytes[this.at - 1]!
  }

  /** A string with its length, turned. */
  text(turn: Turn | null): void {
    const start = this.at
    this.skip(2)
    if (this.failed) return
    this.skip(this.#bytes.readUInt16BE(start))
    if (this.failed || turn === null) return
    const text = turn(this.#bytes.subarray(start + 2, this.at))
    if (text === null || text.length > STRING_BYTES_MAX) this.failed = true
    else this.#replace(start, lengthAnd(text))
  }

  /** The properties, with the response topic turned. */
  properties(turn: Turn | null): void {
    const start = this.at
    const length = readVarint(this.#bytes, start, this.#end)
    if (length < 0) {
      this.failed = true
      return
    }
    const first = start + varintBytes(length)
    this.at = first
    this.skip(length)
    if (this.failed || turn === null) return
    const inside = new Body(this.#bytes, first, this.at)
    while (inside.more) inside.#property(turn)
    const turned = inside.#whole()
    if (turned === null) this.failed = true
    else if (inside.#out.length > 0) {
      const head = Buffer.allocUnsafe(varintBytes(turned.length))
      writeVarint(turned.length, head, 0)
      this.#replace(start, Buffer.concat([head, turned]))
    }
  }

  /** The packet with this body; null when something was wrong, `whole` itself when nothing changed. */
  packet(whole: Buffer): Buffer | null {
    if (this.failed) return null
    if (this.#out.length === 0) return whole
    const body = this.#whole()!
    const head = Buffer.allocUnsafe(1 + varintBytes(body.length))
    head[0] = whole[0]!
    writeVarint(body.length, head, 1)
    return Buffer.concat([head, body])
  }

  #property(turn: Turn): void {
    const id = this.byte()
    if (id === Property.responseTopic) return this.text(turn)
    const until = propertyEnd(id, this.#bytes, this.at, this.#end)
    if (until < 0) this.failed = true
    else this.at = until
  }

  #replace(start: number, turned: Buffer): void {
    this.#out.push(this.#bytes.subarray(this.#copied, start), turned)
    this.#copied = this.at
  }

  #whole(): Buffer | null {
    return this.failed ? null : Buffer.concat([...this.#out, this.#bytes.subarray(this.#copied, this.#end)])
  }
}

export class Mount {
  readonly #prefix: Buffer
  #version: number | null = null

  constructor(prefix: string) {
    this.#prefix = Buffer.from(prefix)
  }

  /** Whether the CONNECT has been here. */
  get begun(): boolean {
    return this.#version !== null
  }

  /** A whole packet of the client below the prefix; null: it makes no sense, or its topic would be too long. */
  inward(packet: Buffer): Buffer | null {
    const type = packet[0]! >> 4
    if (type === CONNECT) return this.#connect(packet)
    if (type === PUBLISH) return this.#publish(packet, this.#topicIn)
    if (type !== SUBSCRIBE && type !== UNSUBSCRIBE) return packet
    const body = bodyOf(packet)
    body.skip(2)
    if (this.#version === 5) body.properties(null)
    while (body.more) {
      body.text(this.#filterIn)
      if (type === SUBSCRIBE) body.skip(1)
    }
    return body.packet(packet)
  }

  /** A whole packet of the broker as the client knows it; null: it makes no sense. */
  outward(packet: Buffer): Buffer | null {
    return packet[0]! >> 4 === PUBLISH ? this.#publish(packet, this.#topicOut) : packet
  }

  #connect(packet: Buffer): Buffer | null {
    const body = bodyOf(packet)
    body.text(null)
    const version = body.byte() & 0x7f
    const flags = body.byte()
    this.#version ??= version
    body.skip(2)
    if (version === 5) body.properties(null)
    body.text(null)
    if ((flags & WILL) === 0) return body.packet(packet)
    if (version === 5) body.properties(this.#topicIn)
    body.text(this.#topicIn)
    return body.packet(packet)
  }

  #publish(packet: Buffer, turn: Turn): Buffer | null {
    const body = bodyOf(packet)
    body.text(turn)
    if ((packet[0]! & 0x06) !== 0) body.skip(2)
    if (this.#version === 5) body.properties(turn)
    return body.packet(packet)
  }

  /** An empty topic stands for an alias, which stands for a topic that was here before. */
  readonly #topicIn: Turn = (topic) => (topic.length === 0 ? topic : Buffer.concat([this.#prefix, topic]))

  readonly #topicOut: Turn = (topic) => {
    const below = topic.subarray(0, this.#prefix.length).equals(this.#prefix)
    return below ? topic.subarray(this.#prefix.length) : topic
  }

  readonly #filterIn: Turn = (filter) => {
    if (!filter.subarray(0, SHARE.length).equals(SHARE)) return this.#topicIn(filter)
    const group = filter.indexOf(SLASH, SHARE.length) + 1
    // A share without a filter is wrong, and stays it.
    if (group === 0 || group === filter.length) return filter
    return Buffer.concat([filter.subarray(0, group), this.#prefix, filter.subarray(group)])
  }
}

function bodyOf(packet: Buffer): Body {
  const length = readVarint(packet, 1, packet.length)
  return new Body(packet, length < 0 ? packet.length : 1 + varintBytes(length), packet.length)
}

function lengthAnd(text: Buffer): Buffer {
  const whole = Buffer.allocUnsafe(2 + text.length)
  whole.writeUInt16BE(text.length)
  text.copy(whole, 2)
  return whole
}
