// MQTT strings (MQTT 1.5.4): UTF-8 as in RFC 3629 chapter 4, without surrogates and without U+0000. Checked on the
// bytes, since a decoder would put U+FFFD where it should refuse. The byte order mark is a character like any other.

/** [MQTT-1.5.4-1] [MQTT-1.5.4-2] Whether bytes [start, end) are a well-formed MQTT string. */
export function isMqttString(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const first = bytes[at]!
    if (first < 0x80) {
      if (first === 0) return false
      at++
      continue
    }
    const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
    if (length === 0 || at + length > end) return false
    // The second byte rules out overlong forms, surrogates, and what lies above U+10FFFF.
    const second = bytes[at + 1]!
    if (second < lowestSecond(first) || second > highestSecond(first)) return false
    for (let index = 2; index < length; index++) if ((bytes[at + index]! & 0xc0) !== 0x80) return false
    at += length
  }
  return true
}

const lowestSecond = (first: number) => (first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80)
const highestSecond = (first: number) => (first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf)

/** Below this a loop is quicker than a call into the runtime. */
const SHORT = 64

/** How many bytes `text` takes. */
export function utf8Length(text: string): number {
  const { length } = text
  if (length > SHORT) return Buffer.byteLength(text)
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text)
  return length
}

/** Writes `text` and returns where the next byte goes; the caller has made room for `utf8Length` bytes. */
export function writeUtf8(text: string, into: Buffer, at: number): number {
  const { length } = text
  if (length > SHORT) return at + into.write(text, at)
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return at + into.write(text, at)
    into[at + index] = code
  }
  return at + length
}
