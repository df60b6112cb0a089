// A client has connected here, and its session is at another box: claim, stop, head, own; the queue streams after.
//
//   claim --> owner (two heartbeats) --> backup --> nobody: it begins without
//               |                          |
//               '---- head: granted -------'----> queue ... end: whole
//
// The CONNECT is answered within 3 seconds whatever is broken. A session that takes longer to come goes on coming: its
// client is told to come again.

import type { ClientId, NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { Stamp } from '../../base/stamps.ts'
import type { Claim, Claimed, LocalSessions, SessionImport } from '../../broker/ports.ts'
import { encodeSession, type SessionMessage } from '../../wire/link/sessions.ts'
import type { Channel, FeatureWorld, Membership } from '../ports.ts'

/** The CONNECT is answered by then. */
const ANSWER_MS = 2800
/** The owner is given two heartbeats, and never so much that the backup has none left. */
export const OWNER_MS_MAX = 2000
/** Boxes that one claim is sent on to. */
const HOPS_MAX = 4

export interface TakeoverHome {
  local(): LocalSessions | null
  heartbeatMs(): number
  /** Makes a session of the copy that is held here; false: there is none of that account's. */
  fromCopy(clientId: ClientId, account: string | null): boolean
  /** The session is this node's now, by the CONNECT of that stamp. */
  owned(clientId: ClientId, epoch: Stamp, from: NodeId | null): void
  /** All of it is here. */
  whole(clientId: ClientId): void
}

interface Pending {
  readonly claim: Claim
  readonly epoch: Stamp
  readonly number: number
  readonly candidates: NodeId[]
  peer: NodeId | null
  sent: boolean
  hops: number
  taking: SessionImport | null
  /** Who was asked has the session, and cannot give it yet. */
  waits: boolean
  /** Null: its client is answered. */
  done: ((claimed: Claimed) => void) | null
  step: Timer | null
  readonly answer: Timer
  headHere: boolean
}

export class Takeover {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #channel: Channel
  readonly #home: TakeoverHome
  readonly #byNumber = new Map<number, Pending>()
  readonly #byClient = new Map<ClientId, Pending>()
  #number: number

  constructor(world: FeatureWorld, membership: Membership, channel: Channel, home: TakeoverHome) {
    this.#world = world
    this.#membership = membership
    this.#channel = channel
    this.#home = home
    this.#number = world.random.bytes(4).readUInt32BE(0)
  }

  /** 'asked': a session of the client is looked for; 'coming': it is here, and more of it is on its way. */
  stateOf(clientId: ClientId): 'none' | 'asked' | 'coming' {
    const pending = this.#byClient.get(clientId)
    return pending === undefined ? 'none' : pending.headHere ? 'coming' : 'asked'
  }

  /** Brings the session of the client from the first of `candidates` that has it. `spentMs`: its client waits so long. */
  bring(
    claim: Claim,
    epoch: Stamp,
    candidates: readonly NodeId[],
    done: (claimed: Claimed) => void,
    spentMs = 0,
  ): void {
    const { clock } = this.#world
    const number = (this.#number = (this.#number + 1) >>> 0)
    const pending: Pending = {
      ...{ claim, epoch, number, done },
      candidates: [...candidates],
      ...{ peer: null, sent: false, hops: 0, taking: null, waits: false, step: null, headHere: false },
      answer: clock.after(Math.max(0, ANSWER_MS - spentMs), 'takeover.answer', () => this.#late(pending)),
    }
    this.#byNumber.set(number, pending)
    this.#byClient.set(claim.clientId, pending)
    this.#next(pending)
  }

  linked(peer: NodeId): void {
    for (const pending of this.#byNumber.values()) if (pending.peer === peer && !pending.sent) this.#ask(pending)
  }

  unlinked(peer: NodeId): void {
    for (const pending of [...this.#byNumber.values()]) {
      if (pending.peer !== peer || !pending.sent) continue
      if (pending.headHere) this.#finish(pending)
      else this.#next(pending)
    }
  }

  /** The client of a session that is coming here waits at another box: what is left of it is to come at once. */
  hurry(clientId: ClientId): void {
    const pending = this.#byClient.get(clientId)
    if (pending === undefined || !pending.headHere) return
    this.#channel.send(pending.peer!, encodeSession({ kind: 'hurry', number: pending.number }))
  }

  /** An answer to a claim of ours. */
  received(peer: NodeId, message: SessionMessage & { kind: 'none' | 'records' | 'passed' | 'waits' }): void {
    const pending = this.#byNumber.get(message.number)
    if (pending === undefined || pending.peer !== peer) {
      // We have asked another meanwhile.
      if (message.kind !== 'records') return
      return void this.#channel.send(peer, encodeSession({ kind: 'stop', side: 'claim', number: message.number }))
    }
    if (message.kind === 'none') {
      const { elsewhere } = message
      if (elsewhere !== null && elsewhere !== this.#membership.self) pending.candidates.unshift(elsewhere)
      return this.#next(pending)
    }
    if (message.kind === 'waits') {
      pending.waits = true
      return pending.step?.cancel()
    }
    if (message.kind === 'passed') {
      pending.taking?.passed(message.member)
      return void this.#channel.send(peer, encodeSession({ kind: 'more', side: 'claim', number: pending.number }))
    }
    const local = this.#home.local()
    if (local === null) return
    pending.step?.cancel()
    pending.taking ??= local.take(peer, 'arriving')
    pending.taking.add(message.items)
    this.#channel.send(peer, encodeSession({ kind: 'more', side: 'claim', number: pending.number }))
    if (message.part === 'head-end') this.#head(pending)
    else if (message.part === 'end') this.#whole(pending)
  }

  stop(): void {
    for (const { step, answer } of this.#byNumber.values()) {
      step?.cancel()
      answer.cancel()
    }
  }

  #next(pending: Pending): void {
    const { claim, epoch, candidates, taking } = pending
    pending.step?.cancel()
    // What has come of a head that never came whole is nobody's.
    if (taking?.session) this.#home.local()?.drop(taking.session)
    pending.taking = null
    pending.waits = false
    const peer = pending.hops++ < HOPS_MAX ? candidates.shift() : undefined
    if (peer === undefined) return this.#finish(pending)
    if (peer === this.#membership.self) {
      if (!this.#home.fromCopy(claim.clientId, claim.account)) return this.#next(pending)
      this.#world.meter.count('sessions.from-copy')
      this.#home.owned(claim.clientId, epoch, null)
      return this.#finish(pending)
    }
    const member = this.#membership.member(peer)
    if (member === null || (!member.linked && (member.state === 'dead' || member.state === 'left'))) {
      return this.#next(pending)
    }
    pending.peer = peer
    pending.sent = false
    const waitMs = Math.min(OWNER_MS_MAX, 2 * this.#home.heartbeatMs())
    pending.step = this.#world.clock.after(waitMs, 'takeover.step', () => this.#next(pending))
    this.#ask(pending)
  }

  #ask(pending: Pending): void {
    const { number, epoch, claim } = pending
    const { clientId, account } = claim
    const bytes = encodeSession({ kind: 'claim', number, epoch, clientId, account })
    pending.sent = this.#channel.send(pending.peer!, bytes) === 'sent'
  }

  #head(pending: Pending): void {
    const { taking, claim, epoch, number, peer } = pending
    const session = taking?.session ?? null
    const local = this.#home.local()
    if (session === null || local === null) return this.#next(pending)
    pending.headHere = true
    this.#home.owned(claim.clientId, epoch, peer)
    this.#world.meter.count('sessions.taken-over')
    this.#answer(pending, epoch)
    local.whenRouted(session, () => {
      if (this.#byNumber.get(number) === pending) {
        this.#channel.send(peer!, encodeSession({ kind: 'routed', number }))
      }
    })
  }

  #whole(pending: Pending): void {
    const { number, peer } = pending
    if (!pending.headHere) return this.#next(pending)
    this.#channel.send(peer!, encodeSession({ kind: 'whole', side: 'claim', number }))
    this.#finish(pending)
  }

  /** Nothing more comes. */
  #finish(pending: Pending): void {
    const { taking, claim, number, step, answer } = pending
    step?.cancel()
    answer.cancel()
    this.#byNumber.delete(number)
    this.#byClient.delete(claim.clientId)
    if (taking !== null) {
      taking.end()
      this.#home.whole(claim.clientId)
    }
    this.#answer(pending, pending.epoch)
  }

  #answer(pending: Pending, claimed: Claimed): void {
    const { done } = pending
    pending.done = null
    done?.(claimed)
  }

  /** Time is up. What has begun to come goes on, or will; nobody has it: the client begins without. */
  #late(pending: Pending): void {
    if (pending.done === null) return
    this.#world.meter.count('sessions.late')
    if (pending.taking === null && !pending.waits) {
      pending.candidates.length = 0
      this.#next(pending)
    } else {
      this.#answer(pending, 'busy')
    }
  }
}
