// Certificates from whoever has the key of the CA: signed here when this box has it, else by a linked member that does,
// over the channel `issue`. One request is under way to a member at a time, and one of each member here.

import { HostError, PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { CertificateAuthority, ServiceIssuer, ServiceSubject, Trust } from '../../base/ports/trust.ts'
import {
  decodeIssue,
  encodeIssue,
  ISSUE_BYTES_MAX,
  type IssueMessage,
  type IssueWish,
  type Stands,
} from '../../wire/link/issue.ts'
import type { Channel, Channels, FeatureWorld, Membership } from '../ports.ts'
import type { KnownKeys } from './keys.ts'

/** A slow box signs within a fraction of a second; one that takes longer is asked no more. */
const ANSWER_MS = 10_000
/** Requests of this box that wait for each other; more are a mistake somewhere. */
const WAITING_MAX = 32
/** 825 days (CLUSTER 2): what a member asks for that a browser would not take anyway. */
export const SERVICE_LIFE_MAX_MS = 825 * 86_400_000
const OPTIONS = { priority: 'normal', queueBytes: 256 * KiB, messageBytes: ISSUE_BYTES_MAX } as const

export interface IssuingWorld extends FeatureWorld {
  readonly trust: Pick<Trust, 'issue' | 'read' | 'signedBy'>
  /** Null: this build of a node makes certificates for nodes only (the simulator's). */
  readonly issuer: ServiceIssuer | null
}

/** What this box stands on; asked at each use, since a rotation replaces it. */
export interface Standing {
  /** The CA in use; null: not a member yet. */
  readonly authority: { readonly certificate: string; readonly fingerprint: string } | null
  /** The CA with its key; null: this box does not have it. */
  readonly ca: CertificateAuthority | null
  readonly generation: number
  readonly inBundle: boolean
}

export interface Issued {
  readonly certificate: string
  /** The certificate of the CA that signed it. */
  readonly authority: string
}

type Done = (result: Issued | HostError) => void

interface Job {
  readonly wish: IssueWish
  readonly done: Done
  /** The CA that is to sign; null: the one in use. */
  readonly by: { readonly certificate: string; readonly fingerprint: string } | null
  readonly tried: Set<NodeId>
  /** What the last one who was asked said. */
  words: string
}

interface Asked {
  readonly number: number
  readonly job: Job
  readonly authority: string
  readonly timer: Timer
}

export class Issuing {
  readonly #world: IssuingWorld
  readonly #membership: Membership
  readonly #keys: KnownKeys
  readonly #standing: () => Standing
  readonly #name: (member: NodeId) => string
  readonly #refuse: (node: NodeId) => boolean
  readonly #channel: Channel
  /** What each linked member, or one that was, said last: whose key it has. */
  readonly #stands = new Map<NodeId, Stands>()
  readonly #asked = new Map<NodeId, Asked>()
  readonly #serving = new Set<NodeId>()
  readonly #waiting: Job[] = []
  #number = 0
  #pumping = false
  /** Told when a member has said what it stands on, or has left. */
  onStands: (member: NodeId) => void = () => {}

  constructor(
    world: IssuingWorld,
    channels: Channels,
    membership: Membership,
    keys: KnownKeys,
    options: {
      standing(): Standing
      /** For people. */
      name(member: NodeId): string
      /** Whether nobody is ever to get a certificate for this id: it was removed. */
      removed(node: NodeId): boolean
    },
  ) {
    this.#world = world
    this.#membership = membership
    this.#keys = keys
    this.#standing = options.standing
    this.#name = options.name
    this.#refuse = options.removed
    this.#channel = channels.open('issue', OPTIONS, {
      linked: (peer) => this.#linked(peer),
      unlinked: (peer) => this.#unlinked(peer),
      received: (peer, message) => this.#received(peer, message),
    })
    membership.onChange(({ id, state }) => {
      if (state === 'left' && this.#stands.delete(id)) this.onStands(id)
    })
  }

  /** This box's own certificate, by the CA in use or by another that replaces it. */
  own(publicKey: string, done: Done, by: Job['by'] = null): void {
    this.#ask({ what: 'own', publicKey }, by, done)
  }

  /** The certificate of a box that this one has let in: by a code, a password or an approval. */
  letIn(node: NodeId, publicKey: string, done: Done): void {
    this.#ask({ what: 'let in', node, publicKey }, null, done)
  }

  /** For a listener or a device. */
  service(subject: ServiceSubject, publicKey: string, done: Done): void {
    this.#ask({ what: 'service', subject, publicKey }, null, done)
  }

  /** The members known to have the key of the CA with this fingerprint, linked or not; this box is not among them. */
  holders(authority: string): readonly NodeId[] {
    const found = [...this.#stands].filter(([, stands]) => stands.hasKey && stands.authority === authority)
    return found.map(([id]) => id).sort()
  }

  /** What a member stands on, as far as it has told. */
  stands(member: NodeId): Stands | null {
    return this.#stands.get(member) ?? null
  }

  /** This box stands on another CA than before, or has its key, or no longer: the members are told. */
  announce(): void {
    for (const peer of this.#channel.peers()) this.#tell(peer)
    this.#pumpSoon()
  }

  /** This identity ends: whoever waits hears so. */
  stop(): void {
    const jobs = this.#waiting.splice(0)
    for (const { timer, job } of this.#asked.values()) {
      timer.cancel()
      jobs.push(job)
    }
    this.#asked.clear()
    for (const { done } of jobs) done(new HostError('unavailable', 'stopped'))
  }

  // Asking:

  #ask(wish: IssueWish, by: Job['by'], done: Done): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#world.meter.count('issue.refused.waiting')
      return done(new HostError('unavailable', 'too many certificates are asked for at once: try again'))
    }
    this.#waiting.push({ wish, by, done, tried: new Set(), words: '' })
    this.#pumpSoon()
  }

  #pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#world.clock.soon(() => {
      this.#pumping = false
      for (let left = this.#waiting.length; left > 0; left--) {
        const job = this.#waiting.shift()!
        if (this.#begin(job) === 'busy') this.#waiting.push(job)
      }
    })
  }

  /** 'busy': whoever could has another request of ours. */
  #begin(job: Job): 'begun' | 'busy' {
    const { authority, ca } = this.#standing()
    const by = job.by ?? authority
    if (by === null) {
      job.done(new HostError('unavailable', 'this box is not a member of a cluster yet'))
      return 'begun'
    }
    if (ca !== null && ca.certificate === by.certificate) {
      this.#sign(ca, this.#membership.self, job.wish, (result) =>
        job.done(result instanceof HostError ? result : { certificate: result, authority: ca.certificate }),
      )
      return 'begun'
    }
    const peers = new Set(this.#channel.peers())
    const able = this.holders(by.fingerprint).filter((id) => peers.has(id) && !job.tried.has(id))
    const free = able.find((id) => !this.#asked.has(id))
    if (free !== undefined) {
      this.#send(free, job, by.certificate)
      return 'begun'
    }
    if (able.length > 0) return 'busy'
    job.done(new HostError('unavailable', this.#nobody(by.fingerprint, job.words)))
    return 'begun'
  }

  #nobody(authority: string, words: string): string {
    if (words !== '') return words
    const known = this.holders(authority).map((id) => `${this.#name(id)} (${id})`)
    const who = known.length === 0 ? 'no member that this box knows has it' : `it is on ${known.join(' and ')}`
    return `the key of the cluster's CA is needed and not on this box; ${who}, and none of them is linked`
  }

  #send(peer: NodeId, job: Job, authority: string): void {
    const number = (this.#number = (this.#number + 1) % 0x1_0000_0000)
    job.tried.add(peer)
    const timer = this.#world.clock.after(ANSWER_MS, 'issue.answer', () => {
      this.#failed(peer, number, `${this.#name(peer)} has the key of the CA and did not answer`)
    })
    this.#asked.set(peer, { number, job, authority, timer })
    const sent = this.#channel.send(peer, encodeIssue({ kind: 'request', number, wish: job.wish }))
    if (sent !== 'sent')
      this.#failed(peer, number, `${this.#name(peer)} has the key of the CA and takes no request now`)
  }

  #settled(peer: NodeId, number: number): Asked | null {
    const asked = this.#asked.get(peer)
    if (asked?.number !== number) return null
    asked.timer.cancel()
    this.#asked.delete(peer)
    this.#pumpSoon()
    return asked
  }

  /** The next one who could is asked, if there is one. */
  #failed(peer: NodeId, number: number, words: string): void {
    const asked = this.#settled(peer, number)
    if (asked === null) return
    asked.job.words = words
    this.#waiting.push(asked.job)
  }

  #issued(peer: NodeId, number: number, certificate: string): void {
    const asked = this.#settled(peer, number)
    if (asked === null) return
    const { job, authority } = asked
    if (!this.#world.trust.signedBy(certificate, authority)) {
      job.words = `${this.#name(peer)} has answered with a certificate that the CA has not signed`
      this.#waiting.push(job)
      return
    }
    job.done({ certificate, authority })
  }

  // Answering:

  #serve(peer: NodeId, number: number, wish: IssueWish): void {
    const refuse = (reason: 'no key' | 'busy' | 'invalid' | 'failed', words: string) => {
      this.#world.meter.count(`issue.refused.${reason}`)
      this.#channel.send(peer, encodeIssue({ kind: 'refused', number, reason, words }))
    }
    const { ca } = this.#standing()
    if (ca === null) return refuse('no key', 'this box does not have the key of the CA')
    if (this.#serving.has(peer)) return refuse('busy', 'another certificate is being made')
    const objection = this.#objection(wish)
    if (objection !== null) return refuse('invalid', objection)
    this.#serving.add(peer)
    this.#sign(ca, peer, wish, (result) => {
      this.#serving.delete(peer)
      if (result instanceof HostError) return refuse('failed', result.message)
      const { what } = wish
      this.#world.log.info({ peer, what, for: what === 'let in' ? wish.node : undefined }, 'signed a certificate')
      if (what === 'own') this.#noteKey(peer, result)
      this.#channel.send(peer, encodeIssue({ kind: 'issued', number, certificate: result }))
    })
  }

  #objection(wish: IssueWish): string | null {
    if (wish.what === 'let in') {
      const { node } = wish
      if (this.#refuse(node)) return `node ${node} was removed from the cluster: it needs a new id`
      const known = node === this.#membership.self || this.#membership.member(node) !== null
      return known ? `there is a member with the id ${node}` : null
    }
    if (wish.what !== 'service') return null
    const { fromMs, toMs, names, addresses } = wish.subject
    // What proves a device has no end; what a server shows has one.
    const server = names.length + addresses.length > 0
    if (fromMs === null || toMs === null) return server ? 'a certificate for a server needs dates' : null
    return toMs <= fromMs || toMs - fromMs > SERVICE_LIFE_MAX_MS ? 'dates of more than 825 days, or of none' : null
  }

  /** `asker`: whose id its own certificate gets, whatever else it may say. */
  #sign(ca: CertificateAuthority, asker: NodeId, wish: IssueWish, done: (result: string | HostError) => void): void {
    const { trust, issuer } = this.#world
    switch (wish.what) {
      case 'own':
        return trust.issue(ca, asker, wish.publicKey, done)
      case 'let in':
        return trust.issue(ca, wish.node, wish.publicKey, done)
      case 'service':
        if (issuer === null) return done(new HostError('unavailable', 'this node makes no certificates for services'))
        return issuer.issueService(ca, wish.subject, wish.publicKey, done)
    }
  }

  /** It asked over a link of its own, so its next certificate may be for another key. */
  #noteKey(peer: NodeId, certificate: string): void {
    const facts = this.#world.trust.read(certificate)
    if (!(facts instanceof HostError) && facts.kind === 'node') this.#keys.expect(peer, facts.keyFingerprint)
  }

  // The channel:

  #linked(peer: NodeId): void {
    this.#tell(peer)
    this.#pumpSoon()
  }

  #tell(peer: NodeId): void {
    const { authority, ca, generation, inBundle } = this.#standing()
    if (authority === null) return
    const stands = { hasKey: ca !== null, inBundle, generation, authority: authority.fingerprint }
    this.#channel.send(peer, encodeIssue({ kind: 'stands', ...stands }))
  }

  #unlinked(peer: NodeId): void {
    this.#serving.delete(peer)
    const asked = this.#asked.get(peer)
    if (asked !== undefined) this.#failed(peer, asked.number, `${this.#name(peer)} has the key of the CA and went away`)
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeIssue(bytes)
    if (message === null) this.#world.meter.count('issue.unknown')
    else this.#handle(peer, message)
  }

  #handle(peer: NodeId, message: IssueMessage): void {
    switch (message.kind) {
      case 'stands': {
        const { kind, ...stands } = message
        if (stands.authority === '') throw new PeerError(`${kind} on no CA`)
        this.#stands.set(peer, stands)
        this.#pumpSoon()
        return this.onStands(peer)
      }
      case 'request':
        return this.#serve(peer, message.number, message.wish)
      case 'issued':
        return this.#issued(peer, message.number, message.certificate)
      case 'refused':
        return this.#failed(peer, message.number, `${this.#name(peer)} signs no certificate: ${message.words}`)
      case 'renews':
        return this.#keys.expect(peer, message.key)
    }
  }
}
