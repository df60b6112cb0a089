// Missions against a broker in this process, on a virtual clock: fast, the same for every seed, and with the broker's
// own figures to be compared afterwards. A neighbour talks to itself all the while.

import { HostError } from '../../src/base/errors.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { Meter } from '../../src/base/meter.ts'
import { silentLog } from '../../src/base/ports/log.ts'
import type { ByteStream, StreamHandler } from '../../src/base/ports/streams.ts'
import { Positions } from '../../src/base/positions.ts'
import { Broker } from '../../src/broker/broker.ts'
import { NoPeers, NoRules } from '../../src/broker/ports.ts'
import { type BrokerSettings, defaultBrokerSettings } from '../../src/broker/settings.ts'
import { Store } from '../../src/store/store.ts'
import { Dice } from '../sim/random.ts'
import { SimEngine, StoreDisk } from '../sim/store-disk.ts'
import { packet, text, u16 } from '../unit/wire/mqtt/bytes.ts'
import { VirtualClock } from '../virtual-clock.ts'
import { mission, type Outcome, type Reply, type Step } from './mission.ts'

class Wire implements ByteStream {
  readonly local = { address: '127.0.0.1', port: 1883 }
  readonly remote = { address: '127.0.0.1', port: 40_000 }
  readonly pendingBytes = 0
  #handler: StreamHandler | null = null
  #unread: Buffer[] = []
  #paused = false
  #received: Buffer[] = []
  closed = false

  open(handler: StreamHandler): void {
    this.#handler = handler
  }
  write(bytes: Buffer): boolean {
    this.#received.push(Buffer.from(bytes))
    return true
  }
  pause(): void {
    this.#paused = true
  }
  resume(): void {
    this.#paused = false
    while (!this.#paused && this.#unread.length > 0) this.#give(this.#unread.shift()!)
  }
  end(): void {
    this.drop()
  }
  destroy(): void {
    this.drop()
  }
  drop(): void {
    if (this.closed) return
    this.closed = true
    this.#handler?.closed(null)
  }
  arrive(bytes: Buffer): void {
    if (this.closed) return
    if (this.#paused) this.#unread.push(bytes)
    else this.#give(bytes)
  }
  take(): Buffer {
    return Buffer.concat(this.#received.splice(0))
  }
  /** In a buffer that is spoilt afterwards, as the host uses its own again. */
  #give(bytes: Buffer): void {
    const buffer = Buffer.alloc(bytes.length + 2, 0xee)
    bytes.copy(buffer, 1)
    this.#handler?.received(buffer, 1, 1 + bytes.length)
    buffer.fill(0xdd)
  }
}

const { limits: set } = defaultBrokerSettings
const MAX_EXPIRY_SEC = 3600
const LIMITS = {
  packetBytes: set.maxPacketSize,
  receiveMaximum: set.maxInflight,
  aliasMaximum: set.maxTopicAlias,
}
/** The disk is at rest by then. */
const SETTLING_MS = 2000
/** Longer than any session lasts without its client. */
const LONG_MS = 2 * MAX_EXPIRY_SEC * 1000
const WAITS = 40
const WAIT_MS = 50
const NEIGHBOUR = 'neighbour/of/all/7c1f'

/** A node's broker on this disk, and the store between them; no disk: nothing is kept. */
function brokerOn(disk: StoreDisk | null, clock: VirtualClock, dice: Dice): Broker {
  const { sessions } = defaultBrokerSettings
  const settings: BrokerSettings = { ...defaultBrokerSettings, sessions: { ...sessions, maxExpirySec: MAX_EXPIRY_SEC } }
  const meter = new Meter()
  const world = {
    clock,
    random: dice.fork('broker'),
    log: silentLog,
    meter,
    peers: new NoPeers(),
    authenticator: { authenticate: (_request: unknown, done: (result: 'allowed') => void) => done('allowed') },
    rules: new NoRules(),
    origin: { node: '00000000000000aa' as NodeId, incarnation: 1 },
  }
  if (disk === null) return new Broker(settings, world)
  const engine = new SimEngine(disk, clock, dice.fork('disk'))
  const store = new Store({
    clock,
    log: silentLog,
    meter,
    engine,
    positions: new Positions(clock),
    synchronised: () => true,
  })
  const broker = new Broker(settings, { ...world, keeper: store })
  store.open((found) => {
    if (found instanceof HostError) throw found
    broker.restore(found, (record) => store.records.found(record, found))
  })
  clock.advance(SETTLING_MS)
  return broker
}

export interface RoundResult {
  readonly packets: number
  /** What went wrong, each with what is needed to see it again. */
  readonly problems: readonly string[]
}

export class Round {
  readonly clock = new VirtualClock()
  readonly broker: Broker
  readonly #dice: Dice
  readonly #name: string
  readonly #neighbour: Wire
  readonly #tampered: (stream: ByteStream) => ByteStream
  readonly #disk: StoreDisk | null
  #said = 0

  /** `kept`: with a store. `tampered`: what a test of the fuzzer does to what the broker reads and writes. */
  constructor(name: string, kept: boolean, tampered: (stream: ByteStream) => ByteStream = (stream) => stream) {
    this.#name = name
    this.#tampered = tampered
    this.#dice = new Dice(name)
    this.#disk = kept ? new StoreDisk() : null
    this.broker = brokerOn(this.#disk, this.clock, this.#dice)
    this.#neighbour = this.#wire()
    this.#say(this.#neighbour, packet(0x10, text('MQTT'), 4, 2, u16(0), text('the neighbour')))
    this.#say(this.#neighbour, packet(0x82, u16(1), text(NEIGHBOUR), 1))
    this.#neighbour.take()
  }

  run(missions: number): RoundResult {
    const outcome: Outcome = { packets: 0, findings: [], retained: new Set(), unfollowed: false }
    const problems: string[] = []
    for (let index = 0; index < missions && problems.length === 0; index++) {
      const dice = this.#dice.fork(`mission ${index}`)
      const limits = { ...LIMITS, answersLater: this.#disk !== null }
      try {
        this.#play(mission(dice, `fuzz-${index}`, limits, outcome), dice)
        this.#askNeighbour(problems)
      } catch (error) {
        problems.push(`threw ${error instanceof Error ? error.stack : error}`)
      }
      for (const { problem, sent, step, reply } of outcome.findings) {
        problems.push(`${problem}\n  before: ${sent}\n  sent: ${step}\n  reply: ${reply}`)
      }
      if (problems.length > 0) problems[0] = `${this.#name}, mission ${index}: ${problems[0]}`
    }
    if (problems.length === 0) this.#survives(problems)
    if (problems.length === 0) this.#leaksNothing(outcome, problems)
    return { packets: outcome.packets, problems }
  }

  #play(steps: Generator<Step, void, Reply>, dice: Dice): void {
    let wire = this.#wire()
    let reply: Reply = { bytes: Buffer.alloc(0), closed: false }
    for (let next = steps.next(reply); !next.done; next = steps.next(reply)) {
      const step = next.value
      if (step.do === 'connect') {
        wire.drop()
        wire = this.#wire()
      } else if (step.do === 'drop') {
        wire.drop()
        this.clock.advance(dice.pick([0, 0, 10, 2000, 120_000]))
      } else {
        for (const piece of pieces(dice, step.bytes)) {
          wire.arrive(piece)
          if (dice.chance(0.5)) this.clock.settle()
        }
        this.clock.settle()
        const received = [wire.take()]
        // With a store answers come after a commit.
        for (let waits = 0; this.#disk !== null && waits < WAITS; waits++) {
          if (step.settled(Buffer.concat(received), wire.closed)) break
          this.clock.advance(WAIT_MS)
          received.push(wire.take())
        }
        reply = { bytes: Buffer.concat(received), closed: wire.closed }
        // A message for the client may come later: a will, what another has left.
        if (dice.chance(0.1)) this.clock.advance(dice.whole(0, 900))
      }
    }
    wire.drop()
    this.clock.settle()
  }

  /** It gets its own message, whatever others do. */
  #askNeighbour(problems: string[]): void {
    const payload = Buffer.from(`${++this.#said}`)
    const id = (this.#said % 65_535) + 1
    this.#say(this.#neighbour, packet(0x32, text(NEIGHBOUR), u16(id), payload))
    if (this.#disk !== null) this.clock.advance(SETTLING_MS)
    const reply = this.#neighbour.take()
    const topic = text(NEIGHBOUR)
    const at = 2 + topic.length
    const expected = packet(0x32, topic, u16(reply.length > at + 2 ? reply.readUInt16BE(at) : 0), payload)
    const ack = packet(0x40, u16(id))
    if (!reply.equals(Buffer.concat([expected, ack]))) problems.push(`the neighbour got ${reply.toString('hex')}`)
    else this.#say(this.#neighbour, packet(0x40, expected.subarray(at, at + 2)))
    if (this.#neighbour.closed) problems.push('the neighbour was closed')
  }

  /** A broker that starts from what is on the disk has what this one has, but for the neighbour's clean session. */
  #survives(problems: string[]): void {
    if (this.#disk === null) return
    this.clock.advance(SETTLING_MS)
    const copy = new StoreDisk()
    for (const [number, bytes] of this.#disk.batches) copy.batches.set(number, bytes)
    const again = brokerOn(copy, this.clock, this.#dice.fork('again'))
    // Time went on for both.
    const { sessions, subscriptions, retained } = this.broker.counts()
    const found = again.counts()
    const before = JSON.stringify([sessions - 1, subscriptions - 1, retained])
    const after = JSON.stringify([found.sessions, found.subscriptions, found.retained])
    if (before !== after) problems.push(`${this.#name}: before a restart ${before}, after it ${after}`)
    again.stop()
  }

  /** Once everybody is gone and their time is over, the neighbour is all there is. */
  #leaksNothing({ retained, unfollowed }: Outcome, problems: string[]): void {
    this.clock.advance(LONG_MS)
    const sweeper = this.#wire()
    this.#say(sweeper, packet(0x10, text('MQTT'), 4, 2, u16(0), text('sweeper')))
    for (const topic of retained) this.#say(sweeper, packet(0x31, text(topic)))
    sweeper.drop()
    this.clock.advance(1000)
    const { clients, sessions, subscriptions, retained: kept } = this.broker.counts()
    const left = { clients, sessions, subscriptions, kept, connections: this.broker.connections('mqtt') }
    // What a client that was not followed has retained nobody knows.
    const clean = { clients: 1, sessions: 1, subscriptions: 1, kept: unfollowed ? kept : 0, connections: 1 }
    if (JSON.stringify(left) !== JSON.stringify(clean)) {
      problems.push(`${this.#name}: left behind ${JSON.stringify(left)}`)
    }
    this.#neighbour.drop()
    this.broker.stop()
    this.clock.settle()
    if (this.clock.timers.some((name) => name === 'broker.deadlines')) problems.push(`${this.#name}: a timer is left`)
  }

  #wire(): Wire {
    const wire = new Wire()
    this.broker.accept(this.#tampered(wire), { name: 'mqtt' })
    return wire
  }

  #say(wire: Wire, bytes: Buffer): void {
    wire.arrive(bytes)
    this.clock.settle()
  }
}

/** The bytes as reads that cut them anywhere. */
export function* pieces(dice: Dice, bytes: Buffer): Generator<Buffer> {
  if (dice.chance(0.6)) return yield bytes
  const most = dice.pick([1, 3, 20, 1000])
  // A long one is not dribbled byte by byte.
  const least = Math.ceil(bytes.length / 500)
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(least, dice.whole(1, most))
    yield bytes.subarray(at, at + length)
    at += length
  }
}
