// What the standard demands of a server that gets these bytes: which answers, in any order, and whether the connection
// must close. Follows one connection after the other of one client; written without looking at the broker's code.

import { isTopicFilter, isTopicName, type PropertySeen, Reader, Wrong, wrong } from './reader.ts'

export type Version = 3 | 4 | 5

export interface Expected {
  /** Packet type and id of each answer, as `answerKey` gives them. */
  readonly answers: string[]
  /** 'refused': a CONNACK that says no, or nothing, then the close; 'said-goodbye': closed without a word. */
  closes: 'no' | 'refused' | 'closed' | 'said-goodbye'
  /** Nothing can be said but that the connection answers or closes. */
  unsure: boolean
  /** What is wrong, where it must close. */
  why: string
}

export interface Limits {
  readonly packetBytes: number
  readonly receiveMaximum: number
  readonly aliasMaximum: number
  /** Answers may come after a commit: a connection that must close then closes without them. */
  readonly answersLater: boolean
}

type State = 'new' | 'connected' | 'over'

const ACK_REASONS = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const RELEASE_REASONS = [0x00, 0x92]
const DISCONNECT_REASONS = [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
const CONNECT_PROPERTIES = [17, 21, 22, 23, 25, 33, 34, 38, 39]
const WILL_PROPERTIES = [1, 2, 3, 8, 9, 24, 38]
const PUBLISH_PROPERTIES = [1, 2, 3, 8, 9, 11, 35, 38]
/** A client that takes less may be refused, or find an answer left out. */
const SMALL_PACKETS = 4096

export class Oracle {
  readonly limits: Limits
  #state: State = 'new'
  version: Version = 4
  #pending: Buffer = Buffer.alloc(0)
  #aliases = new Map<number, string>()
  /** QoS 2 that the client has begun; lasts with the session. */
  #begun = new Set<number>()
  /** QoS 1 and 2 that the client was sent, by id, and what they wait for; lasts with the session. */
  #sent = new Map<number, 'puback' | 'pubrec' | 'pubcomp'>()
  #expirySec = 0
  /** An answer may change what later packets of the same step mean. */
  #mayDeliver = false
  #sessionUnknown = false
  #maximumPacketSize = Number.POSITIVE_INFINITY
  #expected: Expected = { answers: [], closes: 'no', unsure: false, why: '' }
  /** A connection of MQTT 3.1 was there, of which nothing is followed. */
  unfollowed = false
  /** Topics of messages that may have been retained. */
  readonly retained = new Set<string>()

  constructor(limits: Limits) {
    this.limits = limits
  }

  get connected(): boolean {
    return this.#state === 'connected'
  }

  /** Bytes of a packet that is not whole. */
  get pending(): number {
    return this.#pending.length
  }

  get maximumPacketSize(): number {
    return this.#maximumPacketSize
  }

  /** The client connects anew; what belongs to the session stays. */
  reconnect(): void {
    this.#state = 'new'
    this.#pending = Buffer.alloc(0)
    this.#aliases.clear()
    this.#maximumPacketSize = Number.POSITIVE_INFINITY
  }

  #forget(): void {
    this.#begun.clear()
    this.#sent.clear()
  }

  /** The client was told whether its session goes on. */
  sessionPresent(present: boolean): void {
    if (!present) this.#forget()
  }

  /** The client was sent this. */
  received(type: number, id: number, qos: number): void {
    if (type === 3 && qos > 0) this.#sent.set(id, qos === 1 ? 'puback' : 'pubrec')
    // PUBREL also answers a PUBREC of nothing.
    if (type === 6 && this.#sent.has(id)) this.#sent.set(id, 'pubcomp')
  }

  feed(bytes: Buffer): Expected {
    this.#expected = { answers: [], closes: 'no', unsure: false, why: '' }
    this.#mayDeliver = false
    this.#sessionUnknown = false
    this.#pending = Buffer.concat([this.#pending, bytes])
    try {
      while (this.#state !== 'over' && this.#packet()) {}
    } catch (error) {
      if (!(error instanceof Wrong)) throw error
      this.#expected.closes = this.#state === 'new' ? 'refused' : 'closed'
      this.#expected.why = error.message
      this.#state = 'over'
    }
    return this.#expected
  }

  /** One packet off the front; false when it is not whole. */
  #packet(): boolean {
    const bytes = this.#pending
    let length = 0
    let at = 1
    for (; ; at++) {
      if (at > 4) wrong('a remaining length of five bytes')
      if (at >= bytes.length) return false
      length += (bytes[at]! & 127) * 128 ** (at - 1)
      if (bytes[at]! < 128) break
    }
    const shortest = at === 1 || bytes[at] !== 0
    at++
    if (at + length > (this.#state === 'new' ? Math.min(262_144, this.limits.packetBytes) : this.limits.packetBytes)) {
      wrong('too large')
    }
    if (bytes.length < at + length) return false
    this.#pending = bytes.subarray(at + length)
    const first = bytes[0]!
    const body = new Reader(bytes.subarray(at, at + length))
    if (this.#state === 'new') this.#connect(first, body, shortest)
    else this.#request(first >> 4, first & 15, body, shortest)
    return true
  }

  #connect(first: number, body: Reader, shortest: boolean): void {
    if (first >> 4 !== 1) wrong('not CONNECT')
    const name = body.string()
    const level = body.u8()
    if (name === 'MQIsdp' && (level & 127) === 3) {
      // MQTT 3.1 leaves too much open to say more.
      this.version = 3
      this.#expected.unsure = true
      this.unfollowed = true
      this.#state = 'over'
      return
    }
    if (name !== 'MQTT') wrong('name')
    if ((level & 127) !== 4 && level !== 5) wrong('level')
    this.version = level === 5 ? 5 : 4
    if ((first & 15) !== 0 || (this.version === 5 && !shortest)) wrong('header')
    const flags = body.u8()
    const will = (flags & 4) !== 0
    const willQoS = (flags >> 3) & 3
    if ((flags & 1) !== 0 || (!will && (flags & 0x38) !== 0) || willQoS === 3) wrong('flags')
    if (this.version === 4 && (flags & 0xc0) === 0x40) wrong('a password without user name')
    body.u16()
    const properties = this.version === 5 ? body.properties(CONNECT_PROPERTIES) : []
    const numberOf = (id: number, otherwise: number) => properties.find((each) => each.id === id)?.number ?? otherwise
    if (numberOf(33, 1) === 0 || numberOf(39, 1) === 0 || numberOf(23, 0) > 1 || numberOf(25, 0) > 1) wrong('a value')
    if (properties.some(({ id }) => id === 21 || id === 22)) wrong('authentication')
    const clientId = body.string()
    if (this.version === 4 && clientId === '' && (flags & 2) === 0) wrong('an empty id that is to last')
    if (will) {
      const willProperties = this.version === 5 ? body.properties(WILL_PROPERTIES) : []
      checkPassing(willProperties)
      const topic = body.string()
      if (!isTopicName(topic) || isOwn(topic)) wrong('will topic')
      body.binary()
      if ((flags & 0x20) !== 0) this.retained.add(topic)
    }
    if ((flags & 0x80) !== 0) body.string()
    if ((flags & 0x40) !== 0) body.binary()
    body.end()
    this.#expirySec = this.version === 5 ? numberOf(17, 0) : (flags & 2) !== 0 ? 0 : 0xffffffff
    this.#maximumPacketSize = numberOf(39, Number.POSITIVE_INFINITY)
    if (this.#maximumPacketSize < SMALL_PACKETS) this.#expected.unsure = true
    this.#expected.answers.push('2/0')
    this.#state = 'connected'
    if ((flags & 2) !== 0) this.#forget()
    // Whether the session is still there is only known from the CONNACK.
    this.#sessionUnknown = this.#sent.size + this.#begun.size > 0
    // What waited for the client may come now.
    this.#mayDeliver = true
  }

  #request(type: number, flags: number, body: Reader, shortest: boolean): void {
    if (this.version === 5 && !shortest) wrong('a remaining length with more bytes than it needs')
    if (type !== 3 && flags !== (type === 6 || type === 8 || type === 10 ? 2 : 0)) wrong('flags')
    switch (type) {
      case 3:
        return this.#publish(flags, body)
      case 4:
      case 5:
      case 6:
      case 7:
        return this.#acknowledgement(type, body)
      case 8:
        return this.#subscribe(body)
      case 10:
        return this.#unsubscribe(body)
      case 12:
        body.end()
        this.#expected.answers.push('13/0')
        return
      case 14:
        return this.#disconnect(body)
      default:
        wrong('a packet that is not for a server, or not now')
    }
  }

  #publish(flags: number, body: Reader): void {
    const qos = (flags >> 1) & 3
    if (qos === 3 || (qos === 0 && (flags & 8) !== 0)) wrong('QoS or DUP')
    const topic = body.string()
    const id = qos > 0 ? body.u16() : 1
    if (id === 0) wrong('id 0')
    let alias = 0
    if (this.version === 5) {
      const properties = body.properties(PUBLISH_PROPERTIES)
      if (properties.some((each) => each.id === 11)) wrong('a subscription identifier')
      checkPassing(properties)
      const given = properties.find((each) => each.id === 35)
      alias = given?.number ?? 0
      if (given !== undefined && (alias === 0 || alias > this.limits.aliasMaximum)) wrong('alias')
    }
    if (topic === '' ? !this.#aliases.has(alias) : !isTopicName(topic)) wrong('topic')
    const meant = topic === '' ? this.#aliases.get(alias)! : topic
    if (alias > 0) this.#aliases.set(alias, meant)
    if ((flags & 1) !== 0) this.retained.add(meant)
    this.#mayDeliver = true
    if (qos === 1) this.#expected.answers.push(`4/${id}`)
    if (qos !== 2) return
    if (!this.#begun.has(id) && this.version === 5 && this.#begun.size >= this.limits.receiveMaximum) wrong('too many')
    // A publish that is denied in MQTT 5 is not begun.
    if (this.version !== 5 || !isOwn(meant)) this.#begun.add(id)
    this.#expected.answers.push(`5/${id}`)
  }

  #acknowledgement(type: number, body: Reader): void {
    const id = body.u16()
    if (id === 0) wrong('id 0')
    let reason = 0
    if (body.left > 0) {
      if (this.version !== 5) wrong('bytes too many')
      reason = body.u8()
      if (!(type < 6 ? ACK_REASONS : RELEASE_REASONS).includes(reason)) wrong('reason')
      if (body.left > 0) body.properties([31, 38])
      body.end()
    }
    if (type === 6) {
      this.#begun.delete(id)
      this.#mayDeliver = true
      this.#expected.answers.push(`7/${id}`)
      return
    }
    const waits = this.#sent.get(id)
    // What is delivered within this step, or waits for a commit, may have this id.
    const maySend = this.#mayDeliver || this.limits.answersLater
    if (this.#sessionUnknown || (waits === undefined && maySend)) this.#expected.unsure = true
    const fits = type === 4 ? waits === 'puback' : type === 5 ? waits !== 'puback' : waits === 'pubcomp'
    if (waits !== undefined && !fits) wrong('out of turn')
    this.#mayDeliver = true
    if (type === 5 && reason < 0x80) {
      if (waits !== undefined) this.#sent.set(id, 'pubcomp')
      this.#expected.answers.push(`6/${id}`)
    } else {
      this.#sent.delete(id)
    }
  }

  #subscribe(body: Reader): void {
    const id = body.u16()
    if (id === 0) wrong('id 0')
    if (this.version === 5) {
      const properties = body.properties([11, 38])
      if (properties.some((each) => each.id === 11 && each.number === 0)) wrong('identifier 0')
    }
    const codes: string[] = []
    do {
      const filter = body.string()
      const options = body.u8()
      if ((options & 3) === 3) wrong('QoS 3')
      if (this.version === 4 ? (options & 0xfc) !== 0 : (options & 0xc0) !== 0 || (options & 0x30) === 0x30)
        wrong('bits')
      if (filter.startsWith('$share/') && (options & 4) !== 0) wrong('no local on a shared subscription')
      codes.push(isTopicFilter(filter) ? `${options & 3}` : 'no')
    } while (body.left > 0)
    this.#mayDeliver = true
    this.#expected.answers.push(`9/${id}/${codes.join()}`)
  }

  #unsubscribe(body: Reader): void {
    const id = body.u16()
    if (id === 0) wrong('id 0')
    if (this.version === 5) body.properties([38])
    let count = 0
    do {
      body.string()
      count++
    } while (body.left > 0)
    this.#expected.answers.push(`11/${id}/${this.version === 5 ? count : 0}`)
  }

  #disconnect(body: Reader): void {
    if (body.left > 0) {
      if (this.version !== 5) wrong('bytes too many')
      if (!DISCONNECT_REASONS.includes(body.u8())) wrong('reason')
      if (body.left > 0) {
        const properties = body.properties([17, 31, 38])
        if (this.#expirySec === 0 && properties.some(({ id, number }) => id === 17 && number > 0)) wrong('expiry')
      }
      body.end()
    }
    this.#expected.closes = 'said-goodbye'
    this.#state = 'over'
  }
}

/** Topics that only the broker writes. */
const isOwn = (topic: string): boolean => topic.startsWith('$SYS/') || topic.startsWith('$edge/')

/** Properties that go to the receivers. */
function checkPassing(properties: readonly PropertySeen[]): void {
  for (const { id, number, text } of properties) {
    if (id === 1 && number > 1) wrong('payload format')
    if (id === 8 && !(text.length > 0 && !/[+#]/.test(text))) wrong('response topic')
  }
}

/** One answer of the broker, in the oracle's words; null: a message or something the oracle does not expect by name. */
export function answerKey(packet: Buffer, version: Version): string | null {
  const type = packet[0]! >> 4
  let at = 1
  while (packet[at]! >= 128) at++
  at++
  const id = () => packet.readUInt16BE(at)
  switch (type) {
    case 2:
      return packet[at + 1] === 0 ? '2/0' : '2/no'
    case 4:
    case 5:
    case 6:
    case 7:
      return `${type}/${id()}`
    case 9: {
      const codes = [...packet.subarray(version === 5 ? at + 3 : at + 2)]
      return `9/${id()}/${codes.map((code) => (code < 0x80 ? code : 'no')).join()}`
    }
    case 11:
      return `11/${id()}/${version === 5 ? packet.length - at - 3 : packet.length - at - 2}`
    case 13:
      return '13/0'
    default:
      return null
  }
}
