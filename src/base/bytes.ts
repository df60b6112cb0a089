// Reading and writing the binary layouts of links, beacons and records: bounded, big-endian, never past the end.

/** Reads fields in order. A read past the end returns zero or empty and sets `broken`: check it once, at the end. */
export class ByteReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number
  /** True after any read past the end; everything read is then worthless. */
  broken = false

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  u8(): number {
    return this.#has(1) ? this.#bytes[this.#at++]! : 0
  }

  u16(): number {
    if (!this.#has(2)) return 0
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }

  u32(): number {
    if (!this.#has(4)) return 0
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  /** 6 bytes: counters and milliseconds, which fit a double exactly. */
  u48(): number {
    if (!this.#has(6)) return 0
    this.#at += 6
    return this.#bytes.readUIntBE(this.#at - 6, 6)
  }

  /** An 8-byte id as 16 hexadecimal digits. */
  id<Id extends string>(): Id {
    if (!this.#has(8)) return '' as Id
    this.#at += 8
    return this.#bytes.toString('hex', this.#at - 8, this.#at) as Id
  }

  /** The next `length` bytes, as a view: copy what outlives the buffer. */
  view(length: number): Buffer {
    if (!this.#has(length)) return EMPTY
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** Everything that is left, as a view. */
  rest(): Buffer {
    return this.view(this.remaining)
  }

  /** A UTF-8 text behind a 2-byte length. */
  text(): string {
    const length = this.u16()
    if (!this.#has(length)) return ''
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  /** True when everything was read and nothing was missing. */
  finished(): boolean {
    return !this.broken && this.#at === this.#end
  }

  #has(length: number): boolean {
    if (this.#at + length <= this.#end) return true
    this.broken = true
    this.#at = this.#end
    return false
  }
}

const EMPTY = Buffer.alloc(0)

/** Below this a loop is quicker than a call into the runtime. */
const SHORT = 48

/** Writes fields in order into a buffer that grows. */
export class ByteWriter {
  #bytes: Buffer
  #at = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number {
    return this.#at
  }

  u8(value: number): this {
    this.#room(1)
    this.#bytes[this.#at++] = value
    return this
  }

  u16(value: number): this {
    this.#room(2)
    this.#at = this.#bytes.writeUInt16BE(value, this.#at)
    return this
  }

  u32(value: number): this {
    this.#room(4)
    this.#at = this.#bytes.writeUInt32BE(value, this.#at)
    return this
  }

  /** Room for a 4-byte length of what is written next, in place; returns what `behind` takes. */
  length32(): number {
    this.u32(0)
    return this.#at
  }

  /** Fills in the length of what was written since; returns it. */
  behind(at: number): number {
    const length = this.#at - at
    this.#bytes.writeUInt32BE(length, at - 4)
    return length
  }

  u48(value: number): this {
    this.#room(6)
    this.#at = this.#bytes.writeUIntBE(value, this.#at, 6)
    return this
  }

  id(value: string): this {
    this.#room(8)
    this.#at += this.#bytes.write(value, this.#at, 8, 'hex')
    return this
  }

  raw(bytes: Buffer, start = 0, end = bytes.length): this {
    this.#room(end - start)
    if (end - start >= SHORT) this.#at += bytes.copy(this.#bytes, this.#at, start, end)
    else for (let index = start; index < end; index++) this.#bytes[this.#at++] = bytes[index]!
    return this
  }

  /** A UTF-8 text behind a 2-byte length; at most 65,535 bytes. */
  text(value: string): this {
    const length = Buffer.byteLength(value)
    if (length > 0xffff) throw new RangeError(`text of ${length} bytes does not fit a 2-byte length`)
    this.u16(length)
    this.#room(length)
    this.#at += this.#bytes.write(value, this.#at, length, 'utf8')
    return this
  }

  /** What was written, as a view that stays valid; the writer must not be used any more. */
  done(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  #room(length: number): void {
    if (this.#at + length <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + length))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }
}
