// The simulated LAN: machines with addresses in one or two subnets, and one path for each direction between two of them.
// A router joins the subnets for unicast only, as between two real LANs. Streams, datagrams and names travel on these
// paths.

import type { NetInterface } from '../../src/base/ports/datagrams.ts'
import type { SimClock, Timeline } from './clock.ts'
import type { Datagram } from './datagrams.ts'
import type { Dice } from './random.ts'
import type { Pipe } from './stream.ts'
import type { Listener } from './streams.ts'

export interface Quality {
  readonly delayMs: number
  readonly jitterMs: number
  /** Of a datagram; of a piece of a stream it becomes delay. */
  readonly loss: number
  readonly duplicate: number
}

export const goodQuality: Quality = { delayMs: 0.4, jitterMs: 0.4, loss: 0, duplicate: 0 }

/** One direction between two machines. */
export class Path {
  quality: Quality
  /** Silently nothing passes. */
  cut = false
  /** When the last cut began. */
  cutAt = 0
  /** Streams that have something to send again when the cut is mended. */
  readonly stalled = new Set<Pipe>()

  constructor(quality: Quality) {
    this.quality = quality
  }
}

/** A box on the LAN: what its nodes share. */
export class Machine {
  readonly index: number
  readonly subnet: number
  address: string
  /** False: no power. Nothing answers, nothing is sent. */
  powered = true
  readonly listeners = new Map<number, Listener>()
  readonly datagrams = new Map<number, Datagram[]>()
  /** Streams towards this machine that wait for it to have power again. */
  readonly stalled = new Set<Pipe>()
  #nextPort: number

  constructor(index: number, subnet: number, address: string, firstPort: number) {
    this.index = index
    this.subnet = subnet
    this.address = address
    this.#nextPort = firstPort
  }

  ephemeralPort(): number {
    do {
      this.#nextPort = this.#nextPort >= 60_999 ? 32_768 : this.#nextPort + 1
    } while (this.listeners.has(this.#nextPort))
    return this.#nextPort
  }

  interfaces(): readonly NetInterface[] {
    return [
      { name: 'lo', address: '127.0.0.1', netmask: '255.0.0.0', broadcast: '127.255.255.255', loopback: true },
      {
        name: 'eth0',
        address: this.address,
        netmask: '255.255.255.0',
        broadcast: `10.77.${this.subnet}.255`,
        loopback: false,
      },
    ]
  }
}

/** Lost pieces are sent again after 0.2, 0.4, 0.8 and 1.6 s; then they arrive. */
const RETRANSMITS_MAX = 4
/** What a bad path holds up has arrived this long after it is good again. */
export const LATE_MS = 3000

const LOOPBACK: Quality = { delayMs: 0.03, jitterMs: 0.03, loss: 0, duplicate: 0 }

export class Network {
  readonly timeline: Timeline
  readonly dice: Dice
  readonly machines: Machine[] = []
  readonly #paths = new Map<number, Path>()
  readonly #byAddress = new Map<string, Machine>()
  readonly #names = new Map<string, Machine>()
  readonly #hostNumbers = [0, 0]
  /** The state of a path that nobody has set. */
  defaultQuality: Quality = goodQuality
  /** Bytes of a stream that the sender's kernel takes before `write` answers false. */
  sendBufferBytes = 256 * 1024
  /** Bytes that wait at a receiver that does not read. */
  receiveBufferBytes = 64 * 1024
  /** How often what arrived is handed over in two pieces. */
  splitting = 0.05
  /** Told of each stream between machines that is gone at one end, with both endpoints' owners. */
  streamClosed: (a: SimClock | null, b: SimClock | null) => void = () => {}

  constructor(timeline: Timeline, dice: Dice) {
    this.timeline = timeline
    this.dice = dice
  }

  addMachine(subnet = 0): Machine {
    const machine = new Machine(this.machines.length, subnet, '', 32_768 + this.dice.whole(0, 20_000))
    this.machines.push(machine)
    this.moveMachine(machine)
    return machine
  }

  /** Gives the machine a new address; what was connected to the old one never hears of it again. */
  moveMachine(machine: Machine): void {
    this.#byAddress.delete(machine.address)
    this.#hostNumbers[machine.subnet] = (this.#hostNumbers[machine.subnet] ?? 0) + 1
    machine.address = `10.77.${machine.subnet}.${this.#hostNumbers[machine.subnet]}`
    this.#byAddress.set(machine.address, machine)
  }

  /** A host name that static peers may use. */
  name(name: string, machine: Machine): void {
    this.#names.set(name, machine)
  }

  /** The machine that `address` means to `from`, or null: nobody has it. */
  resolve(from: Machine, address: string): Machine | null {
    if (address.startsWith('127.')) return from
    return this.#names.get(address) ?? this.#byAddress.get(address) ?? null
  }

  path(from: Machine, to: Machine): Path {
    const key = from.index * 4096 + to.index
    let path = this.#paths.get(key)
    if (path === undefined) {
      path = new Path(from === to ? LOOPBACK : this.defaultQuality)
      this.#paths.set(key, path)
    }
    return path
  }

  /** How long something takes on the path now, or -1: a datagram that is lost. */
  latency(path: Path): number {
    const { delayMs, jitterMs, loss } = path.quality
    if (loss > 0 && this.dice.chance(loss)) return -1
    // In eighths of a millisecond, so that now and then things arrive at the same instant.
    return Math.ceil((delayMs + jitterMs * this.dice.fraction()) * 8) / 8
  }

  /** The same for a piece of a stream, which TCP sends again until it arrives: loss becomes delay. */
  streamLatency(path: Path): number {
    let retransmitMs = 200
    let lateMs = 0
    for (let tries = 0; tries < RETRANSMITS_MAX; tries++) {
      const latency = this.latency(path)
      if (latency >= 0) return lateMs + latency
      lateMs += retransmitMs
      retransmitMs *= 2
    }
    return lateMs
  }

  cut(from: Machine, to: Machine): void {
    const path = this.path(from, to)
    if (path.cut) return
    path.cut = true
    path.cutAt = this.timeline.now
  }

  mend(from: Machine, to: Machine): void {
    const path = this.path(from, to)
    if (!path.cut) return
    path.cut = false
    this.#again(path.stalled, this.timeline.now - path.cutAt)
  }

  powerOn(machine: Machine): void {
    machine.powered = true
    this.#again(machine.stalled, 1000)
  }

  /** TCP sends again at growing intervals: the longer the silence was, the later it notices that it is over. */
  #again(stalled: Set<Pipe>, silentMs: number): void {
    for (const pipe of stalled) {
      const lateMs = this.dice.between(50, 200 + Math.min(silentMs, 6000) * 0.8)
      this.timeline.after(lateMs, pipe.to.owner, 'net.retransmit', () => pipe.pump(), false)
    }
    stalled.clear()
  }
}
