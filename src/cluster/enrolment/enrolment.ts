// How this box comes into a cluster: by itself while it waits, or because people gave it a code or an address; a lone box
// that made its own cluster may leave that for another. Says for people what to type.

import type { HostError } from '../../base/errors.ts'
import type { ClusterId, InstanceId } from '../../base/ids.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import type { Sighting } from '../discovery/candidates.ts'
import type { ClusterSettings } from '../settings.ts'
import type { ClusterStatus, JoinOutcome, JoinRequest } from '../status.ts'
import type { Identity } from '../trust/identity.ts'
import type { Together } from '../trust/together.ts'
import { adoptionFiles } from './adoption.ts'
import { parseCode } from './codes.ts'
import { type JoinAnswer, Joining, type JoiningSelf, type JoiningWorld } from './joining.ts'
import type { Means } from './means.ts'

export interface EnrolmentWorld extends JoiningWorld {
  readonly together: Together
}

/** Where this box stands, asked at each use. */
export interface EnrolmentSelf {
  readonly identity: Identity
  readonly settings: ClusterSettings
  /** Null while it waits to be let in. */
  readonly cluster: ClusterId | null
  /** Has a cluster of its own that never had a second member. */
  readonly lone: boolean
  /** Made that cluster because it heard nobody. */
  readonly founded: boolean
  readonly instance: InstanceId
}

export class Enrolment {
  readonly #world: EnrolmentWorld
  readonly #self: () => EnrolmentSelf
  readonly #joining: Joining

  /** `joined`: everything of the new membership is on disk. */
  constructor(
    world: EnrolmentWorld,
    self: () => EnrolmentSelf,
    about: JoiningSelf['about'],
    joined: (to: Endpoint, gaveUp: ClusterId | null) => void,
  ) {
    this.#world = world
    this.#self = self
    this.#joining = new Joining(world, {
      greeter: () => {
        const { identity, instance, settings } = self()
        return { id: identity.id, instance, versions: settings.protocol, cluster: null, credentials: null }
      },
      about,
      password: () => self().settings.password,
      givesUp: () => self().cluster,
      asks: (cluster) => cluster === null || this.asks(cluster),
      peers: () => (self().cluster === null ? self().settings.peers : []),
      take: (admitted, done) => this.#take(admitted, done),
      joined: (_admitted, to) => joined(to, self().cluster),
    })
  }

  /** Whether this box asks that cluster by itself: while it waits, and as a lone box that would rather not be one. */
  asks(cluster: ClusterId): boolean {
    const { identity, settings, cluster: own, lone, founded } = this.#self()
    // One that this box has left it never asks by itself.
    if (identity.gaveUp.includes(cluster) && identity.waitingFor !== cluster) return false
    // The CA that lies here without its key says whom it waits for, too.
    const waitsFor = identity.authority?.clusterId ?? identity.waitingFor
    // Boxes that share a password form one cluster, whichever was heard first.
    const anyone = waitsFor === null || (settings.password !== null && identity.authority === null)
    if (own === null) return anyone || waitsFor === cluster
    return lone && own !== cluster && (founded || settings.password !== null)
  }

  /** Of two lone boxes that hear each other this one asks: both come to the same answer. */
  asksFirst(other: ClusterId): boolean {
    const own = this.#self().cluster
    return own !== null && own > other && this.asks(other)
  }

  heard(sighting: Sighting): void {
    this.#joining.heard(sighting)
  }

  /** Asks by itself from now on, where it may. */
  start(): void {
    this.#joining.start()
  }

  /** `cluster.password` is another. */
  again(): void {
    this.#joining.again()
  }

  stop(): void {
    this.#joining.stop()
  }

  /** A code, or an address to show words at. */
  join({ to, code, replaces }: JoinRequest, done: (outcome: JoinOutcome) => void): void {
    const { cluster, lone } = this.#self()
    if (cluster !== null && !lone) {
      const words = `this box is a member of cluster ${cluster} and has met others of it: first edge-mqtt cluster leave`
      return done({ linked: false, waiting: false, words })
    }
    let means: Means = { by: 'approval' }
    if (code !== null) {
      const read = parseCode(code)
      if (typeof read === 'string')
        return done({ linked: false, waiting: false, words: `the code is mistyped: ${read}` })
      means = { by: 'code', code: read }
    }
    this.#joining.byHand({ means, to, replaces: replaces ?? '' }, (answer) => done(this.#outcome(answer)))
  }

  /** What it shows to people now. */
  asking(): ClusterStatus['asking'] {
    const { view } = this.#joining
    return view.at === 'comparing' ? { address: endpointText(view.to), words: view.words } : null
  }

  /** What people must know of it; null: nothing. */
  problem(): string | null {
    const { view } = this.#joining
    const { cluster, identity } = this.#self()
    if (view.at === 'comparing') {
      const what = cluster === null ? 'to let this box in' : 'another cluster is here; to let this box into it'
      return `${what}, see on a member of it that its status shows "${view.words}" too, and type there: edge-mqtt cluster approve ${identity.id}`
    }
    return cluster !== null || this.#joining.why === '' ? null : `not let in yet: ${this.#joining.why}`
  }

  #outcome(answer: JoinAnswer): JoinOutcome {
    switch (answer.at) {
      case 'admitted':
        return {
          linked: true,
          waiting: false,
          words: `let in by ${endpointText(answer.to)}: a member of cluster ${answer.cluster} now`,
        }
      case 'comparing': {
        const words = `${endpointText(answer.to)} shows this box as waiting. Where it shows "${answer.words}" too, type: edge-mqtt cluster approve ${this.#self().identity.id}`
        return { linked: false, waiting: true, words }
      }
      case 'refused':
        return { linked: false, waiting: false, words: answer.why }
    }
  }

  #take(admitted: Parameters<JoiningSelf['take']>[0], done: (error: HostError | null) => void): void {
    const { identity, cluster } = this.#self()
    const left = cluster ?? identity.authority?.clusterId ?? null
    const before = { gaveUp: left === admitted.cluster ? null : left, gaveUpBefore: identity.gaveUp }
    this.#world.together.write(adoptionFiles(admitted, before), done)
  }
}
