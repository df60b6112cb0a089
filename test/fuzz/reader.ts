// The oracle's own reading of bytes: slow, obvious, written from the standard and sharing nothing with the broker.

export class Wrong extends Error {}

/** Refused for what it says, not for how it is written. */
export function wrong(why: string): never {
  throw new Wrong(why)
}

export interface PropertySeen {
  readonly id: number
  readonly number: number
  readonly text: string
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Kinds of properties by id (MQTT 5, 2.2.2.2). */
const KINDS: Readonly<Record<number, 'u8' | 'u16' | 'u32' | 'varint' | 'string' | 'binary' | 'pair'>> = {
  1: 'u8',
  2: 'u32',
  3: 'string',
  8: 'string',
  9: 'binary',
  11: 'varint',
  17: 'u32',
  21: 'string',
  22: 'binary',
  23: 'u8',
  24: 'u32',
  25: 'u8',
  31: 'string',
  33: 'u16',
  34: 'u16',
  35: 'u16',
  38: 'pair',
  39: 'u32',
}

export class Reader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u8(): number {
    if (this.left < 1) wrong('too short')
    return this.bytes[this.at++]!
  }

  u16(): number {
    return this.u8() * 256 + this.u8()
  }

  u32(): number {
    return this.u16() * 65536 + this.u16()
  }

  varint(): number {
    let value = 0
    for (let count = 0; count < 4; count++) {
      const byte = this.u8()
      value += (byte & 127) * 128 ** count
      if (byte < 128) {
        if (count > 0 && byte === 0) wrong('a number with more bytes than it needs')
        return value
      }
    }
    return wrong('a number of five bytes')
  }

  binary(): Buffer {
    const length = this.u16()
    if (this.left < length) wrong('too short')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  string(): string {
    const bytes = this.binary()
    let text = ''
    try {
      text = strict.decode(bytes)
    } catch {
      wrong('not UTF-8')
    }
    if (text.includes('\0')) wrong('U+0000')
    return text
  }

  properties(allowed: readonly number[]): PropertySeen[] {
    const length = this.varint()
    if (this.left < length) wrong('too short')
    const inner = new Reader(this.bytes.subarray(this.at, this.at + length))
    this.at += length
    const seen: PropertySeen[] = []
    while (inner.left > 0) {
      const id = inner.u8()
      if (!allowed.includes(id)) wrong('a property that does not belong here')
      if (id !== 38 && seen.some((other) => other.id === id)) wrong('a property twice')
      seen.push(inner.#property(id))
    }
    return seen
  }

  end(): void {
    if (this.left > 0) wrong('bytes too many')
  }

  #property(id: number): PropertySeen {
    let number = 0
    let text = ''
    switch (KINDS[id]) {
      case 'u8':
        number = this.u8()
        break
      case 'u16':
        number = this.u16()
        break
      case 'u32':
        number = this.u32()
        break
      case 'varint':
        number = this.varint()
        break
      case 'string':
        text = this.string()
        break
      case 'binary':
        this.binary()
        break
      case 'pair':
        this.string()
        this.string()
        break
      default:
        wrong('no such property')
    }
    return { id, number, text }
  }
}

export const isTopicName = (text: string): boolean =>
  text.length > 0 && !/[+#]/.test(text) && text.split('/').length <= 200

export function isTopicFilter(text: string): boolean {
  let filter = text
  if (text.startsWith('$share/')) {
    const [, name, ...rest] = text.split('/')
    if (rest.length === 0 || name === '' || /[+#]/.test(name!)) return false
    filter = rest.join('/')
  }
  const levels = filter.split('/')
  if (filter.length === 0 || levels.length > 200) return false
  return levels.every((level, at) => {
    if (level === '#') return at === levels.length - 1
    return level === '+' || !/[+#]/.test(level)
  })
}
