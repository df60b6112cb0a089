// Variable byte integers (MQTT 1.5.5): seven bits a byte, lowest first, at most four bytes.

export const VARINT_MAX = 268_435_455

/**
 * Reads the integer at `at` and returns its value; `varintBytes` of a value well encoded tells how far it went.
 * Negative: INCOMPLETE when `end` comes first, MALFORMED when it has a fifth byte or more bytes than it needs.
 */
export function readVarint(bytes: Buffer, at: number, end: number): number {
  let value = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) return INCOMPLETE
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    // [MQTT-1.5.5-1] Never more bytes than needed.
    if (byte < 0x80) return byte === 0 && shift > 0 ? MALFORMED : value
  }
  return MALFORMED
}

export const INCOMPLETE = -1
export const MALFORMED = -2

/** How many bytes `value` takes. */
export const varintBytes = (value: number): number => (value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4)

/** Writes `value`, at most VARINT_MAX, and returns where the next byte goes. */
export function writeVarint(value: number, into: Buffer, at: number): number {
  let rest = value
  while (rest > 0x7f) {
    into[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[at++] = rest
  return at
}
