// First setup without a daemon (`edge-mqtt setup`): listens, and is heard by other fresh boxes, but serves nothing yet.

import { HostError } from '../base/errors.ts'
import { type ClusterId, instanceId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { Datagrams } from '../base/ports/datagrams.ts'
import type { Names } from '../base/ports/names.ts'
import { Adverts } from './adverts.ts'
import { type Announced, Beacons } from './beacons.ts'
import type { Sighting } from './candidates.ts'
import { type Box, loadIdentity } from './identity.ts'
import type { ClusterSettings } from './settings.ts'
import { Setup, type SetupResult, type SetupWorld } from './setup.ts'

export interface FirstSetupWorld extends SetupWorld {
  readonly datagrams: Datagrams
  readonly names: Names
  readonly meter: Meter
}

/** A beacon may have to wait for a second behind the last one. */
const ANNOUNCING_MS = 1500

/** `done` is called once, when everything that was opened is closed again. Returns a function that gives up. */
export function setUpAlone(
  world: FirstSetupWorld,
  settings: ClusterSettings,
  box: Box,
  done: (result: SetupResult | HostError) => void,
): () => void {
  const identity = loadIdentity(world, box)
  if (identity instanceof HostError) {
    done(identity)
    return () => {}
  }
  const instance = instanceId(world.random, world.clock.wall())
  const setup = new Setup(world, identity, { instance, newCluster: settings.newCluster })
  let founded: ClusterId | null = null
  // Port zero: nobody listens for links yet.
  const self: Announced = { instance, id: () => identity.id, cluster: () => founded, port: () => 0 }
  const heard = (sighting: Sighting) => setup.heard(sighting)
  const { interfaces, nodeName } = settings
  const beacons = settings.beacon.enabled ? new Beacons(world, { ...settings.beacon, interfaces }, self, heard) : null
  const adverts = settings.mdns.enabled
    ? new Adverts(
        { names: world.names, interfaces: () => world.datagrams.interfaces(), meter: world.meter },
        { interfaces, nodeName },
        self,
        heard,
      )
    : null
  const close = (closed: () => void) => {
    beacons?.stop()
    if (adverts === null) closed()
    else adverts.stop(closed)
  }
  if (identity.own === null) {
    beacons?.start()
    adverts?.start([])
  }
  setup.start((result) => {
    if (result instanceof HostError || result.state === 'waiting' || !result.founded) return close(() => done(result))
    // Fresh boxes that gave way to this one have yet to hear that there is a cluster now.
    founded = result.clusterId
    beacons?.announce()
    world.clock.after(ANNOUNCING_MS, 'cluster.setup.announce', () => close(() => done(result)))
  })
  return () => {
    setup.stop()
    close(() => {})
  }
}
