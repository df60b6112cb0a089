// Replaces the CA under a running cluster.
//
//   rotate here -> new CA, signed by the one before -> own certificate -> the members are told what we stand on
//   a member stands behind us -> it is offered our CA -> judges it, has a certificate signed, takes both, tells so
//
// Links stay: who is at their other end was proven. New handshakes show the new certificates, and for 90 days a box that
// was away is believed by the CA before, and believes us by the signature of that.

import { HostError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { CertificateAuthority, Trust } from '../../base/ports/trust.ts'
import { EARLIER_MAX, type Offer } from '../../wire/link/authority.ts'
import { Awaiting } from '../awaiting.ts'
import type { FeatureWorld } from '../ports.ts'
import { type Before, type Custody, caOf, type DatedTime, GRACE_MS, type Papers } from './custody.ts'
import { Heir } from './heir.ts'
import type { Issuing } from './issuing.ts'
import type { AuthorityLine } from './keyholding.ts'
import { type Believed, isLater, judgeOffer, type Place } from './offered.ts'

/** A CA that was replaced is believed for so long, by cluster time. */
export const EARLIER_MS = 90 * 86_400_000
/** How long a rotation waits for the linked members. */
const CONFIRM_MS = 10_000
/** A new certificate is asked for again so often, while nobody who could sign it is linked. */
const AGAIN_MS = 5000
/** People are told when that goes on for longer. */
const STUCK_MS = 60_000

export interface RotationWorld extends FeatureWorld {
  readonly time: DatedTime
  readonly trust: Pick<Trust, 'makeAuthority' | 'crossSign' | 'issue' | 'publicKey' | 'read' | 'signedBy' | 'matches'>
}

export interface Rotated {
  readonly generation: number
  readonly fingerprint: string
  readonly compromised: boolean
  /** Linked members that stand on the new CA. */
  readonly confirmed: readonly NodeId[]
  /** Linked members that do not yet. */
  readonly missing: readonly NodeId[]
}

export interface RotationHooks {
  /** This box is about to replace the CA. */
  replacing(): void
  /** Who is to have the key of the next CA, too; null: nobody is there. */
  heir(): NodeId | null
  /** Ends the link with a member whose CA is believed no more. */
  close(peer: NodeId): void
}

type Done = (result: Rotated | HostError) => void

interface Pending extends Believed {
  readonly offer: Offer
}

export class Rotation {
  readonly #world: RotationWorld
  readonly #line: AuthorityLine
  readonly #self: NodeId
  readonly #custody: Custody
  readonly #issuing: Issuing
  readonly #hooks: RotationHooks
  readonly #awaiting: Awaiting
  #rotating = false
  /** A CA that is to replace ours as soon as there is a certificate by it. */
  #pending: Pending | null = null
  #taking = false
  #again: Timer | null = null
  /** Since when nobody signs a certificate by the pending CA; null: it was not asked for in vain. */
  #stuckMs: number | null = null
  readonly #heir: Heir
  /** Why the member that was asked to replace the CA will not. */
  #refusal: string | null = null

  constructor(
    world: RotationWorld,
    line: AuthorityLine,
    self: NodeId,
    custody: Custody,
    issuing: Issuing,
    hooks: RotationHooks,
  ) {
    this.#world = world
    this.#line = line
    this.#self = self
    this.#custody = custody
    this.#issuing = issuing
    this.#hooks = hooks
    this.#awaiting = new Awaiting(world.clock, CONFIRM_MS, 'trust.rotate')
    this.#heir = new Heir(world.clock, {
      choose: () => hooks.heir(),
      linked: (id) => line.peers().includes(id),
      hasKey: (id, authority) => {
        const stands = issuing.stands(id)
        return stands?.hasKey === true && stands.authority === authority
      },
      changed: () => {
        if (custody.papers !== null) this.changed(custody.papers)
      },
    })
  }

  /** Replaces the CA. `done` gets which of the linked members stand on the new one, within 10 s. */
  rotate(compromised: boolean, done: Done): void {
    const { papers } = this.#custody
    if (papers === null) return done(unavailable('this box is not a member of a cluster yet'))
    if (this.#rotating || this.#custody.strict) {
      return done(unavailable('the CA is being replaced already: try again in a minute'))
    }
    this.#rotating = true
    const ended: Done = (result) => {
      this.#rotating = false
      done(result)
    }
    const ca = caOf(papers.authority)
    if (ca === null) return this.#delegate(compromised, papers, ended)
    this.#make(ca, papers, compromised, (error) => {
      if (error !== null) return ended(error)
      const { generation } = this.#custody.papers!
      this.#world.log.warn({ compromised, generation }, 'the CA of the cluster was replaced')
      this.#report(compromised, ended)
    })
  }

  /** A member asks us to, because we have the key. Never passed on: it has chosen somebody who has it. */
  asked(peer: NodeId, compromised: boolean): void {
    this.#world.log.warn({ peer, compromised }, 'a member asks for another CA')
    const refuse = (words: string) => this.#line.send(peer, { kind: 'refused', words })
    if (this.#custody.standing().ca === null) return refuse('the key of the CA is not on this box')
    this.rotate(compromised, (result) => {
      if (result instanceof HostError) refuse(result.message)
    })
  }

  refused(words: string): void {
    this.#refusal = words
    this.#awaiting.look()
  }

  /** A member offers another CA. Throws PeerError. */
  offered(peer: NodeId, offer: Offer): void {
    const { papers } = this.#custody
    if (papers === null) return
    const anchors = [papers.authority, ...this.#custody.earlier()].map(({ certificate }) => certificate)
    const { clusterId } = papers.authority
    const believed = judgeOffer(this.#world.trust, offer, { clusterId, generation: papers.generation, anchors })
    const { generation, compromised } = offer
    const { fingerprint } = believed
    const than = this.#pending === null ? this.#place(papers) : placeOf(this.#pending)
    if (!isLater({ generation, authority: fingerprint }, than)) return
    this.#world.log.warn(
      { peer, generation, compromised, fingerprint },
      'a member offers another CA in the place of ours',
    )
    this.#pending = { ...believed, offer }
    this.#take()
  }

  /** A member is linked, went, or has said what it stands on. */
  look(member: NodeId): void {
    const { papers } = this.#custody
    if (papers === null) return
    const stands = this.#issuing.stands(member)
    if (stands !== null && isLater(this.#place(papers), stands)) this.#offer(member, papers)
    this.#heir.look()
    this.#take()
    this.#awaiting.look()
  }

  /** Our papers are others: who stands behind is offered them, and whose CA is believed no more is a member no more. */
  changed(papers: Papers): void {
    const ours = this.#place(papers)
    const believed = new Set(
      [papers.authority, ...this.#custody.earlier()].map(({ certificate }) => this.#read(certificate)),
    )
    for (const peer of this.#line.peers()) {
      const stands = this.#issuing.stands(peer)
      if (stands === null || !isLater(ours, stands)) continue
      if (believed.has(stands.authority)) this.#offer(peer, papers)
      else this.#hooks.close(peer)
    }
    this.#awaiting.look()
  }

  /** For people; null: nothing is wrong. */
  problem(): string | null {
    const stuck = this.#pending !== null && this.#stuckMs !== null
    return stuck && this.#world.clock.now() - this.#stuckMs! >= STUCK_MS ? STUCK : null
  }

  /** This identity ends. */
  stop(): void {
    this.#again?.cancel()
    this.#heir.stop()
    this.#pending = null
    this.#awaiting.stop()
  }

  #place({ generation, authority }: Papers): Place {
    return { generation, authority: authority.fingerprint }
  }

  #read(certificate: string): string {
    const facts = this.#world.trust.read(certificate)
    return facts instanceof HostError || facts.kind !== 'ca' ? '' : facts.fingerprint
  }

  // A rotation that begins here:

  #make(ca: CertificateAuthority, papers: Papers, compromised: boolean, done: (error: HostError | null) => void): void {
    const { trust } = this.#world
    const { authority, own } = papers
    const publicKey = trust.publicKey(own.privateKey)
    if (publicKey instanceof HostError) return done(publicKey)
    trust.makeAuthority(authority.clusterId, (next) => {
      if (next instanceof HostError) return done(next)
      trust.crossSign(ca, next.certificate, (cross) => {
        if (cross instanceof HostError) return done(cross)
        trust.issue(next, this.#self, publicKey, (certificate) => {
          if (certificate instanceof HostError) return done(certificate)
          if (this.#custody.papers?.authority.fingerprint !== authority.fingerprint || this.#taking) {
            return done(unavailable('another box has replaced the CA meanwhile'))
          }
          const fingerprint = this.#read(next.certificate)
          this.#hooks.replacing()
          this.#heir.begin(fingerprint)
          const before = { certificate: authority.certificate, cross }
          const untilMs = this.#world.time.now() + EARLIER_MS
          const renewed: Papers = {
            own: { certificate, privateKey: own.privateKey },
            authority: { ...next, clusterId: authority.clusterId, fingerprint },
            generation: 1 + Math.max(papers.generation, this.#pending?.offer.generation ?? 0),
            earlier: compromised ? [] : [{ ...before, untilMs }, ...papers.earlier].slice(0, EARLIER_MAX),
            sealed: papers.sealed,
            holders: [],
          }
          // What is offered meanwhile is judged by what this box stands on then.
          this.#taking = true
          const adopted = (error: HostError | null) => {
            this.#taking = false
            done(error)
            this.#take()
          }
          this.#custody.adopt(renewed, adopted, compromised ? before : null)
        })
      })
    })
  }

  /** Somebody linked who has the key is asked; what comes of it is seen by the CA that this box is offered then. */
  #delegate(compromised: boolean, papers: Papers, done: Done): void {
    const { fingerprint } = papers.authority
    const linked = new Set(this.#line.peers())
    const holder = this.#issuing.holders(fingerprint).find((id) => linked.has(id))
    if (holder === undefined) {
      return done(unavailable('the key of the CA is not on this box, and no member that has it is linked'))
    }
    this.#refusal = null
    this.#line.send(holder, { kind: 'rotate', compromised })
    const replaced = () => this.#custody.papers?.authority.fingerprint !== fingerprint
    this.#awaiting.until(
      () => this.#refusal !== null || replaced(),
      () => {
        if (replaced()) return this.#report(compromised, done)
        done(unavailable(this.#refusal ?? `member ${holder} has the key of the CA and has not replaced it`))
      },
    )
  }

  #report(compromised: boolean, done: Done): void {
    const { authority, generation } = this.#custody.papers!
    const stands = (id: NodeId) => this.#issuing.stands(id)?.authority === authority.fingerprint
    this.#awaiting.until(
      () => this.#line.peers().every(stands),
      () => {
        const peers = this.#line.peers()
        const [confirmed, missing] = [peers.filter(stands), peers.filter((id) => !stands(id))]
        done({ generation, fingerprint: authority.fingerprint, compromised, confirmed, missing })
      },
    )
  }

  #offer(peer: NodeId, papers: Papers): void {
    const heir = this.#heir.id
    if (heir !== null && heir !== peer) return
    const privateKey = heir === null ? null : papers.authority.privateKey
    const compromised = this.#custody.strict
    const nowMs = this.#world.time.now()
    const earlier = compromised
      ? this.#custody.earlier().map((each) => ({ ...each, leftMs: GRACE_MS }))
      : papers.earlier.map(({ certificate, cross, untilMs }) => ({
          certificate,
          cross,
          leftMs: leftMs(untilMs - nowMs),
        }))
    const { generation, authority } = papers
    const { certificate } = authority
    this.#line.send(peer, { kind: 'offer', generation, compromised, certificate, earlier, privateKey })
  }

  // A rotation that began elsewhere:

  /** Has a certificate signed by the pending CA, and takes over both. */
  #take(): void {
    const pending = this.#pending
    const { papers } = this.#custody
    if (pending === null || papers === null || this.#taking) return
    if (!isLater(placeOf(pending), this.#place(papers))) {
      this.#pending = null
      this.#stuckMs = null
      return
    }
    const { offer, fingerprint } = pending
    if (fingerprint === papers.authority.fingerprint) return this.#takeOver(papers.own.certificate, pending, papers)
    const publicKey = this.#world.trust.publicKey(papers.own.privateKey)
    if (publicKey instanceof HostError) return this.#failed(publicKey)
    this.#taking = true
    const by = { certificate: offer.certificate, fingerprint }
    this.#issuing.own(
      publicKey,
      (issued) => {
        this.#taking = false
        if (this.#pending !== pending) return this.#take()
        if (issued instanceof HostError) return this.#failed(issued)
        if (this.#world.trust.matches(issued.certificate, papers.own.privateKey) !== true) {
          return this.#failed(unavailable('a certificate for another key was signed'))
        }
        this.#takeOver(issued.certificate, pending, papers)
      },
      by,
    )
  }

  #takeOver(certificate: string, { offer, fingerprint, earlier }: Pending, papers: Papers): void {
    const { generation, compromised } = offer
    const { clusterId } = papers.authority
    const given = offer.privateKey
    const privateKey = given !== null && this.#world.trust.matches(offer.certificate, given) === true ? given : null
    const next = { certificate: offer.certificate, privateKey, clusterId, fingerprint }
    const nowMs = this.#world.time.now()
    const untilMs = (of: string, left: number) =>
      papers.earlier.find((each) => each.certificate === of)?.untilMs ?? nowMs + leftMs(left)
    const renewed: Papers = {
      own: { certificate, privateKey: papers.own.privateKey },
      authority: fingerprint === papers.authority.fingerprint ? papers.authority : next,
      generation,
      earlier: compromised
        ? []
        : earlier.map((each) => {
            return { certificate: each.certificate, cross: each.cross, untilMs: untilMs(each.certificate, each.leftMs) }
          }),
      sealed: papers.sealed,
      holders: [],
    }
    const before: Before | null = compromised ? (earlier[0] ?? null) : null
    this.#taking = true
    this.#custody.adopt(
      renewed,
      (error) => {
        this.#taking = false
        if (error !== null) return this.#failed(error)
        this.#stuckMs = null
        this.#world.log.warn({ generation, fingerprint }, 'this box stands on another CA now')
        this.#take()
      },
      before,
    )
  }

  #failed(error: HostError): void {
    this.#world.log.warn({ why: error.message }, 'no certificate of the new CA yet')
    this.#stuckMs ??= this.#world.clock.now()
    this.#again?.cancel()
    this.#again = this.#world.clock.after(AGAIN_MS, 'trust.again', () => this.#take())
  }
}

const STUCK =
  'the CA was replaced, and no box that is linked has the key of the new one: switch on the box that has it; when that is ' +
  'gone for good, "edge-mqtt ca rotate" on this box makes another CA'

const placeOf = ({ offer, fingerprint }: Pending): Place => ({ generation: offer.generation, authority: fingerprint })

/** What a member says is left of an earlier CA's time, within bounds. */
const leftMs = (ms: number): number => Math.max(0, Math.min(EARLIER_MS, Math.round(ms)))

const unavailable = (words: string): HostError => new HostError('unavailable', words)
