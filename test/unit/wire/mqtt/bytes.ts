// Packets by hand, for tests that must not depend on the codec they test.

type Part = number | Buffer

/** A packet of these bytes with its remaining length. */
export function packet(firstByte: number, ...parts: readonly Part[]): Buffer {
  const body = join(parts)
  return Buffer.concat([Buffer.from([firstByte]), varint(body.length), body])
}

export const join = (parts: readonly Part[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : part)))

export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

/** A string or binary field with its length. */
export const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value)
  return join([u16(bytes.length), bytes])
}

/** Properties with their length. */
export const properties = (...parts: readonly Part[]): Buffer => join([varint(join(parts).length), ...parts])

export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}

export const hex = (value: string): Buffer => Buffer.from(value.replaceAll(' ', ''), 'hex')

/** Where the body of a packet begins. */
export function bodyStart(bytes: Buffer): number {
  let at = 1
  while (at < bytes.length && bytes[at]! >= 0x80) at++
  return at + 1
}
