// WebSocket frames (RFC 6455 5.2) from a client to us, taken apart as they come: what a data frame carries is unmasked in
// place and moved over its header, so a read of the socket becomes one piece of MQTT bytes and nothing is ever gathered.
//
//   FIN RSV3 opcode4 | MASK length7 | length 16 or 64, when length7 is 126 or 127 | mask 32 | payload

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** RFC 6455 7.4.1 */
export const CloseCode = { normal: 1000, protocolError: 1002, unsupportedData: 1003, messageTooBig: 1009 } as const

export interface FrameEnd {
  readonly code: number
  /** Null: the client said goodbye in good order. */
  readonly why: string | null
}

const HEADER_BYTES_MAX = 14
const CONTROL_BYTES_MAX = 125

export class FrameReader {
  readonly #frameBytesMax: number
  readonly #header = Buffer.alloc(HEADER_BYTES_MAX)
  readonly #mask = Buffer.alloc(4)
  #headerLength = 0
  #opcode: number = Opcode.continuation
  #final = false
  /** Payload bytes of the frame in hand that are still to come; -1: its header is. */
  #left = -1
  #maskAt = 0
  #inMessage = false
  #control: Buffer = Buffer.alloc(0)
  #controlLength = 0
  #ended: FrameEnd | null = null
  #ping: Buffer | null = null

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax
  }

  /** Why nothing more is read: the client's goodbye, or its fault. */
  get ended(): FrameEnd | null {
    return this.#ended
  }

  /** The last ping that has not been answered yet, once. */
  takePing(): Buffer | null {
    const ping = this.#ping
    this.#ping = null
    return ping
  }

  /** Turns frames [start, end) into what they carry, at [start, returned). */
  push(buffer: Buffer, start: number, end: number): number {
    let at = start
    let out = start
    while (this.#ended === null) {
      if (this.#left < 0) {
        at = this.#takeHeader(buffer, at, end)
        if (this.#left < 0) break
      }
      const until = Math.min(end, at + this.#left)
      this.#left -= until - at
      out = this.#takePayload(buffer, at, until, out)
      at = until
      if (this.#left > 0) break
      this.#endFrame()
    }
    return out
  }

  /** Returns where the payload begins; `#left` tells whether the header is whole. */
  #takeHeader(buffer: Buffer, start: number, end: number): number {
    const header = this.#header
    let at = start
    while (this.#headerLength < headerBytes(header, this.#headerLength)) {
      if (at === end) return at
      header[this.#headerLength++] = buffer[at++]!
    }
    const bytes = this.#headerLength
    this.#headerLength = 0
    this.#ended = this.#beginFrame(header)
    if (this.#ended !== null) return at
    header.copy(this.#mask, 0, bytes - 4, bytes)
    this.#maskAt = 0
    return at
  }

  #beginFrame(header: Buffer): FrameEnd | null {
    const first = header[0]!
    const opcode = first & 0x0f
    const final = (first & 0x80) !== 0
    if ((first & 0x70) !== 0) return fault('reserved bits in a WebSocket frame')
    if ((header[1]! & 0x80) === 0) return fault('a WebSocket frame without a mask')
    const length = payloadBytes(header)
    switch (opcode) {
      case Opcode.text:
        // [MQTT-6.0.0-1]
        return { code: CloseCode.unsupportedData, why: 'a WebSocket text frame' }
      case Opcode.binary:
      case Opcode.continuation:
        if (this.#inMessage !== (opcode === Opcode.continuation)) return fault('WebSocket fragments out of order')
        if (length > this.#frameBytesMax) return { code: CloseCode.messageTooBig, why: 'WebSocket frame too large' }
        break
      case Opcode.close:
      case Opcode.ping:
      case Opcode.pong:
        if (!final || length > CONTROL_BYTES_MAX) return fault('a malformed WebSocket control frame')
        this.#control = Buffer.allocUnsafe(length)
        this.#controlLength = 0
        break
      default:
        return fault('a WebSocket frame of an unknown kind')
    }
    this.#opcode = opcode
    this.#final = final
    this.#left = length
    return null
  }

  #takePayload(buffer: Buffer, start: number, end: number, outStart: number): number {
    const mask = this.#mask
    let maskAt = this.#maskAt
    let out = outStart
    if (this.#opcode >= Opcode.close) {
      for (let at = start; at < end; at++) this.#control[this.#controlLength++] = buffer[at]! ^ mask[maskAt++ & 3]!
    } else {
      for (let at = start; at < end; at++) buffer[out++] = buffer[at]! ^ mask[maskAt++ & 3]!
    }
    this.#maskAt = maskAt & 3
    return out
  }

  #endFrame(): void {
    this.#left = -1
    if (this.#opcode === Opcode.close) this.#ended = { code: CloseCode.normal, why: null }
    else if (this.#opcode === Opcode.ping) this.#ping = this.#control
    else if (this.#opcode < Opcode.close) this.#inMessage = !this.#final
  }
}

/** The header of a frame of ours: final and without a mask. */
export function frameHeader(opcode: number, length: number): Buffer {
  const bytes = length < 126 ? 2 : length < 0x1_0000 ? 4 : 10
  const header = Buffer.allocUnsafe(bytes)
  header[0] = 0x80 | opcode
  header[1] = bytes === 2 ? length : bytes === 4 ? 126 : 127
  if (bytes === 4) header.writeUInt16BE(length, 2)
  if (bytes === 10) {
    header.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
    header.writeUInt32BE(length % 0x1_0000_0000, 6)
  }
  return header
}

/** How long the header is, as far as its first `known` bytes tell. */
function headerBytes(header: Buffer, known: number): number {
  if (known < 2) return 2
  const length = header[1]! & 0x7f
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + ((header[1]! & 0x80) === 0 ? 0 : 4)
}

function payloadBytes(header: Buffer): number {
  const length = header[1]! & 0x7f
  if (length === 126) return header.readUInt16BE(2)
  if (length === 127) return header.readUInt32BE(2) * 0x1_0000_0000 + header.readUInt32BE(6)
  return length
}

const fault = (why: string): FrameEnd => ({ code: CloseCode.protocolError, why })
