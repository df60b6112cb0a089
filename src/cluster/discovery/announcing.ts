// How this node makes itself heard, and hears others: beacons and mDNS as one.

import type { Datagrams } from '../../base/ports/datagrams.ts'
import type { Names } from '../../base/ports/names.ts'
import type { ClusterSettings } from '../settings.ts'
import { Adverts, type DeviceService } from './adverts.ts'
import { type Announced, Beacons, type BeaconsWorld } from './beacons.ts'
import type { Sighting } from './candidates.ts'

export interface AnnouncingWorld extends BeaconsWorld {
  readonly datagrams: Datagrams
  readonly names: Names
}

export class Announcing {
  readonly #beacons: Beacons | null
  readonly #adverts: Adverts | null
  readonly #devices: () => readonly DeviceService[]
  #at: 'closed' | 'open' | 'withdrawn' = 'closed'

  /** `devices`: the listeners that devices may be told of, asked when they are announced. */
  constructor(
    world: AnnouncingWorld,
    { beacon, mdns, interfaces, nodeName }: ClusterSettings,
    self: Announced,
    devices: () => readonly DeviceService[],
    heard: (sighting: Sighting) => void,
  ) {
    const advertsWorld = { names: world.names, interfaces: () => world.datagrams.interfaces(), meter: world.meter }
    this.#beacons = beacon.enabled ? new Beacons(world, { ...beacon, interfaces }, self, heard) : null
    this.#adverts = mdns.enabled ? new Adverts(advertsWorld, { interfaces, nodeName }, self, heard) : null
    this.#devices = devices
  }

  start(): void {
    this.#at = 'open'
    this.#beacons?.start()
    this.#adverts?.start(this.#devices())
  }

  /** Another id, cluster or port: told at once. */
  announce(): void {
    this.#beacons?.announce()
    this.#adverts?.update()
  }

  /** Other listeners are open than before. */
  devicesChanged(): void {
    if (this.#at !== 'withdrawn') this.#adverts?.updateDevices(this.#devices())
  }

  /** Takes the devices' services off the network; to be called before their listeners stop. */
  withdrawDevices(done: () => void): void {
    this.#at = 'withdrawn'
    if (this.#adverts === null) done()
    else this.#adverts.withdrawDevices(done)
  }

  /** `done` comes within a second. */
  stop(done: () => void): void {
    this.#beacons?.stop()
    if (this.#adverts === null) done()
    else this.#adverts.stop(done)
  }

  problems(): readonly string[] {
    const names = this.#adverts?.problem() ?? null
    const beacons = this.#at === 'closed' ? [] : (this.#beacons?.problems() ?? [])
    return names === null ? beacons : [...beacons, names]
  }
}
