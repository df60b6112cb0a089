// Texts by their bytes: the few thousand topics and client ids that a link repeats are decoded and checked once, and
// come out as the same string each time, which makes later look-ups by it quick.

/** Longer texts are decoded each time, so that what is kept stays small. */
const CACHED_BYTES_MAX = 128
/** Most links repeat a few topics; the room for thousands is made when they come. */
const SLOTS_AT_FIRST = 64
/** Slots for each text: two of one slot push each other out. */
const ROOM = 8

export class TextCache {
  readonly #slotsMax: number
  readonly #decode: (bytes: Buffer, start: number, end: number) => string
  #mask = 0
  #texts: string[] = []
  #bytes: (Buffer | null)[] = []
  /** Slots with a text. */
  #taken = 0

  /** `slotsMax` is a power of two from 64 on; `decode` throws for bytes that are no such text. */
  constructor(slotsMax: number, decode: (bytes: Buffer, start: number, end: number) => string) {
    this.#slotsMax = slotsMax
    this.#decode = decode
    this.#begin(SLOTS_AT_FIRST)
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
    const slots = this.#mask + 1
    // What was remembered is learnt again: the texts that come often are back at once.
    if (known === null && ++this.#taken > slots / ROOM && slots < this.#slotsMax) {
      this.#begin(2 * slots)
      return text
    }
    this.#texts[slot] = text
    this.#bytes[slot] = Buffer.from(bytes.subarray(start, end))
    return text
  }

  #begin(slots: number): void {
    this.#mask = slots - 1
    this.#texts = new Array(slots).fill('')
    this.#bytes = new Array(slots).fill(null)
    this.#taken = 0
  }
}
