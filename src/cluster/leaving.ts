// A box takes itself out of its cluster: its clients go elsewhere, what it alone holds is handed over, it forgets the
// cluster, says so, and is alone with a new identity. Nothing is revoked: it has nothing left to come back with.

import { HostError } from '../base/errors.ts'
import { type ClusterId, type NodeId, nodeId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { LocalSessions } from '../broker/ports.ts'
import type { GoodbyeReason } from '../wire/link/frame.ts'
import type { ClusterBox } from './clusterbox.ts'
import type { Memory } from './discovery/memory.ts'
import type { Presence } from './presence.ts'
import { type GivenAway, GivingAway } from './sessions/givingaway.ts'
import { LISTENER_FILE } from './trust/certificates.ts'
import { FILES, GAVE_UP_MAX, type Identity, type IdentityWorld, loadIdentity, nodeFile } from './trust/identity.ts'
import type { KnownKeys } from './trust/keys.ts'
import type { Revocations } from './trust/revocations.ts'
import type { Together, Write } from './trust/together.ts'

/** What is at others by then is at others. */
const GIVE_AWAY_MS = 10_000
const NOTHING: GivenAway = { given: 0, kept: 0 }

export interface Left {
  readonly cluster: ClusterId
  /** The identity that this box has from now on. */
  readonly node: NodeId
  /** Sessions that other boxes go on with, and those that only this box has. */
  readonly sessions: GivenAway
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
  /** The broker's sessions, once there is a broker. */
  readonly seam: { readonly local: LocalSessions | null }
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
      const giving = this.#givingAway(presence)
      const leave = (sessions: GivenAway) =>
        this.#handOver(() => {
          this.#forget(cluster, sessions, (result) => {
            if (!(result instanceof HostError)) giving?.forget()
            ended(result)
          })
        })
      if (giving === null) leave(NOTHING)
      else giving.give(GIVE_AWAY_MS, leave)
    })
  }

  #givingAway({ copies, sessions }: Presence): GivingAway | null {
    const { local } = this.#cluster.seam
    if (local === null) return null
    return new GivingAway(this.#world.clock, local, copies, sessions)
  }

  /** What clients and members have said until now, in the copies as well. */
  #handOver(then: () => void): void {
    if (this.#box.handOver === undefined) then()
    else this.#box.handOver(then)
  }

  #forget(cluster: ClusterId, sessions: GivenAway, done: (result: Left | HostError) => void): void {
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
      done({ cluster, node, sessions })
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
