// A box's side of one enrolment: dials a member, seals the stream with the key of what it has, asks to be let in, and
// judges what it is given.
//
//   dialling -> greeting -> sealing -> asking -> over             with a code or the password
//      ^------- stretching <---'       asking -> comparing -> over     where people compare words
//
// The key of a password takes a while and the cluster's id, which only a hello tells: it is made with nobody waiting at
// the other end, and the member is dialled again.

import { HostError, PeerError } from '../../base/errors.ts'
import { type ClusterId, NO_CLUSTER, type NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { KeyedFailure } from '../../base/ports/keyed.ts'
import { type ByteStream, type Endpoint, endpointText, type Streams } from '../../base/ports/streams.ts'
import type { KeyPair } from '../../base/ports/trust.ts'
import type { Confirm } from '../../wire/link/confirm.ts'
import {
  COMMITMENT_BYTES,
  decodeGrant,
  decodeOffer,
  decodeRefusal,
  decodeReveal,
  type EnrolGrant,
  EnrolKind,
  type EnrolOffer,
  type EnrolRefusalReason,
  encodeRequest,
  NONCE_BYTES,
} from '../../wire/link/enrol.ts'
import { type Greeted, type Greeter, Greeting, type GreetingWorld, type Hellos, TLS_MS } from '../links/greeting.ts'
import { clusterOf } from '../trust/identity.ts'
import { clusterMark } from './codes.ts'
import { commitmentOf, comparedWords, type Part } from './comparison.ts'
import { EnrolTalk, type TalkEvents } from './enroltalk.ts'
import { inviteKey } from './invites.ts'
import { approvalKey, keyName, type Means } from './means.ts'

const DIAL_MS = 3000

export interface AttemptWorld extends GreetingWorld {
  readonly streams: Streams
  readonly meter: Meter
}

export interface Applying {
  readonly to: Endpoint
  readonly means: Means
  readonly keys: KeyPair
  readonly greeter: Greeter
  about(): Omit<Confirm, 'acceptorHello' | 'diallerHello'>
  /** The cluster that this box leaves for it; null: it belongs to none. */
  readonly givesUp: ClusterId | null
  /** The name of the member whose place it takes; empty: nobody's. */
  readonly replaces: string
  /** What the password comes to in each cluster, once it was made. */
  readonly passwordKeys: Map<ClusterId, Buffer>
}

/** Everything that makes a box a member. */
export interface Admitted {
  readonly cluster: ClusterId
  readonly node: NodeId
  readonly grant: EnrolGrant
  /** Of the certificate of the CA. */
  readonly fingerprint: string
  readonly keys: KeyPair
}

export type AttemptOutcome =
  | { readonly at: 'admitted'; readonly admitted: Admitted }
  /** Someone answered, and would not have us; or is not one that we would join. */
  | { readonly at: 'refused'; readonly reason: EnrolRefusalReason | 'wrong' | 'other'; readonly why: string }
  | { readonly at: 'unreachable'; readonly why: string }

export interface AttemptEvents {
  /** What people compare. */
  comparing(words: string): void
  /** Called once, last. After `admitted` the member waits for `taken`. */
  done(outcome: AttemptOutcome): void
}

type State =
  | { readonly at: 'dialling'; readonly giveUp: () => void }
  | { readonly at: 'greeting'; readonly greeting: Greeting }
  | { readonly at: 'stretching' }
  | { readonly at: 'sealing' }
  | { readonly at: 'asking'; readonly talk: EnrolTalk }
  | { readonly at: 'revealing'; readonly talk: EnrolTalk; readonly offer: EnrolOffer }
  | { readonly at: 'comparing'; readonly talk: EnrolTalk; readonly offer: EnrolOffer }
  | { readonly at: 'admitted'; readonly talk: EnrolTalk }
  | { readonly at: 'over' }

export class EnrolAttempt implements TalkEvents {
  readonly #world: AttemptWorld
  readonly #applying: Applying
  readonly #events: AttemptEvents
  readonly #nonce: Buffer
  #hellos: Hellos | null = null
  #state: State = { at: 'over' }

  constructor(world: AttemptWorld, applying: Applying, events: AttemptEvents) {
    this.#world = world
    this.#applying = applying
    this.#events = events
    this.#nonce = world.random.bytes(NONCE_BYTES)
  }

  start(): void {
    let early: ByteStream | HostError | null = null
    const giveUp = this.#world.streams.dial(this.#applying.to, DIAL_MS, (result) => {
      early = result
      if (this.#state.at === 'dialling') this.#dialled(result)
    })
    this.#state = { at: 'dialling', giveUp }
    if (early !== null) this.#dialled(early)
  }

  /** Gives up; `done` is not called any more. */
  stop(): void {
    const state = this.#state
    this.#state = { at: 'over' }
    if (state.at === 'dialling') state.giveUp()
    if (state.at === 'greeting') state.greeting.abandon()
    if ('talk' in state) state.talk.end()
  }

  /** What was granted is on disk. */
  taken(): void {
    if (this.#state.at !== 'admitted') return
    const { talk } = this.#state
    talk.say(EnrolKind.taken, Buffer.alloc(0))
    talk.end()
    this.#state = { at: 'over' }
  }

  #dialled(result: ByteStream | HostError): void {
    if (result instanceof HostError) return this.#finish({ at: 'unreachable', why: result.message })
    const greeting = new Greeting(
      this.#world,
      this.#applying.greeter,
      result,
      'dialler',
      (greeted) => {
        if (this.#state.at === 'greeting') this.#greeted(greeted)
      },
      'enrol',
    )
    this.#state = { at: 'greeting', greeting }
    greeting.start()
  }

  #greeted(greeted: Greeted): void {
    switch (greeted.at) {
      case 'enrol':
        return this.#seal(greeted.stream, greeted)
      case 'secured':
        greeted.stream.destroy()
        return this.#refused('other', 'it answered as a member does to a member')
      case 'self':
        return this.#refused('other', 'that is this node itself')
      case 'foreign':
        return this.#refused('other', 'it belongs to another cluster')
      case 'broken':
        return this.#finish({ at: 'unreachable', why: greeted.why })
      case 'refused':
        return this.#refused('other', greeted.reason === 'not a member yet' ? 'it is not a member yet' : greeted.reason)
    }
  }

  #seal(stream: ByteStream, hellos: Hellos): void {
    const { means } = this.#applying
    const cluster = hellos.theirs.cluster ?? NO_CLUSTER
    this.#hellos = hellos
    this.#state = { at: 'sealing' }
    if (cluster === this.#applying.givesUp) {
      stream.destroy()
      return this.#refused('other', 'it is a member of the cluster that this box belongs to already')
    }
    if (means.by === 'code' && means.code.cluster !== clusterMark(cluster)) {
      stream.destroy()
      return this.#refused('other', `the code is for another cluster than ${cluster}`)
    }
    const key = this.#key(cluster)
    if (key === null) {
      stream.destroy()
      return this.#stretch(cluster)
    }
    const side = { role: 'client', identity: keyName(means), key } as const
    this.#world.trust.secureByKey(stream, side, TLS_MS, (sealed) => {
      if (this.#state.at === 'sealing') this.#sealed(sealed, hellos)
      else if (typeof sealed === 'object') sealed.stream.destroy()
    })
  }

  /** Null: it has to be made first. */
  #key(cluster: ClusterId): Buffer | null {
    const { means, passwordKeys } = this.#applying
    const { trust } = this.#world
    switch (means.by) {
      case 'code':
        return inviteKey(trust, means.code.invite, means.code.secret)
      case 'password':
        return passwordKeys.get(cluster) ?? null
      case 'approval':
        return approvalKey(trust, cluster)
    }
  }

  #stretch(cluster: ClusterId): void {
    const { means, passwordKeys } = this.#applying
    if (means.by !== 'password') return
    this.#state = { at: 'stretching' }
    this.#world.trust.passwordKey(means.password, cluster, (key) => {
      if (this.#state.at !== 'stretching') return
      if (key instanceof HostError) return this.#finish({ at: 'unreachable', why: key.message })
      passwordKeys.set(cluster, key)
      this.start()
    })
  }

  #sealed(sealed: { stream: ByteStream } | KeyedFailure, { acceptorHello, diallerHello }: Hellos): void {
    if (sealed === 'closed' || sealed === 'timeout') {
      // A member that was tried with wrong codes hangs up for a while on whoever did.
      return this.#finish({
        at: 'unreachable',
        why: `${sealed} before it was sealed; after wrong tries that is so for a minute`,
      })
    }
    if (typeof sealed === 'string') {
      const wrong = sealed === 'wrong key' || sealed === 'unknown key'
      return this.#refused(wrong ? 'wrong' : 'other', sealingWords(this.#applying.means, sealed))
    }
    const confirm = { acceptorHello, diallerHello, ...this.#applying.about() }
    const talk = new EnrolTalk(this.#world.clock, sealed.stream, confirm, this)
    this.#state = { at: 'asking', talk }
    talk.start()
  }

  // What the member says:

  confirmed(): void {
    if (this.#state.at !== 'asking') return
    const { givesUp, keys, means, replaces } = this.#applying
    const commitment =
      means.by === 'approval'
        ? commitmentOf(this.#world.trust, this.#part, this.#nonce)
        : Buffer.alloc(COMMITMENT_BYTES)
    const request = { givesUp, commitment, publicKey: keys.publicKey, replaces }
    this.#state.talk.say(EnrolKind.request, encodeRequest(request))
  }

  said(kind: number, bytes: Buffer, start: number, end: number): void {
    const state = this.#state
    if (!('talk' in state) || state.at === 'admitted') return
    switch (kind) {
      case EnrolKind.offer: {
        if (state.at !== 'asking' || this.#applying.means.by !== 'approval') throw new PeerError('an offer out of turn')
        const offer = decodeOffer(bytes, start, end)
        state.talk.say(EnrolKind.reveal, this.#nonce)
        this.#state = { at: 'revealing', talk: state.talk, offer }
        return
      }
      case EnrolKind.reveal:
        if (state.at !== 'revealing') throw new PeerError('a number out of turn')
        return this.#revealed(state.talk, state.offer, decodeReveal(bytes, start, end))
      case EnrolKind.refused: {
        const { reason, words } = decodeRefusal(bytes, start, end)
        state.talk.end()
        return this.#refused(reason, words)
      }
      case EnrolKind.granted:
        return this.#granted(state, decodeGrant(bytes, start, end))
      default:
        // Of a later version: not for us.
        this.#world.meter.count('enrol.unknown')
    }
  }

  ended(why: string): void {
    this.#finish({ at: 'unreachable', why })
  }

  #revealed(talk: EnrolTalk, offer: EnrolOffer, nonce: Buffer): void {
    const { trust } = this.#world
    const member: Part = {
      who: 'member',
      hello: this.#hellos!.acceptorHello,
      shown: offer.anchors.join('\n'),
    }
    if (!commitmentOf(trust, member, nonce).equals(offer.commitment)) {
      talk.end()
      return this.#refused('changed on the way', 'the numbers do not fit: somebody changes what is said')
    }
    this.#state = { at: 'comparing', talk, offer }
    this.#events.comparing(comparedWords(trust, this.#part, this.#nonce, member, nonce))
  }

  #granted(state: State & { talk: EnrolTalk }, grant: EnrolGrant): void {
    const { greeter, keys, means } = this.#applying
    const { talk } = state
    // By approval only what people have compared is believed; else the key has proven who speaks.
    if (means.by === 'approval' && state.at !== 'comparing') throw new PeerError('granted before anybody compared')
    if (state.at === 'comparing' && !state.offer.anchors.includes(grant.anchors[0]!)) {
      talk.end()
      return this.#refused('changed on the way', 'the CA is not the one that was compared')
    }
    const cluster = this.#hellos!.theirs.cluster!
    const wrong = this.#flaw(grant, cluster)
    const ca = this.#world.trust.read(grant.anchors[0]!)
    if (wrong !== null || ca instanceof HostError || ca.kind !== 'ca') {
      talk.end()
      return this.#refused('failed', wrong ?? 'the CA is none')
    }
    const { fingerprint } = ca
    this.#state = { at: 'admitted', talk }
    this.#events.done({ at: 'admitted', admitted: { cluster, node: greeter.id, grant, fingerprint, keys } })
  }

  /** What was given is looked at before it takes the place of anything. */
  #flaw({ certificate, anchors, caKey }: EnrolGrant, cluster: ClusterId): string | null {
    const { trust } = this.#world
    const { greeter, keys } = this.#applying
    const own = trust.read(certificate)
    const ca = trust.read(anchors[0]!)
    if (own instanceof HostError) return `the certificate: ${own.message}`
    if (ca instanceof HostError) return `the certificate of the CA: ${ca.message}`
    if (own.kind !== 'node' || own.nodeId !== greeter.id) return 'the certificate is not for this box'
    if (trust.matches(certificate, keys.privateKey) !== true) return 'the certificate is not for the key of this box'
    if (ca.kind !== 'ca' || clusterOf(ca) !== cluster) return `the CA is not that of cluster ${cluster}`
    if (!trust.signedBy(certificate, anchors[0]!)) return 'the certificate is not signed by the CA'
    if (caKey !== null && trust.matches(anchors[0]!, caKey) !== true) return 'the key is not that of the CA'
    return null
  }

  get #part(): Part {
    return { who: 'box', hello: this.#hellos!.diallerHello, shown: this.#applying.keys.publicKey }
  }

  #refused(reason: EnrolRefusalReason | 'wrong' | 'other', why: string): void {
    this.#finish({ at: 'refused', reason, why: `${endpointText(this.#applying.to)}: ${why}` })
  }

  #finish(outcome: AttemptOutcome): void {
    if (this.#state.at === 'over') return
    this.#state = { at: 'over' }
    this.#events.done(outcome)
  }
}

/** Why there is no sealed stream, for people. */
export function sealingWords(means: Means, why: KeyedFailure): string {
  if (why !== 'wrong key' && why !== 'unknown key') return why
  switch (means.by) {
    case 'code':
      return why === 'wrong key'
        ? 'wrong code: its cluster and its name are known, the rest is not'
        : 'unknown code: it ended long ago, or was made on a box that this member has not heard yet'
    case 'password':
      return why === 'wrong key'
        ? 'wrong password: cluster.password is another there'
        : 'no cluster.password there, or it has only just started, or too many wrong ones were tried: the same one must be set on a member'
    case 'approval':
      return 'it does not know how to be asked'
  }
}
