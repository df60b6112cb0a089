// Announces this node by UDP broadcast and hears the others. Sending follows a timer of its own and never waits for
// receiving; what is received is believed only from our own subnets, and costs no memory beyond a fixed table.

import { HostError } from '../../base/errors.ts'
import { type ClusterId, type InstanceId, NO_CLUSTER, type NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import { type Clock, every, type Timer } from '../../base/ports/clock.ts'
import type { DatagramPort, Datagrams, NetInterface } from '../../base/ports/datagrams.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Random } from '../../base/ports/random.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import { decodeBeacon, encodeBeacon } from '../../wire/link/beacon.ts'
import type { Sighting } from './candidates.ts'
import { broadcastAddresses, onLink, wantsInterface } from './interfaces.ts'

/** What is announced; asked again for each beacon. */
export interface Announced {
  readonly instance: InstanceId
  id(): NodeId
  /** Null: belongs to no cluster yet. */
  cluster(): ClusterId | null
  /** TCP port of the links; 0: cannot be dialled. */
  port(): number
}

export interface BeaconSettings {
  readonly port: number
  readonly intervalMs: number
  /** Interfaces named in the settings; empty: all but container and tunnel interfaces. */
  readonly interfaces: readonly string[]
}

export interface BeaconsWorld {
  readonly clock: Clock
  readonly random: Random
  readonly datagrams: Datagrams
  readonly log: Log
  readonly meter: Meter
}

const JITTER = 0.1
const RETRY_MS = 30_000
/** Beside the regular ones, to answer newcomers: at most one in this time. */
const EXTRA_MS = 1000
/** A datagram from an unknown subnet has the interfaces asked again, this often at most: a new one may have come up. */
const LOOK_AGAIN_MS = 1000

type Port = { at: 'closed' } | { at: 'opening' } | { at: 'open'; port: DatagramPort } | { at: 'failed'; why: string }

export class Beacons {
  readonly #world: BeaconsWorld
  readonly #settings: BeaconSettings
  readonly #self: Announced
  readonly #heard: (sighting: Sighting) => void
  #port: Port = { at: 'closed' }
  #ticking: Timer | null = null
  #retry: Timer | null = null
  #extra: Timer | null = null
  #extraMs = Number.NEGATIVE_INFINITY
  #interfaces: readonly NetInterface[] = []
  #lookedMs = Number.NEGATIVE_INFINITY
  /** Instances heard already, oldest first: whoever is not in it is a newcomer. */
  readonly #known = new Set<string>()
  /** What sending from an interface said since the last beacon but one. */
  #failing = new Map<string, string>()
  #failedBefore = new Map<string, string>()

  constructor(world: BeaconsWorld, settings: BeaconSettings, self: Announced, heard: (sighting: Sighting) => void) {
    this.#world = world
    this.#settings = settings
    this.#self = self
    this.#heard = heard
  }

  start(): void {
    if (this.#port.at !== 'closed') return
    const { clock, random } = this.#world
    this.#ticking = every(
      clock,
      this.#settings.intervalMs,
      'cluster.beacon',
      () => this.#tick(),
      () => random.fraction() * JITTER,
    )
    this.#open()
  }

  stop(): void {
    this.#ticking?.cancel()
    this.#retry?.cancel()
    this.#extra?.cancel()
    this.#extra = null
    if (this.#port.at === 'open') this.#port.port.close()
    this.#port = { at: 'closed' }
  }

  /** Announces a change (a cluster, another id, another port) without waiting for the next beacon. */
  announce(): void {
    if (this.#extra !== null || this.#port.at !== 'open') return
    const { clock } = this.#world
    const waitMs = this.#extraMs + EXTRA_MS - clock.now()
    if (waitMs <= 0) return this.#sendExtra()
    this.#extra = clock.after(waitMs, 'cluster.beacon.extra', () => {
      this.#extra = null
      this.#sendExtra()
    })
  }

  /** What keeps beacons from working, in words for people. */
  problems(): readonly string[] {
    const found: string[] = []
    if (this.#port.at === 'failed') {
      found.push(
        `beacons: UDP port ${this.#settings.port} cannot be opened (${this.#port.why}); tried again every 30 s`,
      )
    }
    for (const [name, why] of new Map([...this.#failedBefore, ...this.#failing])) {
      found.push(`beacons: cannot be sent on ${name} (${why})`)
    }
    return found
  }

  #open(): void {
    const { datagrams, log, meter } = this.#world
    this.#port = { at: 'opening' }
    datagrams.bind(
      this.#settings.port,
      (bytes, from) => this.#received(bytes, from),
      (where, error) => this.#failed(where, error),
      (result) => {
        if (this.#port.at !== 'opening') {
          if (!(result instanceof HostError)) result.close()
          return
        }
        if (result instanceof HostError) {
          meter.count('beacon.bindFailed')
          log.warn({ port: this.#settings.port, why: result.message }, 'beacon port cannot be opened')
          return this.#openLater(result.message)
        }
        this.#port = { at: 'open', port: result }
        log.info({ port: this.#settings.port }, 'beacons open')
        this.#sendExtra()
      },
    )
  }

  #openLater(why: string): void {
    this.#port = { at: 'failed', why }
    this.#retry = this.#world.clock.after(RETRY_MS, 'cluster.beacon.retry', () => this.#open())
  }

  #tick(): void {
    this.#failedBefore = this.#failing
    this.#failing = new Map()
    this.#look()
    this.#send()
  }

  #sendExtra(): void {
    this.#extraMs = this.#world.clock.now()
    this.#look()
    this.#send()
  }

  #look(): void {
    this.#lookedMs = this.#world.clock.now()
    const { interfaces } = this.#settings
    this.#interfaces = this.#world.datagrams.interfaces().filter((face) => wantsInterface(face.name, interfaces))
  }

  #send(): void {
    if (this.#port.at !== 'open') return
    const { port } = this.#port
    const bytes = encodeBeacon({
      port: this.#self.port(),
      cluster: this.#self.cluster() ?? NO_CLUSTER,
      node: this.#self.id(),
      instance: this.#self.instance,
    })
    for (const face of this.#interfaces) {
      for (const address of broadcastAddresses(face)) port.send(face, { address, port: this.#settings.port }, bytes)
    }
    this.#world.meter.count('beacon.sent')
  }

  #failed(where: NetInterface | null, error: HostError): void {
    const { log, meter } = this.#world
    meter.count('beacon.failed')
    if (where !== null) {
      if (!this.#failing.has(where.name) && !this.#failedBefore.has(where.name)) {
        log.warn({ interface: where.name, why: error.message }, 'beacon cannot be sent')
      }
      this.#failing.set(where.name, error.message)
      return
    }
    if (this.#port.at !== 'open') return
    log.warn({ port: this.#settings.port, why: error.message }, 'beacon port failed')
    this.#port.port.close()
    this.#openLater(error.message)
  }

  #received(bytes: Buffer, from: Endpoint): void {
    if (this.#port.at !== 'open') return
    const { meter } = this.#world
    const beacon = decodeBeacon(bytes)
    if (beacon === null) return meter.count('beacon.junk')
    if (!this.#believes(from.address)) return meter.count('beacon.offlink')
    if (beacon.node === this.#self.id() && beacon.instance === this.#self.instance) return meter.count('beacon.own')
    meter.count('beacon.heard')
    const endpoint = { address: from.address, port: beacon.port }
    const { node, instance, cluster } = beacon
    this.#greet(node === null ? endpointText(endpoint) : `${node}${instance}`)
    this.#heard({ endpoint, source: 'beacon', node, instance, cluster })
  }

  #believes(address: string): boolean {
    if (onLink(address, this.#interfaces)) return true
    if (this.#world.clock.now() - this.#lookedMs < LOOK_AGAIN_MS) return false
    this.#look()
    return onLink(address, this.#interfaces)
  }

  /** A newcomer does not know us yet and must not have to wait for our next beacon. */
  #greet(who: string): void {
    if (this.#known.has(who)) return
    this.#known.add(who)
    const oldest = this.#known.values().next()
    if (this.#known.size > limits.candidates && oldest.done !== true) this.#known.delete(oldest.value)
    this.announce()
  }
}
