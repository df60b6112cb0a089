// Packets as a client would send them, field by field from the dice, and ways to spoil them.

import type { Dice } from '../sim/random.ts'
import { join, packet, properties, text, u16 } from '../unit/wire/mqtt/bytes.ts'

type V = 4 | 5

const TOPICS = ['a', 'a/b', 'a/b/c', '/', 'a//b', '$SYS/x', '$x/y', '\ufeffa', 'd\u00e9j\u00e0/vu', '\u{1f600}', 'b']
const FILTERS = [
  ...TOPICS,
  '#',
  '+',
  'a/+',
  'a/#',
  '+/b/#',
  '$share/g/a',
  '$share/g/#',
  '$share//a',
  'a#',
  '+a',
  '$SYS/#',
]
const IDS = [1, 2, 3, 4, 5, 64, 65, 255, 256, 65_535]
const LENGTHS = [0, 1, 2, 5, 20, 60, 127, 128, 200, 1000, 16_383, 16_384, 70_000]

const u32 = (value: number): Buffer => join([u16(value >>> 16), u16(value & 0xffff)])

export function connect(dice: Dice, version: V, clientId: string, clean: boolean): Buffer {
  const will = dice.chance(0.3)
  const user = dice.chance(0.2)
  const password = user && dice.chance(0.5)
  let flags = (clean ? 2 : 0) | (user ? 0x80 : 0) | (password ? 0x40 : 0)
  if (will) flags |= 4 | (dice.whole(0, 2) << 3) | (dice.chance(0.2) ? 0x20 : 0)
  const old = version === 4 && dice.chance(0.05)
  const parts: (number | Buffer)[] = [
    text(old ? 'MQIsdp' : 'MQTT'),
    old ? 3 : version,
    flags,
    u16(dice.pick([0, 1, 10, 60, 65_535])),
  ]
  if (version === 5) parts.push(some(dice, [17, 23, 25, 33, 34, 38, 39], clean ? 0.15 : 0.3))
  parts.push(text(clientId))
  if (will) {
    if (version === 5) parts.push(some(dice, [1, 2, 3, 8, 9, 24, 38], 0.2))
    parts.push(text(dice.pick(TOPICS)), text('gone'))
  }
  if (user) parts.push(text('user'))
  if (password) parts.push(text('secret'))
  return packet(0x10, ...parts)
}

/** A packet of a connected client, right as far as one packet can tell. */
export function request(dice: Dice, version: V): Buffer {
  const id = u16(dice.pick(IDS))
  const props = (ids: readonly number[]) => (version === 5 ? some(dice, ids, 0.15) : Buffer.alloc(0))
  const kind = dice.weighted({ publish: 40, ack: 25, subscribe: 12, unsubscribe: 6, ping: 6, disconnect: 1, auth: 1 })
  switch (kind) {
    case 'publish': {
      const qos = dice.whole(0, 2)
      const first = 0x30 | (qos << 1) | (dice.chance(0.1) ? 1 : 0) | (qos > 0 && dice.chance(0.1) ? 8 : 0)
      const topic = version === 5 && dice.chance(0.1) ? '' : dice.pick(TOPICS)
      const payload = Buffer.alloc(dice.chance(0.9) ? dice.whole(0, 40) : dice.pick(LENGTHS), 'p')
      return packet(first, text(topic), qos > 0 ? id : Buffer.alloc(0), props([1, 2, 3, 8, 9, 35, 38]), payload)
    }
    case 'ack': {
      const first = dice.pick([0x40, 0x50, 0x62, 0x70])
      if (version === 4 || dice.chance(0.5)) return packet(first, id)
      const reason = first < 0x60 ? dice.pick([0, 0x10, 0x80, 0x97]) : dice.pick([0, 0x92])
      return dice.chance(0.5) ? packet(first, id, reason) : packet(first, id, reason, props([31, 38]))
    }
    case 'subscribe': {
      const filters = Array.from({ length: dice.whole(1, 4) }, () => [text(dice.pick(FILTERS)), options(dice, version)])
      return packet(0x82, id, props([11, 38]), ...filters.flat())
    }
    case 'unsubscribe': {
      const filters = Array.from({ length: dice.whole(1, 3) }, () => text(dice.pick(FILTERS)))
      return packet(0xa2, id, props([38]), ...filters)
    }
    case 'ping':
      return packet(0xc0)
    case 'disconnect':
      return version === 5 && dice.chance(0.7)
        ? packet(0xe0, dice.pick([0, 4, 0x82]), some(dice, [17, 31, 38], 0.3))
        : packet(0xe0)
    case 'auth':
      return packet(0xf0, 0x18, properties(0x15, text('m')))
  }
}

const options = (dice: Dice, version: V): number =>
  version === 4
    ? dice.whole(0, 2)
    : dice.whole(0, 2) | (dice.whole(0, 2) << 4) | (dice.chance(0.2) ? 8 : 0) | (dice.chance(0.1) ? 4 : 0)

/** Each property with this chance, with a value that is allowed, but for an alias or a filter that is another's. */
function some(dice: Dice, ids: readonly number[], chance: number): Buffer {
  const parts: (number | Buffer)[] = []
  for (const id of dice.shuffle(ids)) {
    if (!dice.chance(chance)) continue
    parts.push(id, value(dice, id))
    // A user property may stand more than once.
    if (id === 38 && dice.chance(0.5)) parts.push(id, value(dice, id))
  }
  return properties(...parts)
}

function value(dice: Dice, id: number): Buffer {
  switch (id) {
    case 1:
    case 23:
    case 25:
      return Buffer.from([dice.whole(0, 1)])
    case 2:
    case 17:
    case 24:
      return u32(dice.pick([0, 1, 5, 100, 0xffffffff]))
    case 39:
      return u32(dice.pick([1, 16, 20, 64, 200, 5000, 268_435_455, 0xffffffff]))
    case 33:
      return u16(dice.pick([1, 2, 10, 65_535]))
    case 34:
      return u16(dice.pick([0, 1, 5, 65_535]))
    case 35:
      return u16(dice.pick([1, 2, 3, 64, 65]))
    case 11:
      return dice.pick([Buffer.from([1]), Buffer.from([0x80, 1]), Buffer.from([0xff, 0xff, 0xff, 0x7f])])
    case 8:
      return text(dice.pick(['a', 'r/t', '\ufeff']))
    case 9:
      return text(Buffer.from([0, 255, 1]))
    case 38:
      return join([text(dice.pick(['', 'k', '\u00e9'])), text(dice.pick(['', 'v']))])
    default:
      return text(dice.pick(['', 'text', '\u{1f600}']))
  }
}

const BYTES = [0, 1, 2, 3, 0x10, 0x23, 0x2b, 0x2f, 0x7f, 0x80, 0xc0, 0xed, 0xf5, 0xfe, 0xff]

/** The packet with one to three things wrong with it, or not. */
export function spoilt(dice: Dice, bytes: Buffer, other: Buffer): Buffer {
  let out: Buffer = Buffer.from(bytes)
  for (let count = dice.whole(1, 3); count > 0 && out.length > 0; count--) {
    const at = dice.whole(0, out.length - 1)
    // Long packets are spoilt where their fields are.
    const near = Math.min(at, dice.whole(0, 40), out.length - 1)
    switch (dice.whole(0, 9)) {
      case 0:
        out[near]! ^= 1 << dice.whole(0, 7)
        break
      case 1:
        out[near] = dice.pick(BYTES)
        break
      case 2:
        out = Buffer.concat([out.subarray(0, near), dice.bytes(dice.whole(1, 3)), out.subarray(near)])
        break
      case 3:
        out = Buffer.concat([out.subarray(0, near), out.subarray(Math.min(out.length, near + dice.whole(1, 3)))])
        break
      case 4:
        out = Buffer.from(out.subarray(0, at))
        break
      case 5:
        // A length among the fields is one off, or huge.
        if (near + 1 < out.length)
          out.writeUInt16BE(dice.pick([0, 1, 0xffff, (out.readUInt16BE(near) + 1) & 0xffff]), near)
        break
      case 6:
        out = Buffer.concat([out.subarray(0, near), other.subarray(Math.min(near, other.length))])
        break
      case 7:
        out = rewrapped(out, dice.pick([-2, -1, 1, 2]))
        break
      case 8:
        // Another type or other flags.
        out[0] = dice.whole(0, 255)
        break
      case 9:
        // A part of it twice, its length made to fit.
        out = rewrapped(Buffer.concat([out.subarray(0, at), out.subarray(near, at), out.subarray(at)]), 0)
        break
    }
    if (dice.chance(0.4)) out = rewrapped(out, 0)
  }
  return out
}

/** With a remaining length that fits, but for `off` bytes. */
function rewrapped(bytes: Buffer, off: number): Buffer {
  if (bytes.length < 2) return bytes
  let at = 1
  while (at < Math.min(4, bytes.length - 1) && bytes[at]! >= 128) at++
  const whole = packet(bytes[0]!, bytes.subarray(at + 1))
  if (off !== 0 && whole.length > 2 && whole[1]! < 120) whole[1] = Math.max(0, whole[1]! + off)
  return whole
}
