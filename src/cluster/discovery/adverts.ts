// Announces this node by multicast DNS and finds the others: `edge-mqtt` between the boxes, with the fields of a beacon
// as its text, and `mqtt` for devices that look for a broker. Whoever can name one address only is given a name that all
// living boxes answer for.

import { type ClusterId, type InstanceId, NO_CLUSTER, type NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { NetInterface } from '../../base/ports/datagrams.ts'
import type { Announcement, FoundService, Names } from '../../base/ports/names.ts'
import { beaconText, readBeaconText } from '../../wire/link/beacon.ts'
import type { Announced } from './beacons.ts'
import type { Sighting } from './candidates.ts'
import { onLink, wantsInterface } from './interfaces.ts'

export const PEER_TYPE = 'edge-mqtt'
/** What any member answers to that serves devices. */
export const CLUSTER_NAME = 'edge-mqtt.local'
/** A box has few addresses; a record with more is somebody's attempt at our table. */
const ADDRESSES_MAX = 8
/** Bytes of a DNS label (RFC 1035 2.3.4). */
const LABEL_BYTES_MAX = 63

export interface DeviceService {
  /** `mqtt` or `secure-mqtt`. */
  readonly type: string
  readonly port: number
}

/** Listeners that devices look for. */
const SERVICES: Readonly<Record<string, string>> = { mqtt: 'mqtt', mqtts: 'secure-mqtt' }

/** How devices are told of a listener of this type; nothing when they are not. */
export function deviceService(listenerType: string, port: number): readonly DeviceService[] {
  const type = SERVICES[listenerType]
  return type === undefined ? [] : [{ type, port }]
}

/** What is announced of these listeners. */
export const deviceServices = (
  rows: readonly { readonly settings: { readonly type: string }; readonly port: number }[],
): readonly DeviceService[] => rows.flatMap(({ settings, port }) => deviceService(settings.type, port))

export interface AdvertsWorld {
  readonly names: Names
  /** Asked for each record found: addresses outside of our subnets are not believed. */
  readonly interfaces: () => readonly NetInterface[]
  readonly meter: Meter
}

interface Published {
  readonly id: NodeId
  readonly instance: InstanceId
  readonly cluster: ClusterId
  readonly port: number
}

export class Adverts {
  readonly #world: AdvertsWorld
  readonly #settings: { readonly interfaces: readonly string[]; readonly nodeName: string }
  readonly #self: Announced
  readonly #heard: (sighting: Sighting) => void
  #state: 'stopped' | 'running' = 'stopped'
  #browsing: (() => void) | null = null
  #peers: { readonly what: Published; readonly announcement: Announcement } | null = null
  readonly #devices = new Map<string, Announcement>()
  #name: Announcement | null = null

  constructor(
    world: AdvertsWorld,
    settings: { readonly interfaces: readonly string[]; readonly nodeName: string },
    self: Announced,
    heard: (sighting: Sighting) => void,
  ) {
    this.#world = world
    this.#settings = settings
    this.#self = self
    this.#heard = heard
  }

  /** Publishes and browses. */
  start(devices: readonly DeviceService[]): void {
    if (this.#state === 'running') return
    this.#state = 'running'
    this.#browsing = this.#world.names.browse(PEER_TYPE, this.#wants, (service) => this.#found(service))
    this.update()
    this.updateDevices(devices)
  }

  /** Announces exactly these services for devices. */
  updateDevices(devices: readonly DeviceService[]): void {
    if (this.#state !== 'running') return
    const wanted = new Map(devices.map((device) => [`${device.type} ${device.port}`, device]))
    for (const [key, announcement] of this.#devices) {
      if (wanted.has(key)) continue
      this.#devices.delete(key)
      announcement.withdraw(() => {})
    }
    const id = this.#self.id()
    for (const [key, { type, port }] of wanted) {
      if (this.#devices.has(key)) continue
      // A name taken on the network is refused without a word, so it carries what no other service has.
      const instance = label(this.#settings.nodeName, ` ${id.slice(0, 8)}-${port}`)
      const service = { name: type, port, instance, text: { txtvers: '1', n: id } }
      this.#devices.set(key, this.#world.names.announce(service, this.#wants))
    }
    this.#updateName()
  }

  /** Says what has changed: the cluster, the node id, the port. */
  update(): void {
    if (this.#state !== 'running') return
    this.#updateName()
    const what: Published = {
      id: this.#self.id(),
      instance: this.#self.instance,
      cluster: this.#self.cluster() ?? NO_CLUSTER,
      port: this.#self.port(),
    }
    if (this.#peers !== null && same(this.#peers.what, what)) return
    const before = this.#peers
    this.#peers = null
    if (what.port !== 0) {
      // A name that is taken is refused without a word, be it by a copy of this card or by our own last announcement.
      const instance = `edge-mqtt-${what.id}-${what.instance.slice(-4)}${what.cluster.slice(-4)}-${what.port}`
      const text = beaconText({ port: what.port, cluster: what.cluster, node: what.id, instance: what.instance })
      const service = { name: PEER_TYPE, port: what.port, instance, text }
      this.#peers = { what, announcement: this.#world.names.announce(service, this.#wants) }
    }
    before?.announcement.withdraw(() => {})
  }

  /** Takes the devices' services off the network, before their listeners stop. */
  withdrawDevices(done: () => void): void {
    withdrawAll(this.#takeDevices(), done)
  }

  stop(done: () => void): void {
    this.#state = 'stopped'
    this.#browsing?.()
    this.#browsing = null
    const devices = this.#takeDevices()
    const all = this.#peers === null ? devices : [...devices, this.#peers.announcement]
    this.#peers = null
    withdrawAll(all, done)
  }

  problem(): string | null {
    return this.#state === 'running' ? this.#world.names.problem() : null
  }

  /** A box that waits to be let in would lead devices away from the cluster. */
  #updateName(): void {
    const wanted = this.#devices.size > 0 && this.#self.cluster() !== null
    if (wanted) this.#name ??= this.#world.names.share(CLUSTER_NAME, this.#wants)
    else withdrawAll(this.#takeName(), () => {})
  }

  #takeName(): readonly Announcement[] {
    const name = this.#name
    this.#name = null
    return name === null ? [] : [name]
  }

  #takeDevices(): readonly Announcement[] {
    const all = [...this.#takeName(), ...this.#devices.values()]
    this.#devices.clear()
    return all
  }

  readonly #wants = (name: string): boolean => wantsInterface(name, this.#settings.interfaces)

  #found(service: FoundService): void {
    const { meter } = this.#world
    const beacon = readBeaconText(service.port, service.text)
    if (beacon === null || beacon.port === 0) return meter.count('mdns.junk')
    const { port, node, instance, cluster } = beacon
    if (node === this.#self.id() && instance === this.#self.instance) return meter.count('mdns.own')
    const faces = this.#world.interfaces().filter((face) => this.#wants(face.name))
    for (const address of service.addresses.slice(0, ADDRESSES_MAX)) {
      if (!onLink(address, faces)) {
        meter.count('mdns.offlink')
        continue
      }
      meter.count('mdns.heard')
      this.#heard({ endpoint: { address, port }, source: 'mdns', node, instance, cluster })
    }
  }
}

const same = (a: Published, b: Published): boolean =>
  a.id === b.id && a.instance === b.instance && a.cluster === b.cluster && a.port === b.port

function withdrawAll(announcements: readonly Announcement[], done: () => void): void {
  let left = announcements.length
  if (left === 0) return done()
  for (const announcement of announcements) {
    announcement.withdraw(() => {
      if (--left === 0) done()
    })
  }
}

/** `name` cut to what leaves room for `ending` in a DNS label, at a whole character. */
function label(name: string, ending: string): string {
  let cut = name
  while (Buffer.byteLength(cut) + Buffer.byteLength(ending) > LABEL_BYTES_MAX) cut = cut.slice(0, -1)
  return `${cut}${ending}`
}
