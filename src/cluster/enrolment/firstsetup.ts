// First setup without a daemon (`edge-mqtt setup`): listens, and is heard by other fresh boxes, but serves nothing yet.

import { HostError } from '../../base/errors.ts'
import { type ClusterId, instanceId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Datagrams } from '../../base/ports/datagrams.ts'
import type { Names } from '../../base/ports/names.ts'
import type { Streams } from '../../base/ports/streams.ts'
import { Announcing } from '../discovery/announcing.ts'
import type { Announced } from '../discovery/beacons.ts'
import type { Sighting } from '../discovery/candidates.ts'
import type { ClusterSettings } from '../settings.ts'
import type { JoinRequest } from '../status.ts'
import { type Box, type Identity, loadIdentity } from '../trust/identity.ts'
import { Setup, type SetupResult, type SetupWorld } from '../trust/setup.ts'
import { Together } from '../trust/together.ts'
import { Enrolment } from './enrolment.ts'

export interface FirstSetupWorld extends SetupWorld {
  readonly datagrams: Datagrams
  readonly names: Names
  readonly streams: Streams
  readonly meter: Meter
}

type Done = (result: SetupResult | HostError) => void

/** A beacon may have to wait for a second behind the last one. */
const ANNOUNCING_MS = 1500

/**
 * `done` is called once, when everything that was opened is closed again. Returns a function that gives up. `request`:
 * people have a code, so this box joins with it or does nothing.
 */
export function setUpAlone(
  world: FirstSetupWorld,
  settings: ClusterSettings,
  box: Box,
  done: Done,
  request: JoinRequest | null = null,
): () => void {
  const identity = loadIdentity(world, box)
  if (identity instanceof HostError) {
    done(identity)
    return () => {}
  }
  const wrong = request === null ? null : cannotJoin(identity)
  if (wrong !== null) {
    done(wrong)
    return () => {}
  }
  const instance = instanceId(world.random, world.clock.wall())
  let founded: ClusterId | null = null
  let hear: (sighting: Sighting) => void = () => {}
  // Port zero: nobody listens for links yet.
  const self: Announced = { instance, id: () => identity.id, cluster: () => founded, port: () => 0 }
  const announcing = new Announcing(
    world,
    settings,
    self,
    () => [],
    (sighting) => hear(sighting),
  )
  const close = (result: SetupResult | HostError) => announcing.stop(() => done(result))
  if (identity.own === null) announcing.start()
  if (request !== null) {
    const enrolment = enrol(world, settings, box, { identity, instance }, close)
    hear = (sighting) => enrolment.heard(sighting)
    enrolment.join(request, ({ linked, words }) => {
      if (linked) return
      enrolment.stop()
      close(new HostError('unavailable', words))
    })
    return () => {
      enrolment.stop()
      announcing.stop(() => {})
    }
  }
  const setup = new Setup(world, identity, { instance, newCluster: settings.newCluster })
  hear = (sighting) => setup.heard(sighting)
  setup.start((result) => {
    if (result instanceof HostError || result.state === 'waiting' || !result.founded) return close(result)
    // Fresh boxes that gave way to this one have yet to hear that there is a cluster now.
    founded = result.clusterId
    announcing.announce()
    world.clock.after(ANNOUNCING_MS, 'cluster.setup.announce', () => close(result))
  })
  return () => {
    setup.stop()
    announcing.stop(() => {})
  }
}

function cannotJoin({ own, authority }: Identity): HostError | null {
  if (own !== null) {
    return new HostError('invalid', 'this box is a member already: edge-mqtt cluster join --code CODE, while it runs')
  }
  if (authority === null || authority.privateKey === null) return null
  return new HostError(
    'invalid',
    'certs/ has a CA, which makes this box a member by itself: take it away, or use no code',
  )
}

function enrol(
  world: FirstSetupWorld,
  settings: ClusterSettings,
  box: Box,
  { identity, instance }: Pick<Announced, 'instance'> & { readonly identity: Identity },
  done: Done,
): Enrolment {
  const { nodeName, version, port } = settings
  const joined = () => {
    const now = loadIdentity(world, box)
    if (now instanceof HostError) return done(now)
    new Setup(world, now, { instance, newCluster: false }).start(done)
  }
  return new Enrolment(
    { ...world, together: new Together(world.files) },
    () => ({ identity, settings, instance, cluster: null, lone: false, founded: false }),
    () => ({ clusterPort: port, endpoints: [], name: nodeName, version }),
    joined,
  )
}
