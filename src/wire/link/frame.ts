// Frames: what travels on a link inside TLS. A frame that announces more than the bound is refused before any of it is
// kept; kinds that this version does not know are skipped, so that versions N and N-1 can link.
//
//   0  length of what follows  4   (3 .. limits.frameBytes)
//   4  kind                    1
//   5  channel number          2   (the sender's own number of the channel; 0: the link itself)
//   7  body
//
//   kind            channel  body
//    1 confirm         0     see confirm.ts; the first frame each way
//    2 ping            0     token 4
//    3 pong            0     the ping's token 4
//    4 adopt           0     number 4: the node with the lower id has chosen this link of the pair (see tiebreak.ts)
//    5 goodbye         0     code 1, then a text for people (at most 255 bytes)
//    6 open            n     bytes the sender of this frame takes in advance 4, then the channel's name
//    7 data            n     a whole message
//    8 piece, first    n     length of the whole message 4, then its first bytes
//    9 piece, middle   n     bytes
//   10 piece, last     n     bytes
//   11 credit          n     bytes the sender of this frame has consumed 4

import { PeerError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'

export const FRAME_HEADER_BYTES = 7
const LENGTH_BYTES = 4
const LENGTH_MIN = FRAME_HEADER_BYTES - LENGTH_BYTES

export const FrameKind = {
  confirm: 1,
  ping: 2,
  pong: 3,
  adopt: 4,
  goodbye: 5,
  open: 6,
  data: 7,
  pieceFirst: 8,
  piece: 9,
  pieceLast: 10,
  credit: 11,
} as const

/** Why a side says goodbye. Numbers are only added. */
const GOODBYES = {
  1: 'stopping',
  2: 'leaving',
  3: 'duplicate',
  4: 'silent',
  5: 'broke the rules',
  6: 'identity changed',
  7: 'wrong identity',
  8: 'tampered',
  9: 'same identity',
  10: 'timeout',
  11: 'removed',
  12: 'other CA',
} as const

export type GoodbyeReason = (typeof GOODBYES)[keyof typeof GOODBYES] | 'unknown'

const codes = new Map(Object.entries(GOODBYES).map(([code, reason]) => [reason as GoodbyeReason, Number(code)]))

/** Writes the header of a frame whose body has `bodyBytes`; returns where the body goes. */
export function writeFrameHeader(into: Buffer, at: number, kind: number, channel: number, bodyBytes: number): number {
  const length = bodyBytes + LENGTH_MIN
  into[at] = length >>> 24
  into[at + 1] = length >>> 16
  into[at + 2] = length >>> 8
  into[at + 3] = length
  into[at + 4] = kind
  into[at + 5] = channel >>> 8
  into[at + 6] = channel
  return at + FRAME_HEADER_BYTES
}

export function encodeFrame(kind: number, channel: number, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length)
  body.copy(bytes, writeFrameHeader(bytes, 0, kind, channel, body.length))
  return bytes
}

export function encodeNumber(value: number): Buffer {
  const body = Buffer.allocUnsafe(4)
  body.writeUInt32BE(value, 0)
  return body
}

/** The one number that ping, pong, adopt and credit carry. Longer bodies are of later versions. */
export function decodeNumber(bytes: Buffer, start: number, end: number): number {
  if (end - start < 4) throw new PeerError('truncated frame')
  return bytes.readUInt32BE(start)
}

export function encodeGoodbye(reason: GoodbyeReason, text = ''): Buffer {
  const words = Buffer.from(text).subarray(0, 255)
  return Buffer.concat([Buffer.from([codes.get(reason) ?? 0]), words])
}

export function decodeGoodbye(bytes: Buffer, start: number, end: number): { reason: GoodbyeReason; text: string } {
  if (start === end) throw new PeerError('truncated frame')
  const reason = GOODBYES[bytes[start] as keyof typeof GOODBYES] ?? 'unknown'
  return { reason, text: printable(bytes.toString('utf8', start + 1, Math.min(end, start + 256))) }
}

export const CHANNEL_NAME_BYTES_MAX = 64

export function encodeOpen(name: string, windowBytes: number): Buffer {
  return Buffer.concat([encodeNumber(windowBytes), Buffer.from(name)])
}

export function decodeOpen(bytes: Buffer, start: number, end: number): { name: string; windowBytes: number } {
  const windowBytes = decodeNumber(bytes, start, end)
  const name = bytes.toString('latin1', start + 4, end)
  if (!/^[a-z0-9.-]{1,64}$/.test(name)) throw new PeerError('bad channel name')
  return { name, windowBytes }
}

/** Texts from elsewhere go to logs and terminals: no control characters. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

/** Gets each whole frame, in place; false stops the reading (the link was closed or handed on). */
export type FrameSink = (kind: number, channel: number, bytes: Buffer, start: number, end: number) => boolean

/**
 * Splits what arrives into frames. A frame that lies whole in what was read is handed over in place; only a frame torn
 * between two reads is copied, into a buffer that grows with what arrives and never with what was announced.
 */
export class FrameReader {
  #torn: Buffer = NOTHING
  #length = 0

  /** Bytes kept of a frame that is not whole yet. */
  get keptBytes(): number {
    return this.#length
  }

  /** Throws PeerError for a length out of bounds, and whatever the sink throws. */
  read(bytes: Buffer, start: number, end: number, sink: FrameSink): void {
    let at = start
    while (this.#length > 0 && at < end) {
      at = this.#fill(bytes, at, end)
      if (this.#length < LENGTH_BYTES || this.#length < frameBytes(this.#torn, 0)) continue
      const torn = this.#torn
      const length = this.#length
      this.#length = 0
      if (torn.length > 2 * limits.pieceBytes) this.#torn = NOTHING
      if (!deliver(torn, 0, length, sink)) return
    }
    while (end - at >= LENGTH_BYTES) {
      const total = frameBytes(bytes, at)
      if (end - at < total) break
      at += total
      if (!deliver(bytes, at - total, at, sink)) return
    }
    if (at < end) this.#keep(bytes, at, end)
  }

  /** Adds to the torn frame what it lacks, as far as that is known yet. */
  #fill(bytes: Buffer, start: number, end: number): number {
    const wanted = this.#length < LENGTH_BYTES ? LENGTH_BYTES : frameBytes(this.#torn, 0)
    const stop = Math.min(end, start + wanted - this.#length)
    this.#keep(bytes, start, stop)
    return stop
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const length = this.#length + end - start
    if (length > this.#torn.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(256, length, this.#torn.length * 2))
      this.#torn.copy(grown, 0, 0, this.#length)
      this.#torn = grown
    }
    bytes.copy(this.#torn, this.#length, start, end)
    this.#length = length
  }
}

const NOTHING = Buffer.alloc(0)

function frameBytes(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at)
  if (length < LENGTH_MIN || length > limits.frameBytes) throw new PeerError('frame length out of bounds')
  return length + LENGTH_BYTES
}

function deliver(bytes: Buffer, start: number, end: number, sink: FrameSink): boolean {
  const channel = (bytes[start + 5]! << 8) | bytes[start + 6]!
  return sink(bytes[start + 4]!, channel, bytes, start + FRAME_HEADER_BYTES, end)
}
