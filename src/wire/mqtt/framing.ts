// Where packets begin and end in what a stream delivers. A packet that lies whole in the read buffer is handed over in
// place; only a packet that spans reads is put together in a buffer of its own, which grows with what arrives.
//
//   type and flags | remaining length (1-4 bytes) | body
//   ^ packetStart                                 ^ bodyStart          ^ end

import { assert, ProtocolError } from '../../base/errors.ts'
import { Reason } from '../../base/reasons.ts'

/** The fixed header announces more than is allowed; nothing of the body was kept. */
export class PacketTooLarge extends ProtocolError {
  /** Bytes of the whole packet as announced. */
  readonly announced: number
  /** The topic of a PUBLISH as far as it had come, for people; null: another packet, or nothing of it was there. */
  readonly topic: string | null
  constructor(announced: number, limit: number, topic: string | null) {
    super(Reason.packetTooLarge, `a packet of ${announced} bytes, more than ${limit}`)
    this.announced = announced
    this.topic = topic
  }
}

export interface PacketSink {
  /**
   * A whole packet, bytes [packetStart, end) of `buffer`. They stay as they are until the `push` or `resume` that
   * handed them over returns, so that packets of one read can be forwarded together.
   */
  packet(buffer: Buffer, packetStart: number, bodyStart: number, end: number): void
}

const FIXED_HEADER_MAX = 5
const SMALLEST = 256

export class Framer {
  readonly #sink: PacketSink
  /** Bytes of the largest packet allowed, header included; may be changed at any time, within `packet` too. */
  limit: number
  /** The packet that spans reads, `#heldLength` bytes of it so far. */
  #held: Buffer | null = null
  #heldLength = 0
  /** What came while paused; whole and partial packets. */
  #rest: Buffer | null = null
  #state: 'reading' | 'paused' | 'closed' = 'reading'
  #busy = false

  constructor(sink: PacketSink, limit: number) {
    this.#sink = sink
    this.limit = limit
  }

  /** Bytes kept of packets that are not handed over yet. */
  get heldBytes(): number {
    return this.#heldLength + (this.#rest?.length ?? 0)
  }

  get paused(): boolean {
    return this.#state === 'paused'
  }

  /**
   * Takes bytes [start, end) of a read and hands over the packets they complete. A returned error is final: the framer
   * is closed then.
   */
  push(buffer: Buffer, start: number, end: number): ProtocolError | null {
    assert(!this.#busy, 'bytes pushed into a framer that is handing over a packet')
    if (this.#state === 'closed') return null
    if (this.#state === 'paused') {
      this.#keep(buffer, start, end)
      return null
    }
    this.#busy = true
    const error = this.#push(buffer, start, end)
    this.#busy = false
    return error
  }

  /**
   * Hands over nothing more until `resume`; for use within `packet` too. What is left of the read is copied, so the
   * stream has to be paused as well.
   */
  pause(): void {
    if (this.#state === 'reading') this.#state = 'paused'
  }

  /** Goes on with what was kept since `pause`. Within `packet` it only takes a `pause` back. */
  resume(): ProtocolError | null {
    if (this.#state !== 'paused') return null
    this.#state = 'reading'
    const rest = this.#rest
    if (this.#busy || rest === null) return null
    this.#rest = null
    return this.push(rest, 0, rest.length)
  }

  /** Hands over nothing any more, for good, and lets go of all buffers. For use within `packet` too. */
  close(): void {
    this.#state = 'closed'
    this.#held = null
    this.#heldLength = 0
    this.#rest = null
  }

  #push(buffer: Buffer, start: number, end: number): ProtocolError | null {
    let at = start
    if (this.#held !== null) {
      const next = this.#complete(buffer, at, end)
      if (next instanceof ProtocolError) return next
      at = next
    }
    while (at < end && this.#state === 'reading') {
      const bodyStart = headerEnd(buffer, at, end)
      if (bodyStart === BAD_LENGTH) return this.#refuse(badLength())
      if (bodyStart === UNKNOWN) break
      const packetEnd = bodyStart + remainingLength(buffer, at + 1, bodyStart)
      if (packetEnd - at > this.limit) {
        return this.#refuse(
          new PacketTooLarge(packetEnd - at, this.limit, topicOf(buffer[at]!, buffer, bodyStart, end)),
        )
      }
      if (packetEnd > end) break
      const packetStart = at
      at = packetEnd
      this.#sink.packet(buffer, packetStart, bodyStart, packetEnd)
    }
    // `packet` may have changed the state behind the compiler's back.
    const state = this.#state as 'reading' | 'paused' | 'closed'
    if (at < end && state === 'reading') this.#hold(buffer, at, end)
    else if (at < end && state === 'paused') this.#keep(buffer, at, end)
    return null
  }

  /** Adds to the packet that spans reads, and hands it over when it is whole; returns where the next one begins. */
  #complete(buffer: Buffer, start: number, end: number): number | ProtocolError {
    let at = start
    let bodyStart = headerEnd(this.#held!, 0, this.#heldLength)
    while (bodyStart === UNKNOWN && at < end) {
      this.#hold(buffer, at, ++at)
      bodyStart = headerEnd(this.#held!, 0, this.#heldLength)
    }
    if (bodyStart === BAD_LENGTH) return this.#refuse(badLength())
    if (bodyStart === UNKNOWN) return at
    const held = this.#held!
    const length = bodyStart + remainingLength(held, 1, bodyStart)
    // Seen when its header was whole, so of the body there is only what this read has brought.
    if (length > this.limit)
      return this.#refuse(new PacketTooLarge(length, this.limit, topicOf(held[0]!, buffer, at, end)))
    const next = Math.min(end, at + length - this.#heldLength)
    this.#hold(buffer, at, next, length)
    if (this.#heldLength < length) return next
    // Not used again: the sink may look at this packet until `push` returns.
    const whole = this.#held!
    this.#held = null
    this.#heldLength = 0
    this.#sink.packet(whole, 0, bodyStart, length)
    return next
  }

  /** Adds bytes to the packet that spans reads; `most` is its length where that is known. */
  #hold(buffer: Buffer, start: number, end: number, most = Number.POSITIVE_INFINITY): void {
    const length = this.#heldLength + end - start
    if (this.#held === null || length > this.#held.length) {
      const doubled = Math.max(SMALLEST, length, (this.#held?.length ?? 0) * 2)
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(doubled, most)))
      this.#held?.copy(grown, 0, 0, this.#heldLength)
      this.#held = grown
    }
    buffer.copy(this.#held, this.#heldLength, start, end)
    this.#heldLength = length
  }

  #keep(buffer: Buffer, start: number, end: number): void {
    const more = buffer.subarray(start, end)
    this.#rest = this.#rest === null ? Buffer.from(more) : Buffer.concat([this.#rest, more])
  }

  #refuse<E extends ProtocolError>(error: E): E {
    this.close()
    return error
  }
}

/** Bytes of a refused topic that people are shown. */
const TOPIC_SHOWN = 200

/** What there is in [bodyStart, end) of the topic of a packet that begins with `first`. */
function topicOf(first: number, buffer: Buffer, bodyStart: number, end: number): string | null {
  if (first >> 4 !== 3 || end - bodyStart < 2) return null
  const length = (buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!
  return buffer.toString('utf8', bodyStart + 2, Math.min(end, bodyStart + 2 + length, bodyStart + 2 + TOPIC_SHOWN))
}

const UNKNOWN = -1
const BAD_LENGTH = -2

/** Where the body of the packet at `at` begins, UNKNOWN while bytes are missing, BAD_LENGTH for a fifth length byte. */
function headerEnd(buffer: Buffer, at: number, end: number): number {
  for (let index = at + 1; index < end; index++) {
    if (index - at === FIXED_HEADER_MAX) return BAD_LENGTH
    if (buffer[index]! < 0x80) return index + 1
  }
  return end - at >= FIXED_HEADER_MAX ? BAD_LENGTH : UNKNOWN
}

function remainingLength(buffer: Buffer, start: number, end: number): number {
  let value = 0
  for (let index = end - 1; index >= start; index--) value = (value << 7) | (buffer[index]! & 0x7f)
  return value
}

const badLength = () => new ProtocolError(Reason.malformedPacket, 'a remaining length of more than four bytes')
