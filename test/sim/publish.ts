// PUBLISH as the simulated clients read and write it: a plain reader of its own, because mqtt-packet joins user
// properties by name and so forgets their order.

/** What passes through a broker unaltered. */
export interface PublishProperties {
  readonly payloadFormat: number | null
  readonly contentType: string | null
  readonly responseTopic: string | null
  readonly correlation: string | null
  readonly user: readonly (readonly [string, string])[]
}

export const noProperties: PublishProperties = {
  payloadFormat: null,
  contentType: null,
  responseTopic: null,
  correlation: null,
  user: [],
}

export interface PublishFields {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly dup: boolean
  readonly retain: boolean
  /** 0 for QoS 0. */
  readonly packetId: number
  readonly payload: Buffer
  readonly properties: PublishProperties
  readonly expirySec: number | null
  readonly topicAlias: number | null
  readonly subscriptionIds: readonly number[]
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

export function variableLength(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  do {
    const digit = left % 128
    left = Math.floor(left / 128)
    bytes.push(left > 0 ? digit | 0x80 : digit)
  } while (left > 0)
  return Buffer.from(bytes)
}

/** A whole PUBLISH packet of version 4 or 5. */
export function writePublish(version: 4 | 5, fields: PublishFields): Buffer {
  const body: Buffer[] = [text(fields.topic)]
  if (fields.qos > 0) body.push(Buffer.from([fields.packetId >> 8, fields.packetId & 0xff]))
  if (version === 5) {
    const properties = Buffer.concat(writeProperties(fields))
    body.push(variableLength(properties.length), properties)
  }
  body.push(fields.payload)
  const rest = Buffer.concat(body)
  const first = 0x30 | (fields.dup ? 8 : 0) | (fields.qos << 1) | (fields.retain ? 1 : 0)
  return Buffer.concat([Buffer.from([first]), variableLength(rest.length), rest])
}

function writeProperties({ properties, expirySec, topicAlias }: PublishFields): Buffer[] {
  const out: Buffer[] = []
  if (properties.payloadFormat !== null) out.push(Buffer.from([0x01, properties.payloadFormat]))
  if (expirySec !== null) {
    const bytes = Buffer.alloc(5)
    bytes[0] = 0x02
    bytes.writeUInt32BE(expirySec, 1)
    out.push(bytes)
  }
  if (properties.contentType !== null) out.push(Buffer.from([0x03]), text(properties.contentType))
  if (properties.responseTopic !== null) out.push(Buffer.from([0x08]), text(properties.responseTopic))
  if (properties.correlation !== null) out.push(Buffer.from([0x09]), text(properties.correlation))
  if (topicAlias !== null) out.push(Buffer.from([0x23, topicAlias >> 8, topicAlias & 0xff]))
  for (const [name, value] of properties.user) out.push(Buffer.from([0x26]), text(name), text(value))
  return out
}

/** Reads a whole PUBLISH packet whose body is bytes [start, end); throws for what is none. */
export function readPublish(version: 4 | 5, first: number, bytes: Buffer, start: number, end: number): PublishFields {
  let at = start
  const need = (length: number): number => {
    if (at + length > end) throw new RangeError('PUBLISH is cut short')
    at += length
    return at - length
  }
  const number16 = (): number => bytes.readUInt16BE(need(2))
  const string = (): string => {
    const length = number16()
    const from = need(length)
    return bytes.toString('utf8', from, from + length)
  }
  const variable = (): number => {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const digit = bytes[need(1)]!
      value += (digit & 0x7f) * 2 ** shift
      if (digit < 0x80) return value
    }
    throw new RangeError('a length of more than four bytes')
  }
  const qos = ((first >> 1) & 3) as 0 | 1 | 2
  const topic = string()
  const packetId = qos > 0 ? number16() : 0
  let properties = noProperties
  let expirySec: number | null = null
  let topicAlias: number | null = null
  let subscriptionIds: number[] = []
  if (version === 5) {
    let payloadFormat: number | null = null
    let contentType: string | null = null
    let responseTopic: string | null = null
    let correlation: string | null = null
    const user: [string, string][] = []
    subscriptionIds = []
    const length = variable()
    const until = at + length
    while (at < until) {
      const id = bytes[need(1)]!
      if (id === 0x01) payloadFormat = bytes[need(1)]!
      else if (id === 0x02) expirySec = bytes.readUInt32BE(need(4))
      else if (id === 0x03) contentType = string()
      else if (id === 0x08) responseTopic = string()
      else if (id === 0x09) correlation = string()
      else if (id === 0x0b) subscriptionIds.push(variable())
      else if (id === 0x23) topicAlias = number16()
      else if (id === 0x26) user.push([string(), string()])
      else throw new RangeError(`property ${id} in a PUBLISH`)
    }
    properties = { payloadFormat, contentType, responseTopic, correlation, user }
  }
  const payload = Buffer.from(bytes.subarray(at, end))
  const dup = (first & 8) !== 0
  const retain = (first & 1) !== 0
  return { topic, qos, dup, retain, packetId, payload, properties, expirySec, topicAlias, subscriptionIds }
}

/** Where the packet at `at` has its body and its end, or null while it is not whole. */
export function frame(bytes: Buffer, at: number): { body: number; end: number } | null {
  let length = 0
  for (let digit = 0; digit < 4; digit++) {
    const index = at + 1 + digit
    if (index >= bytes.length) return null
    length += (bytes[index]! & 0x7f) * 2 ** (7 * digit)
    if (bytes[index]! < 0x80) {
      const end = index + 1 + length
      return end <= bytes.length ? { body: index + 1, end } : null
    }
  }
  throw new RangeError('a remaining length of more than four bytes')
}
