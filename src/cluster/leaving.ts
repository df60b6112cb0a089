// A box takes itself out of its cluster: its clients go elsewhere, what it alone holds is handed over, it forgets the
// cluster, says so, and is alone with a new identity. Nothing is revoked: it has nothing left to come back with.

import { HostError } from '../base/errors.ts'
import { type ClusterId, type NodeId, nodeId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { GoodbyeReason } from '../wire/link/frame.ts'
import { LISTENER_FILE } from './certificates.ts'
import type { ClusterBox } from './clusterbox.ts'
import { FILES, GAVE_UP_MAX, type Identity, type IdentityWorld, loadIdentity, nodeFile } from './identity.ts'
import type { KnownKeys } from './keys.ts'
import type { Memory } from './memory.ts'
import type { Presence } from './presence.ts'
import type { Revocations } from './revocations.ts'
import type { Together, Write } from './together.ts'

/** What is handed over by then is handed over. */
const HAND_OVER_MS = 10_000

export interface Left {
  readonly cluster: ClusterId
  /** The identity that this box has from now on. */
  readonly node: NodeId
}

export interface LeavingWorld extends IdentityWorld {
  readonly clock: Clock
  readonly log: Log
}

/** The cluster as one who leaves it sees it. */
export interface LeftCluster {
  readonly presence: Presence | null
  readonly keys: KnownKeys
  readonly memory: Memory
  readonly revocations: Revocations
  readonly together: Together
  become(identity: Identity, goodbye: GoodbyeReason): void
}

export class Leaving {
  readonly #world: LeavingWorld
  readonly #cluster: LeftCluster
  readonly #box: ClusterBox
  #under = false

  constructor(world: LeavingWorld, cluster: LeftCluster, box: ClusterBox) {
    this.#world = world
    this.#cluster = cluster
    this.#box = box
  }

  leave(done: (result: Left | HostError) => void): void {
    const { presence } = this.#cluster
    const cluster = presence?.cluster ?? null
    if (presence === null || cluster === null) return done(unavailable('this box is not a member of a cluster'))
    if (this.#under) return done(unavailable('this box is leaving already'))
    this.#under = true
    const ended = (result: Left | HostError) => {
      this.#under = false
      done(result)
    }
    presence.trust.bequeath((error) => {
      if (error !== null) return ended(error)
      // It has become another while it waited.
      if (this.#cluster.presence !== presence) return ended(unavailable('this box is not a member of a cluster'))
      this.#world.log.warn({ cluster }, 'this box leaves its cluster')
      // First: what clients still said is handed over with the rest.
      this.#box.drain?.()
      this.#handOver(() => this.#forget(cluster, ended))
    })
  }

  #handOver(then: () => void): void {
    if (this.#box.handOver === undefined) return then()
    let over = false
    const once = () => {
      if (over) return
      over = true
      timer.cancel()
      then()
    }
    const timer = this.#world.clock.after(HAND_OVER_MS, 'cluster.leave', once)
    this.#box.handOver(once)
  }

  #forget(cluster: ClusterId, done: (result: Left | HostError) => void): void {
    const before = loadIdentity(this.#world, this.#box)
    if (before instanceof HostError) return done(before)
    const node = nodeId(this.#world.random)
    this.#cluster.together.write(leftFiles(before, node, cluster), (error) => {
      if (error !== null) return done(error)
      const identity = loadIdentity(this.#world, this.#box)
      if (identity instanceof HostError) return done(identity)
      const { presence, keys, memory, revocations } = this.#cluster
      presence?.lettingIn.invites.clear()
      this.#cluster.become(identity, 'leaving')
      keys.clear()
      memory.clear()
      revocations.clear()
      done({ cluster, node })
    })
  }
}

/** Everything of the membership, and a new id; all of it at once. */
export function leftFiles(before: Identity, node: NodeId, cluster: ClusterId): readonly Write[] {
  const gaveUp = [...before.gaveUp.filter((each) => each !== cluster), cluster].slice(-GAVE_UP_MAX)
  const secrets: readonly string[] = [FILES.key, FILES.caKey, LISTENER_FILE]
  const emptied = [FILES.certificate, FILES.key, FILES.caCertificate, FILES.caKey, FILES.line, LISTENER_FILE]
  return [
    { ...nodeFile({ id: node, waitingFor: null, founded: false, gaveUp }), secret: false },
    ...emptied.map((name) => ({ name, text: '', secret: secrets.includes(name) })),
  ]
}

const unavailable = (words: string): HostError => new HostError('unavailable', words)
