// Going through the fields of one packet on its bytes, for the rules of strict.ts.

import { ProtocolError } from '../../base/errors.ts'
import { Reason, type ReasonCode } from '../../base/reasons.ts'
import { type AllowedProperties, PropertyCursor } from './properties.ts'
import { isMqttString } from './utf8.ts'

/** Goes through a packet field by field. Keeps the first error, after which everything reads as nothing. */
export class BytePass {
  readonly bytes: Buffer
  readonly end: number
  at: number
  error: ProtocolError | null = null
  /** The string or binary field last passed. */
  valueStart = 0
  valueEnd = 0

  constructor(bytes: Buffer, start: number) {
    this.bytes = bytes
    this.at = start
    this.end = bytes.length
  }

  get atEnd(): boolean {
    return this.at >= this.end
  }

  get valueText(): string {
    return this.bytes.toString('utf8', this.valueStart, this.valueEnd)
  }

  u8(): number {
    return this.#has(1) ? this.bytes[this.at - 1]! : 0
  }

  u16(): number {
    return this.#has(2) ? (this.bytes[this.at - 2]! << 8) | this.bytes[this.at - 1]! : 0
  }

  binary(): void {
    const length = this.u16()
    this.valueStart = this.at
    this.valueEnd = this.#has(length) ? this.at : this.valueStart
  }

  string(what: string): void {
    this.binary()
    // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    if (!isMqttString(this.bytes, this.valueStart, this.valueEnd)) {
      this.fail(Reason.malformedPacket, `${what} is not well-formed UTF-8`)
    }
  }

  /** Passes the properties and calls `each` for every one; it may fail the pass. */
  allProperties(allowed: AllowedProperties, each: (id: number, cursor: PropertyCursor) => void): void {
    if (this.error !== null) return
    const cursor = new PropertyCursor()
    if (!cursor.open(this.bytes, this.at, this.end, allowed)) return this.failWith(cursor.error)
    for (let id = cursor.next(); id !== 0; id = cursor.next()) {
      if (id === -1) return this.failWith(cursor.error)
      each(id, cursor)
    }
    if (this.error === null) this.at = cursor.end
  }

  /** A packet identifier, which is never 0. */
  packetId(): void {
    if (this.u16() === 0) this.fail(Reason.protocolError, 'a packet identifier of 0')
  }

  /** Nothing may be left. */
  finish(): ProtocolError | null {
    if (!this.atEnd) this.fail(Reason.malformedPacket, `${this.end - this.at} bytes too many`)
    return this.error
  }

  fail(reason: ReasonCode, message: string): void {
    this.failWith(new ProtocolError(reason, message))
  }

  failWith(error: ProtocolError | null): void {
    this.error ??= error
    this.at = this.end
  }

  #has(length: number): boolean {
    if (this.at + length > this.end) this.fail(Reason.malformedPacket, 'a packet that ends too early')
    if (this.error !== null) return false
    this.at += length
    return true
  }
}
