// Just enough of MQTT 3.1.1 and 5 for a load: its own, so that a mistake of the broker's reader is not made here, too.
//
//   payload, at least 16 bytes:   lane u32 | sequence u32 | sent, ms, f64 | zeros

export type Version = 4 | 5
export type Qos = 0 | 1 | 2

export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const CONNACK = 2
export const SUBACK = 9
export const UNSUBACK = 11
export const PINGRESP = 13

export const PINGREQ = Buffer.from([0xc0, 0])

export const PAYLOAD_BYTES_MIN = 16
/** Nothing that is sent here comes near; more is a broken stream. */
export const REMAINING_BYTES_MAX = 1 << 20

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([u16(bytes.length), bytes])
}
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

function variable(value: number): Buffer {
  const bytes: number[] = []
  do {
    const low = value & 0x7f
    value >>= 7
    bytes.push(value > 0 ? low | 0x80 : low)
  } while (value > 0)
  return Buffer.from(bytes)
}

function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([first]), variable(body.length), body])
}

/** No properties, which only MQTT 5 says. */
const none = (version: Version): Buffer => Buffer.alloc(version === 5 ? 1 : 0)

/** A session that is to outlive its connection is kept for a day under MQTT 5, and by `clean` alone before. */
export function connect(version: Version, clientId: string, clean: boolean): Buffer {
  const expiry = Buffer.from([5, 0x11, 0, 1, 0x51, 0x80])
  const properties = version === 5 && !clean ? expiry : none(version)
  return packet(0x10, text('MQTT'), Buffer.from([version, clean ? 2 : 0, 0, 0]), properties, text(clientId))
}

export function subscribe(version: Version, packetId: number, filters: readonly string[], qos: Qos): Buffer {
  const entries = filters.flatMap((filter) => [text(filter), Buffer.from([qos])])
  return packet(0x82, u16(packetId), none(version), ...entries)
}

export const unsubscribe = (version: Version, packetId: number, filters: readonly string[]): Buffer =>
  packet(0xa2, u16(packetId), none(version), ...filters.map(text))

export const disconnect = (): Buffer => Buffer.from([0xe0, 0])

/** PUBREL alone has flags. */
export const acknowledgement = (type: number, packetId: number): Buffer =>
  Buffer.from([(type << 4) | (type === PUBREL ? 2 : 0), 2, packetId >> 8, packetId & 0xff])

/** A PUBLISH whose packet id and payload are written anew for each message. */
export interface Form {
  readonly bytes: Buffer
  /** -1 with QoS 0. */
  readonly packetIdAt: number
  readonly payloadAt: number
}

export function form(version: Version, topic: string, qos: Qos, retain: boolean, payloadBytes: number): Form {
  if (payloadBytes < PAYLOAD_BYTES_MIN) throw new Error(`a payload takes ${PAYLOAD_BYTES_MIN} bytes or more`)
  const id = Buffer.alloc(qos === 0 ? 0 : 2)
  const first = 0x30 | (qos << 1) | (retain ? 1 : 0)
  const bytes = packet(first, text(topic), id, none(version), Buffer.alloc(payloadBytes))
  const payloadAt = bytes.length - payloadBytes
  return { bytes, payloadAt, packetIdAt: qos === 0 ? -1 : payloadAt - none(version).length - 2 }
}

export interface Stamp {
  readonly lane: number
  readonly sequence: number
  readonly sentMs: number
}

export function stamp(into: Buffer, at: number, form: Form, packetId: number, { lane, sequence, sentMs }: Stamp): void {
  form.bytes.copy(into, at)
  if (form.packetIdAt >= 0) into.writeUInt16BE(packetId, at + form.packetIdAt)
  into.writeUInt32BE(lane, at + form.payloadAt)
  into.writeUInt32BE(sequence, at + form.payloadAt + 4)
  into.writeDoubleBE(sentMs, at + form.payloadAt + 8)
}

/** Where the parts of a received PUBLISH are. */
export interface PublishParts {
  readonly qos: number
  /** 0 with QoS 0. */
  readonly packetId: number
  readonly payloadAt: number
}

/** `start` and `end` are those of the variable header and what follows. */
export function publishParts(version: Version, first: number, bytes: Buffer, start: number, end: number): PublishParts {
  const qos = (first >> 1) & 3
  let at = start + 2 + bytes.readUInt16BE(start)
  const packetId = qos === 0 ? 0 : bytes.readUInt16BE(at)
  if (qos !== 0) at += 2
  if (version === 5) {
    let length = 0
    let shift = 0
    for (let more = true; more; shift += 7) {
      const byte = bytes.readUInt8(at++)
      length |= (byte & 0x7f) << shift
      more = byte >= 0x80
    }
    at += length
  }
  if (at > end) throw new Error(`a PUBLISH ends before its payload: ${at} > ${end}`)
  return { qos, packetId, payloadAt: at }
}

/** `start` and `end` are those of what follows the fixed header. */
export type OnPacket = (first: number, bytes: Buffer, start: number, end: number) => void

/** Cuts a stream into packets. */
export class PacketReader {
  readonly #onPacket: OnPacket
  #kept: Buffer = Buffer.alloc(0)

  constructor(onPacket: OnPacket) {
    this.#onPacket = onPacket
  }

  feed(chunk: Buffer): void {
    const bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk])
    let at = 0
    for (;;) {
      let length = 0
      let start = at + 1
      for (let shift = 0; ; shift += 7) {
        if (start >= bytes.length) return this.#keep(bytes, at)
        const byte = bytes[start++]!
        length |= (byte & 0x7f) << shift
        if (byte < 0x80) break
        if (shift === 21) throw new Error('a remaining length of more than four bytes')
      }
      if (length > REMAINING_BYTES_MAX) throw new Error(`a packet of ${length} bytes, which nobody sent`)
      if (start + length > bytes.length) return this.#keep(bytes, at)
      this.#onPacket(bytes[at]!, bytes, start, start + length)
      at = start + length
    }
  }

  #keep(bytes: Buffer, at: number): void {
    this.#kept = bytes.subarray(at)
  }
}
