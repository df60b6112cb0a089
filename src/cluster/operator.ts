// What people ask of the cluster by commands, at this box.

import { HostError } from '../base/errors.ts'
import type { NodeId } from '../base/ids.ts'
import type { Enrolment } from './enrolment/enrolment.ts'
import type { InviteWish, ListedInvite, MadeInvite } from './enrolment/invites.ts'
import { joinOutcome } from './enrolment/joinoutcome.ts'
import type { Heal, Heals } from './heals.ts'
import type { Leaving, Left } from './leaving.ts'
import type { Presence } from './presence.ts'
import type { JoinOutcome, JoinRequest, WaitingStatus } from './status.ts'
import type { ClusterTime } from './time/clustertime.ts'
import type { Issuing } from './trust/issuing.ts'
import type { TrustLife } from './trust/trustlife.ts'

const OFF = 'the cluster is switched off (cluster.enabled)'

export interface OperatedCluster {
  /** Null: the cluster is switched off. */
  readonly presence: Presence | null
  readonly enrolment: Enrolment
  readonly heals: Heals
  /** Has a cluster of its own that never had a second member. */
  lone(): boolean
  /** People have said what they want, so first setup does not go on by itself; returns what lets it go on. */
  interruptSetup(): () => void
}

export class Operator {
  readonly time: ClusterTime
  readonly #cluster: OperatedCluster
  readonly #leaving: Leaving

  constructor(cluster: OperatedCluster, leaving: Leaving, time: ClusterTime) {
    this.#cluster = cluster
    this.#leaving = leaving
    this.time = time
  }

  /** Looks for a member at an address, or asks to be let in; `done` gets what became of the first attempt. */
  join(request: JoinRequest, done: (outcome: JoinOutcome) => void): void {
    const { to, code } = request
    const { presence, enrolment } = this.#cluster
    if (presence === null) return done({ linked: false, waiting: false, words: OFF })
    if (code !== null || to === null || presence.cluster === null) {
      const resume = this.#cluster.interruptSetup()
      return enrolment.join(request, (outcome) => {
        if (!outcome.linked && !outcome.waiting) resume()
        done(outcome)
      })
    }
    const name = (node: NodeId) => presence.members.get(node)?.name ?? node
    presence.candidates.tryNow(to, (outcome) => {
      if (outcome.at === 'foreign' && this.#cluster.lone()) enrolment.join(request, done)
      else done(joinOutcome(outcome, to, name))
    })
  }

  /** Makes a code that lets boxes in. */
  invite(wish: InviteWish): MadeInvite | HostError {
    return this.#cluster.presence?.lettingIn.invite(wish) ?? new HostError('unavailable', OFF)
  }

  /** Codes that were made, on whichever box. */
  invites(): readonly ListedInvite[] | HostError {
    return this.#cluster.presence?.lettingIn.invites.list() ?? new HostError('unavailable', OFF)
  }

  /** Ends a code that nobody is to use any more. */
  revokeInvite(id: string): ListedInvite | HostError {
    return this.#cluster.presence?.lettingIn.invites.revoke(id) ?? new HostError('unavailable', OFF)
  }

  /** People have compared the words of a waiting box. */
  approve(wanted: string, done: (result: WaitingStatus | HostError) => void): void {
    const { presence } = this.#cluster
    if (presence === null) done(new HostError('unavailable', OFF))
    else presence.lettingIn.waiting.approve(wanted, done)
  }

  /** Takes this box out of its cluster; `done` gets the cluster that it has left. */
  leave(done: (result: Left | HostError) => void): void {
    if (this.#cluster.presence === null) done(new HostError('unavailable', OFF))
    else this.#leaving.leave(done)
  }

  /** When this box and others had been apart, and what was put right since. */
  heals(): readonly Heal[] {
    return this.#cluster.heals.rows()
  }

  /** The CA, its key, and who is a member no more. */
  trust(): TrustLife | HostError {
    return this.#cluster.presence?.trust ?? new HostError('unavailable', OFF)
  }

  /** Has a certificate for a listener or a device signed, here or by a member that has the CA's key. */
  sign(...[subject, publicKey, done]: Parameters<Issuing['service']>): void {
    const { presence } = this.#cluster
    if (presence === null) done(new HostError('unavailable', OFF))
    else presence.trust.issuing.service(subject, publicKey, done)
  }
}
