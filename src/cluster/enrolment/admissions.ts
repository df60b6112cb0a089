// Letting boxes in, on the side of a member: seals what strangers dial with the key they name, bounds how often and how
// many may try, and keeps those who wait for people.

import { HostError } from '../../base/errors.ts'
import type { ClusterId, NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { KeyedFailure } from '../../base/ports/keyed.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Random } from '../../base/ports/random.ts'
import type { ByteStream } from '../../base/ports/streams.ts'
import type { Trust } from '../../base/ports/trust.ts'
import type { Confirm } from '../../wire/link/confirm.ts'
import { type EnrolGrant, type EnrolRefusal, type EnrolRequest, NONCE_BYTES } from '../../wire/link/enrol.ts'
import { type Hellos, TLS_MS } from '../links/greeting.ts'
import type { Refusals } from '../links/refusals.ts'
import type { MemberView } from '../ports.ts'
import type { Papers } from '../trust/custody.ts'
import type { Issuing } from '../trust/issuing.ts'
import { Admission, type AdmissionEvents } from './admission.ts'
import type { Invites } from './invites.ts'
import { approvalKey, type Named, readKeyName } from './means.ts'
import { Tries } from './tries.ts'

export interface AdmissionsWorld {
  readonly clock: Clock
  readonly random: Random
  readonly trust: Trust
  readonly log: Log
  readonly meter: Meter
}

/** What there is of a member of that name; null: it is out already. */
export type Replaceable = { readonly id: NodeId | null } | { readonly wrong: string }

export interface AdmissionsSelf {
  readonly invites: Invites
  readonly issuing: Pick<Issuing, 'letIn'>
  readonly refusals: Refusals
  papers(): Papers | null
  about(): Omit<Confirm, 'acceptorHello' | 'diallerHello'>
  /** `cluster.password`; null: there is none. */
  password(): string | null
  member(id: NodeId): MemberView | null
  /** The member whose place another box may take. */
  replaceable(name: string): Replaceable
  /** Ends a membership for good; `done` gets null, or why it cannot be done. */
  remove(node: NodeId, done: (why: string | null) => void): void
  /** This box would itself ask to be let in by that cluster. */
  asks(cluster: ClusterId): boolean
  /** A box with this key has been let in. */
  letIn(node: NodeId, keyFingerprint: string): void
  /** Somebody waits for people, or does not any more. */
  waitingChanged(): void
}

/** Conversations at once: with those who have proven that they know a code or the password, and with those who have proven
 * nothing, because people are to decide; and of one address. Neither takes the other's places. */
const ADMISSIONS_MAX = 24
const STRANGERS_MAX = 24
const PER_ADDRESS_MAX = 4
export const WAITING_MAX = 16
const TOO_MANY_TRIES = 'enrolment: too many wrong tries'

export class Admissions implements AdmissionEvents {
  readonly #world: AdmissionsWorld
  readonly #self: AdmissionsSelf
  readonly #tries = new Tries()
  readonly #open = new Set<Admission>()
  /** The key of `cluster.password`, once it is made. */
  #passwordKey: { readonly password: string; readonly cluster: ClusterId; readonly key: Buffer | null } | null = null
  #stopped = false

  constructor(world: AdmissionsWorld, self: AdmissionsSelf) {
    this.#world = world
    this.#self = self
  }

  /** This box is a member, or its settings have changed: the key of the password is made. */
  prepare(): void {
    const papers = this.#self.papers()
    const password = this.#self.password()
    if (papers === null || password === null) {
      this.#passwordKey = null
      return
    }
    const cluster = papers.authority.clusterId
    const known = this.#passwordKey
    if (known?.password === password && known.cluster === cluster) return
    this.#passwordKey = { password, cluster, key: null }
    this.#world.trust.passwordKey(password, cluster, (key) => {
      if (this.#passwordKey?.password !== password || this.#passwordKey.cluster !== cluster) return
      if (key instanceof HostError) this.#world.log.warn({ why: key.message }, 'cluster.password cannot be used')
      else this.#passwordKey = { password, cluster, key }
    })
  }

  /** Somebody at the cluster port wants to be let in; `leave` gives back the place at the door. */
  welcome(stream: ByteStream, hellos: Hellos, leave: () => void): void {
    const { clock, meter, trust } = this.#world
    const { address } = stream.remote
    const papers = this.#self.papers()
    const busy = [...this.#open].filter((other) => other.applicant.address === address).length >= PER_ADDRESS_MAX
    const slowed = this.#tries.waitMs(address, clock.now()) > 0
    if (this.#stopped || papers === null || slowed || busy) {
      if (slowed) this.#self.refusals.add(address, TOO_MANY_TRIES)
      else meter.count('enrol.busy')
      leave()
      return stream.destroy()
    }
    let named: Named | null = null
    let held = false
    const keyOf = (name: string): Buffer | null => {
      named = readKeyName(name)
      held = named?.by === 'password' && this.#tries.passwordWaitMs(clock.now()) > 0
      return named === null || held ? null : this.#keyOf(named, papers)
    }
    trust.secureByKey(stream, { role: 'server', keyOf }, TLS_MS, (sealed) => {
      leave()
      if (held && typeof sealed === 'string') return this.#self.refusals.add(address, TOO_MANY_TRIES)
      if (typeof sealed === 'string') return this.#failed(address, named, sealed)
      if (this.#stopped || named === null) return sealed.stream.destroy()
      if (named.by !== 'approval') this.#tries.right(address)
      if (this.#full(named)) {
        meter.count('enrol.busy')
        return sealed.stream.destroy()
      }
      this.#talk(sealed.stream, { named, hello: hellos.theirs, ...hellos, address }, papers)
    })
  }

  /** Those who wait for people, and what these compare. */
  waiting(): Admission[] {
    return [...this.#open].filter(({ words }) => words !== null)
  }

  /** Whether one of this id waits here. */
  find(node: NodeId): Admission | null {
    return this.waiting().find(({ applicant }) => applicant.hello.node === node) ?? null
  }

  stop(): void {
    this.#stopped = true
    for (const admission of [...this.#open]) admission.refuse({ reason: 'failed', words: 'this member is stopping' })
  }

  #full(named: Named): boolean {
    const strangers = [...this.#open].filter(({ applicant }) => applicant.named.by === 'approval').length
    return named.by === 'approval' ? strangers >= STRANGERS_MAX : this.#open.size - strangers >= ADMISSIONS_MAX
  }

  #keyOf(named: Named, papers: Papers): Buffer | null {
    switch (named.by) {
      case 'code':
        return this.#self.invites.find(named.invite)?.key ?? null
      case 'password':
        return this.#passwordKey?.key ?? null
      case 'approval':
        return approvalKey(this.#world.trust, papers.authority.clusterId)
    }
  }

  #failed(address: string, named: Named | null, why: KeyedFailure): void {
    const { clock, meter } = this.#world
    meter.count(`enrol.failed.${why}`)
    if (why !== 'wrong key' && why !== 'unknown key') return
    const what = named?.by === 'password' ? 'password' : 'code'
    this.#tries.wrong(address, what, clock.now())
    this.#self.refusals.add(address, `enrolment: ${why === 'wrong key' ? 'wrong' : 'unknown'} ${what}`)
  }

  #talk(stream: ByteStream, applicant: Admission['applicant'], papers: Papers): void {
    const { acceptorHello, diallerHello } = applicant
    const { clock, meter, random, trust } = this.#world
    const confirm = { acceptorHello, diallerHello, ...this.#self.about() }
    const ours = { confirm, anchors: [papers.authority.certificate], nonce: random.bytes(NONCE_BYTES) }
    const admission = new Admission({ clock, hasher: trust, meter }, stream, applicant, ours, this)
    this.#open.add(admission)
    admission.start()
  }

  // What admissions ask and tell:

  judge(admission: Admission, request: EnrolRequest): EnrolRefusal | null {
    const { named, hello } = admission.applicant
    const { node } = hello
    const known = this.#self.member(node)
    if (known !== null && known.state !== 'left') {
      const remedy = 'for a new id remove node.json and node.key from the state directory of this box'
      return { reason: 'failed', words: `there is a member with the id ${node}; ${remedy}` }
    }
    if (request.replaces !== '') {
      const found = this.#self.replaceable(request.replaces)
      if ('wrong' in found) return { reason: 'cannot be replaced', words: found.wrong }
    }
    if (named.by === 'code') return this.#judgeCode(named.invite, node)
    if (request.givesUp !== null && this.#self.asks(request.givesUp)) {
      return {
        reason: 'the other way round',
        words: 'of two lone boxes the one with the greater cluster id asks the other',
      }
    }
    if (named.by === 'password') return null
    for (const other of this.waiting()) {
      if (other.applicant.hello.node === node) other.refuse({ reason: 'failed', words: 'this box has asked again' })
    }
    // Those who will wait in a moment count as well.
    const asking = [...this.#open].filter((other) => other !== admission && other.applicant.named.by === 'approval')
    if (asking.length < WAITING_MAX) return null
    return { reason: 'too many are waiting', words: `${WAITING_MAX} boxes are waiting at this member already` }
  }

  comparing(admission: Admission): void {
    const { applicant, name, words } = admission
    const { node } = applicant.hello
    this.#world.log.info({ node, name, address: applicant.address, words }, 'a box waits to be let in')
    this.#self.waitingChanged()
  }

  sign(admission: Admission, request: EnrolRequest, done: (result: EnrolGrant | EnrolRefusal) => void): void {
    if (request.replaces === '') return this.#letIn(admission, request, done)
    const found = this.#self.replaceable(request.replaces)
    if ('wrong' in found) return done({ reason: 'cannot be replaced', words: found.wrong })
    if (found.id === null) return this.#letIn(admission, request, done)
    // Removed first: when it had the key of the CA another CA may follow, and the new box is to be of that one.
    this.#self.remove(found.id, (why) => {
      if (why === null) this.#letIn(admission, request, done)
      else done({ reason: 'cannot be replaced', words: why })
    })
  }

  over(admission: Admission, granted: boolean, why: string): void {
    if (!this.#open.delete(admission)) return
    const { applicant, name } = admission
    const { node } = applicant.hello
    const { log, meter } = this.#world
    meter.count(granted ? 'enrol.granted' : 'enrol.ended')
    if (granted) log.info({ node, name, address: applicant.address, by: applicant.named.by }, 'a box has been let in')
    else log.info({ node, name, address: applicant.address, why }, 'a box has not been let in')
    this.#self.waitingChanged()
  }

  #judgeCode(invite: string, node: NodeId): EnrolRefusal | null {
    const found = this.#self.invites.find(invite)
    const verdict = found === null ? 'expired' : this.#self.invites.judge(found, node)
    switch (verdict) {
      case 'good':
        return null
      case 'expired':
        return { reason: 'expired', words: 'the code has expired: edge-mqtt invite on any member makes another' }
      case 'used up':
        return { reason: 'used up', words: 'the code has been used: edge-mqtt invite on any member makes another' }
    }
  }

  #letIn(admission: Admission, request: EnrolRequest, done: (result: EnrolGrant | EnrolRefusal) => void): void {
    const { named, hello } = admission.applicant
    const { trust } = this.#world
    this.#self.issuing.letIn(hello.node, request.publicKey, (issued) => {
      if (issued instanceof HostError) return done({ reason: 'nobody can sign', words: issued.message })
      if (named.by === 'approval' && !admission.anchors.includes(issued.authority)) {
        const words =
          'the CA was replaced, because the box that was removed had its key: compare the new words, and approve it again'
        return done({ reason: 'failed', words })
      }
      const papers = this.#self.papers()
      if (papers?.authority.certificate !== issued.authority) {
        return done({ reason: 'failed', words: 'the CA is being replaced just now: try again' })
      }
      const facts = trust.read(issued.certificate)
      if (facts instanceof HostError || facts.kind !== 'node' || facts.nodeId !== hello.node) {
        return done({ reason: 'failed', words: 'the certificate that was made is not one' })
      }
      const invite = named.by === 'code' ? this.#self.invites.find(named.invite) : null
      if (named.by === 'code') {
        // Another box may have used it while this one's certificate was made.
        const refusal = this.#judgeCode(named.invite, hello.node)
        if (refusal !== null) return done(refusal)
        this.#self.invites.used(named.invite, hello.node)
      }
      this.#self.letIn(hello.node, facts.keyFingerprint)
      const { authority, generation } = papers
      const caKey = invite?.issuer === true ? authority.privateKey : null
      done({ certificate: issued.certificate, anchors: [issued.authority], caKey, generation })
    })
  }
}
