// Packets as bytes: what a client writes by hand, and what the broker sent, cut apart without any codec.

import { join, packet, properties, text, u16 } from '../unit/wire/mqtt/bytes.ts'

export { join, packet, properties, text, u16 }

/** The packets in a stream of bytes, whole. */
export function split(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    let length = 0
    let index = at + 1
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[index++]!
      length += (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    packets.push(bytes.subarray(at, index + length))
    at = index + length
  }
  return packets
}

export const NO_PROPERTIES = properties()

export interface RawConnect {
  readonly version?: 4 | 5
  readonly name?: string
  readonly level?: number
  readonly flags?: number
  readonly keepAlive?: number
  readonly properties?: Buffer
  /** Everything behind the variable header. */
  readonly payload?: readonly Buffer[]
}

/** A CONNECT as asked for, right or wrong. */
export function rawConnect(options: RawConnect = {}): Buffer {
  const { version = 4, name = 'MQTT', level = version, flags = 2, keepAlive = 0, payload = [text('c')] } = options
  const head = [text(name), level, flags, u16(keepAlive)]
  const extra = options.properties ?? (version === 5 ? NO_PROPERTIES : Buffer.alloc(0))
  return packet(0x10, ...head, extra, ...payload)
}

/** QoS 0 unless the first byte says otherwise. */
export function rawPublish(version: 4 | 5, topic: string | Buffer, payload = 'v', first = 0x30, id = 1): Buffer {
  const idBytes = (first & 6) === 0 ? Buffer.alloc(0) : u16(id)
  return packet(first, text(topic), idBytes, version === 5 ? NO_PROPERTIES : Buffer.alloc(0), Buffer.from(payload))
}

export function rawSubscribe(version: 4 | 5, filter: string | Buffer, options = 0, first = 0x82, id = 1): Buffer {
  return packet(first, u16(id), version === 5 ? NO_PROPERTIES : Buffer.alloc(0), text(filter), options)
}

export function rawUnsubscribe(version: 4 | 5, filter: string | Buffer, first = 0xa2, id = 1): Buffer {
  return packet(first, u16(id), version === 5 ? NO_PROPERTIES : Buffer.alloc(0), text(filter))
}
