// Texts by their bytes: the few thousand topics and client ids that a link repeats are decoded and checked once, and
// come out as the same string each time, which makes later look-ups by it quick.

/** Longer texts are decoded each time, so that what is kept stays small. */
const CACHED_BYTES_MAX = 128

export class TextCache {
  readonly #mask: number
  readonly #decode: (bytes: Buffer, start: number, end: number) => string
  readonly #texts: string[]
  readonly #bytes: (Buffer | null)[]

  /** `slots` is a power of two; `decode` throws for bytes that are no such text. */
  constructor(slots: number, decode: (bytes: Buffer, start: number, end: number) => string) {
    this.#mask = slots - 1
    this.#decode = decode
    this.#texts = new Array(slots).fill('')
    this.#bytes = new Array(slots).fill(null)
  }

  get(bytes: Buffer, start: number, end: number): string {
    const length = end - start
    if (length > CACHED_BYTES_MAX) return this.#decode(bytes, start, end)
    let hash = length
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
    const slot = (hash ^ (hash >>> 15)) & this.#mask
    const known = this.#bytes[slot]!
    if (known !== null && known.length === length) {
      let index = 0
      while (index < length && known[index] === bytes[start + index]) index++
      if (index === length) return this.#texts[slot]!
    }
    const text = this.#decode(bytes, start, end)
    this.#texts[slot] = text
    this.#bytes[slot] = Buffer.from(bytes.subarray(start, end))
    return text
  }
}
