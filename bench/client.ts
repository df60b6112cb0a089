// A client of the load: a raw socket that acknowledges what it gets and tells what happens.

import { connect as dial, type Socket } from 'node:net'
import * as mqtt from './mqtt.ts'

const ANSWER_MS_MAX = 30_000
/** Reason codes from here on are refusals. */
const REFUSED = 0x80
/** A port of its own for each of many connections: so many from one loopback address, then the next. */
const PORTS_OF_ADDRESS = 20_000
let dialled = 0

export interface Events {
  /** The payload of a message, from `at`. */
  onMessage?(bytes: Buffer, at: number): void
  /** The last acknowledgement of a message that was published. */
  onAcknowledged?(): void
  onPong?(): void
  /** Everything that came together has been read. */
  onRead?(): void
}

interface Question {
  readonly done: (reason: number) => void
  readonly failed: (why: Error) => void
  readonly timer: NodeJS.Timeout
}

export class Client {
  readonly #socket: Socket
  readonly #version: mqtt.Version
  readonly #events: Events
  /** What is to be answered at the end of what came together. */
  readonly #answers: Buffer[] = []
  readonly #awaited = new Map<string, Question>()
  readonly #reader = new mqtt.PacketReader((first, bytes, start, end) => this.#packet(first, bytes, start, end))
  #packetId = 0
  #ended = false
  #problem: string | null = null

  private constructor(socket: Socket, version: mqtt.Version, events: Events) {
    this.#socket = socket
    this.#version = version
    this.#events = events
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#broken(error.message))
    socket.on('close', () => this.#broken('closed by the broker'))
  }

  /** Resolves when it is accepted. */
  static async open(
    port: number,
    version: mqtt.Version,
    clientId: string,
    { clean = true, ...events }: Events & { readonly clean?: boolean } = {},
  ): Promise<Client> {
    const localAddress = `127.0.0.${2 + (Math.floor(dialled++ / PORTS_OF_ADDRESS) % 250)}`
    const socket = dial({ host: '127.0.0.1', port, noDelay: true, localAddress })
    const client = new Client(socket, version, events)
    const accepted = client.#answer(`${mqtt.CONNACK}`)
    socket.write(mqtt.connect(version, clientId, clean))
    const reason = await accepted
    if (reason !== 0) throw new Error(`${clientId}: CONNECT was refused with ${reason}`)
    return client
  }

  /** Why the connection is no longer what it should be. */
  get problem(): string | null {
    return this.#problem
  }

  async subscribe(filters: readonly string[], qos: mqtt.Qos): Promise<void> {
    const id = this.nextId()
    this.#socket.write(mqtt.subscribe(this.#version, id, filters, qos))
    const reason = await this.#answer(`${mqtt.SUBACK}/${id}`)
    if (reason >= REFUSED) throw new Error(`SUBSCRIBE of ${filters[0]} was refused with ${reason}`)
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    const id = this.nextId()
    this.#socket.write(mqtt.unsubscribe(this.#version, id, filters))
    await this.#answer(`${mqtt.UNSUBACK}/${id}`)
  }

  /** 1 to 65535; nothing here has so many under way that one of them would still be taken. */
  nextId(): number {
    this.#packetId = this.#packetId === 0xffff ? 1 : this.#packetId + 1
    return this.#packetId
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  ping(): void {
    this.#socket.write(mqtt.PINGREQ)
  }

  /** With a DISCONNECT, and resolves when the connection is gone. */
  end(): Promise<void> {
    this.#ended = true
    return new Promise((done) => {
      if (this.#socket.closed) return done()
      this.#socket.once('close', () => done())
      this.#socket.end(mqtt.disconnect())
    })
  }

  #answer(key: string): Promise<number> {
    return new Promise((done, failed) => {
      if (this.#problem !== null) return failed(new Error(this.#problem))
      const timer = setTimeout(() => this.#broken(`no answer within ${ANSWER_MS_MAX} ms`), ANSWER_MS_MAX)
      this.#awaited.set(key, { done, failed, timer })
    })
  }

  #broken(why: string): void {
    if (!this.#ended) this.#problem ??= why
    this.#socket.destroy()
    for (const { failed, timer } of this.#awaited.values()) {
      clearTimeout(timer)
      failed(new Error(why))
    }
    this.#awaited.clear()
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.feed(chunk)
    } catch (error) {
      return this.#broken(`cannot read what the broker sends: ${(error as Error).message}`)
    }
    if (this.#answers.length > 0) this.#socket.write(Buffer.concat(this.#answers.splice(0)))
    this.#events.onRead?.()
  }

  #packet(first: number, bytes: Buffer, start: number, end: number): void {
    const type = first >> 4
    if (type === mqtt.PUBLISH) {
      const { qos, packetId, payloadAt } = mqtt.publishParts(this.#version, first, bytes, start, end)
      if (end - payloadAt < mqtt.PAYLOAD_BYTES_MIN) throw new Error(`a payload of ${end - payloadAt} bytes`)
      if (qos > 0) this.#answers.push(mqtt.acknowledgement(qos === 1 ? mqtt.PUBACK : mqtt.PUBREC, packetId))
      this.#events.onMessage?.(bytes, payloadAt)
      return
    }
    if (type === mqtt.CONNACK) return this.#tell(`${type}`, bytes[start + 1]!)
    if (type === mqtt.PINGRESP) return this.#events.onPong?.()
    const id = bytes.readUInt16BE(start)
    if (type === mqtt.SUBACK || type === mqtt.UNSUBACK) {
      const codesAt = start + 2 + (this.#version === 5 ? 1 + bytes[start + 2]! : 0)
      return this.#tell(`${type}/${id}`, Math.max(0, ...bytes.subarray(codesAt, end)))
    }
    const reason = end - start > 2 ? bytes[start + 2]! : 0
    if (reason >= REFUSED) this.#problem ??= `packet type ${type} refuses with ${reason}`
    if (type === mqtt.PUBREC) this.#answers.push(mqtt.acknowledgement(mqtt.PUBREL, id))
    else if (type === mqtt.PUBREL) this.#answers.push(mqtt.acknowledgement(mqtt.PUBCOMP, id))
    else if (type === mqtt.PUBACK || type === mqtt.PUBCOMP) this.#events.onAcknowledged?.()
    else throw new Error(`packet type ${type}, which a client does not get`)
  }

  #tell(key: string, reason: number): void {
    const told = this.#awaited.get(key)
    if (told === undefined) throw new Error(`an answer nobody waits for: ${key}`)
    this.#awaited.delete(key)
    clearTimeout(told.timer)
    told.done(reason)
  }
}
