// A running broker on a virtual clock, with streams in memory and a client that speaks bytes: mqtt-packet, which the
// broker does not use for what it sends, writes the client's packets and reads the broker's.

import mqttPacket, { type Packet } from 'mqtt-packet'
import { expect } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { Meter } from '../../src/base/meter.ts'
import type { Clock, Timer } from '../../src/base/ports/clock.ts'
import type { Log, LogFields } from '../../src/base/ports/log.ts'
import { ampleMemory, type Memory } from '../../src/base/ports/memory.ts'
import type { Random } from '../../src/base/ports/random.ts'
import type { ByteStream, Endpoint, StreamHandler } from '../../src/base/ports/streams.ts'
import { Broker } from '../../src/broker/broker.ts'
import {
  type Authenticator,
  type Claims,
  type Keeper,
  NoKeeper,
  NoPeers,
  NoRules,
  type Peers,
  type Rules,
} from '../../src/broker/ports.ts'
import { type BrokerSettings, defaultBrokerSettings } from '../../src/broker/settings.ts'

export class VirtualClock implements Clock {
  #now = 1000
  #timers: { at: number; order: number; run: () => void; live: boolean }[] = []
  #soon: (() => void)[] = []
  #order = 0

  now(): number {
    return this.#now
  }

  wall(): number {
    return 1_700_000_000_000 + this.#now
  }

  after(delayMs: number, _name: string, run: () => void): Timer {
    const timer = { at: this.#now + delayMs, order: ++this.#order, run, live: true }
    this.#timers.push(timer)
    return {
      cancel: () => {
        timer.live = false
      },
    }
  }

  soon(run: () => void): void {
    this.#soon.push(run)
  }

  /** Ends the turn: everything asked for `soon`, and what that asks for in turn. */
  settle(): void {
    for (let turns = 0; this.#soon.length > 0; turns++) {
      if (turns > 10_000) throw new Error('the turn does not end')
      const due = this.#soon
      this.#soon = []
      for (const run of due) run()
    }
  }

  advance(ms: number): void {
    const until = this.#now + ms
    this.settle()
    for (;;) {
      this.#timers = this.#timers.filter(({ live }) => live).sort((a, b) => a.at - b.at || a.order - b.order)
      const next = this.#timers[0]
      if (next === undefined || next.at > until) break
      next.live = false
      this.#now = Math.max(this.#now, next.at)
      next.run()
      this.settle()
    }
    this.#now = until
  }

  get timers(): number {
    return this.#timers.filter(({ live }) => live).length
  }
}

/** Random enough for ids, and the same in every run. */
export function plainRandom(): Random {
  let state = 1
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return state / 0x1_0000_0000
  }
  return {
    bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(next() * 256))),
    fraction: next,
  }
}

/** The broker's end of a connection in memory. */
export class MemoryStream implements ByteStream {
  readonly local = { address: '10.0.0.1', port: 1883 }
  readonly remote: Endpoint
  readonly #toClient: (bytes: Buffer) => void
  #handler: StreamHandler | null = null
  #held: Buffer[] = []
  #unread: Buffer[] = []
  paused = false
  /** The broker ended the stream. */
  ended = false
  /** Gone both ways. */
  closed = false
  /** The client's end does not read. */
  frozen = false
  /** Bytes that the kernel is said to hold as well, for tests of large bounds. */
  heldElsewhere = 0

  constructor(toClient: (bytes: Buffer) => void, address = '10.0.0.2') {
    this.remote = { address, port: 40_000 }
    this.#toClient = toClient
  }

  get pendingBytes(): number {
    return this.heldElsewhere + this.#held.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
  }

  write(bytes: Buffer): boolean {
    if (this.closed) return true
    if (this.frozen) {
      this.#held.push(bytes)
      return false
    }
    this.#toClient(Buffer.from(bytes))
    return true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    while (!this.paused && this.#unread.length > 0) this.#give(this.#unread.shift()!)
  }

  end(): void {
    this.ended = true
    if (this.#held.length === 0) this.drop(null)
  }

  destroy(): void {
    this.ended = true
    this.#held = []
    this.drop(null)
  }

  /** Bytes from the client. */
  arrive(bytes: Buffer): void {
    if (this.closed) return
    if (this.paused) this.#unread.push(bytes)
    else this.#give(bytes)
  }

  /** The client reads again. */
  thaw(): void {
    this.frozen = false
    for (const bytes of this.#held.splice(0)) this.#toClient(Buffer.from(bytes))
    if (this.ended) this.drop(null)
    else this.#handler?.drained()
  }

  /** The connection is gone. */
  drop(why: string | null): void {
    if (this.closed) return
    this.closed = true
    this.#handler?.closed(why)
  }

  #give(bytes: Buffer): void {
    // The host reuses its read buffer: what the broker keeps without a copy is then seen to be spoilt.
    const buffer = Buffer.alloc(bytes.length + 8, 0xee)
    bytes.copy(buffer, 4)
    this.#handler?.received(buffer, 4, 4 + bytes.length)
    buffer.fill(0xdd)
  }
}

export type Version = 3 | 4 | 5

export interface ConnectOptions {
  readonly version?: Version
  readonly id?: string
  readonly clean?: boolean
  readonly keepalive?: number
  readonly username?: string
  readonly password?: string
  readonly will?: { topic: string; payload: string; qos?: 0 | 1 | 2; retain?: boolean; properties?: object }
  readonly properties?: object
}

let names = 0

export class Client {
  readonly version: Version
  readonly stream: MemoryStream
  readonly #lab: Lab
  readonly #parser
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever fields a packet has
  connack: any = null
  /** Packets received and not yet taken. */
  inbox: Packet[] = []
  /** All bytes received. */
  bytes = Buffer.alloc(0)

  constructor(lab: Lab, version: Version, listener: string, address: string) {
    this.#lab = lab
    this.version = version
    this.#parser = mqttPacket.parser({ protocolVersion: version })
    this.#parser.on('packet', (packet) => this.inbox.push(packet))
    this.#parser.on('error', (error) => {
      throw error
    })
    this.stream = new MemoryStream((bytes) => {
      this.bytes = Buffer.concat([this.bytes, bytes])
      this.#parser.parse(bytes)
    }, address)
    lab.broker.accept(this.stream, { name: listener })
  }

  get closed(): boolean {
    return this.stream.closed
  }

  /** Bytes in one read. */
  raw(...parts: (Buffer | string | readonly number[])[]): this {
    this.stream.arrive(Buffer.concat(parts.map((part) => (typeof part === 'string' ? hex(part) : Buffer.from(part)))))
    this.#lab.clock.settle()
    return this
  }

  /** Packets, all in one read. */
  send(...packets: object[]): this {
    return this.raw(...packets.map((packet) => bytesOf(packet, this.version)))
  }

  connect(options: ConnectOptions = {}): this {
    const { version = this.version, id = `client-${++names}`, clean = true, keepalive = 0, will, ...rest } = options
    return this.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clientId: id,
      clean,
      keepalive,
      ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
      ...rest,
    })
  }

  subscribe(filter: string | string[], options: object = {}, properties?: object): this {
    const { messageId = 1, ...each } = { qos: 0, nl: false, rap: false, rh: 0, ...options } as { messageId?: number }
    return this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: [filter].flat().map((topic) => ({ topic, ...each })),
      ...(properties === undefined ? {} : { properties }),
    })
  }

  unsubscribe(...filters: string[]): this {
    return this.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: filters })
  }

  publish(topic: string, payload: string | Buffer, options: object = {}): this {
    return this.send({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false, messageId: 1, ...options })
  }

  puback(messageId: number): this {
    return this.send({ cmd: 'puback', messageId })
  }

  pubrec(messageId: number, reasonCode = 0): this {
    return this.send({ cmd: 'pubrec', messageId, reasonCode })
  }

  pubrel(messageId: number): this {
    return this.send({ cmd: 'pubrel', messageId })
  }

  pubcomp(messageId: number): this {
    return this.send({ cmd: 'pubcomp', messageId })
  }

  disconnect(properties?: object, reasonCode = 0): void {
    this.send({ cmd: 'disconnect', reasonCode, ...(properties === undefined ? {} : { properties }) })
  }

  /** The network fails. */
  drop(): void {
    this.stream.drop('reset')
    this.#lab.clock.settle()
  }

  freeze(): void {
    this.stream.frozen = true
  }

  thaw(): void {
    this.stream.thaw()
    this.#lab.clock.settle()
  }

  /** Everything received since the last call, as plain values. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever fields a packet has
  take(): any[] {
    return this.inbox.splice(0).map(plain)
  }

  /** The one packet received since the last call. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever fields a packet has
  one(cmd: string): any {
    const packets = this.take()
    expect(packets.map((packet) => packet.cmd)).toEqual([cmd])
    return packets[0]
  }

  /** Topic and payload of each PUBLISH since the last call; other packets are lost. */
  got(): string[] {
    return this.take()
      .filter(({ cmd }) => cmd === 'publish')
      .map(({ topic, payload }) => `${topic}=${payload}`)
  }
}

/** Payloads as text, as tests write them. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever fields a packet has
function plain(packet: Packet): any {
  return packet.cmd === 'publish' ? { ...packet, payload: packet.payload.toString() } : packet
}

export function bytesOf(packet: object, version: Version): Buffer {
  return mqttPacket.generate(packet as Packet, { protocolVersion: version })
}

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')

type DeepPartial<T> = { readonly [K in keyof T]?: T[K] extends object ? DeepPartial<T[K]> : T[K] }

export interface LabOptions {
  readonly sessions?: DeepPartial<BrokerSettings['sessions']>
  readonly limits?: Partial<BrokerSettings['limits']>
  readonly peers?: Peers
  readonly authenticator?: Authenticator
  /** How much of the memory is used. */
  readonly memory?: Memory
  readonly rules?: Rules
  readonly clock?: LabClock
  readonly keeper?: Keeper
  /** Which of the broker's runs it is. */
  readonly incarnation?: number
  readonly claims?: Claims
  readonly node?: NodeId
}

/** What a lab needs of its clock. */
export type LabClock = Clock & Pick<VirtualClock, 'settle' | 'advance'>

export class Lab {
  readonly clock: VirtualClock
  readonly meter = new Meter()
  readonly settings: BrokerSettings
  readonly broker: Broker
  readonly #lines: { readonly fields: LogFields; readonly message: string }[] = []

  constructor(options: LabOptions = {}) {
    this.clock = (options.clock ?? new VirtualClock()) as VirtualClock
    this.settings = labSettings(options)
    this.broker = new Broker(this.settings, {
      clock: this.clock,
      random: plainRandom(),
      log: this.#log(),
      meter: this.meter,
      peers: options.peers ?? new NoPeers(),
      authenticator: options.authenticator ?? { authenticate: (_request, done) => done('allowed') },
      memory: options.memory ?? ampleMemory,
      rules: options.rules ?? new NoRules(),
      keeper: options.keeper ?? new NoKeeper(),
      ...(options.claims === undefined ? {} : { claims: options.claims }),
      origin: { node: options.node ?? ('00000000000000aa' as NodeId), incarnation: options.incarnation ?? 1 },
    })
  }

  /** A client that has not said anything yet. */
  client(version: Version = 5, listener = 'mqtt', address = '10.0.0.2'): Client {
    return new Client(this, version, listener, address)
  }

  /** A connected client, its CONNACK taken. */
  connected(options: ConnectOptions = {}): Client {
    const client = this.client(options.version ?? 5).connect(options)
    client.connack = client.one('connack')
    expect(client.connack.returnCode ?? client.connack.reasonCode).toBe(0)
    return client
  }

  /** A connected client with one subscription, its answers taken. */
  subscribed(filter: string | string[], options: ConnectOptions & { qos?: number; sub?: object } = {}): Client {
    const { qos = 0, sub = {}, ...rest } = options
    const client = this.connected(rest).subscribe(filter, { qos, ...sub })
    client.one('suback')
    return client
  }

  advance(ms: number): void {
    this.clock.advance(ms)
  }

  /** The fields of each line of the log with this message. */
  lines(message: string): LogFields[] {
    return this.#lines.filter((line) => line.message === message).map(({ fields }) => fields)
  }

  #log(): Log {
    const keep = (fields: LogFields, message: string) => void this.#lines.push({ fields, message })
    const log: Log = { debug: () => {}, info: keep, warn: keep, error: keep, child: () => log }
    return log
  }
}

export function labSettings({ sessions = {}, limits = {} }: LabOptions): BrokerSettings {
  const { queue = {}, ...others } = sessions
  const standard = defaultBrokerSettings
  return {
    sessions: { ...standard.sessions, ...others, queue: { ...standard.sessions.queue, ...queue } },
    limits: { ...standard.limits, ...limits },
  }
}
