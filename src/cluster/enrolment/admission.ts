// A member's side of one enrolment: somebody has sealed a stream with a key that we know, and wants to be let in.
//
//   request -> signing -> granted -> over                          with a code or the password
//   request -> reveal -> waiting -(approve)-> signing -> granted -> over    where people compare words

import { PeerError, unreachable } from '../../base/errors.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { ByteStream } from '../../base/ports/streams.ts'
import type { Confirm } from '../../wire/link/confirm.ts'
import {
  decodeRequest,
  decodeReveal,
  type EnrolGrant,
  EnrolKind,
  type EnrolRefusal,
  type EnrolRequest,
  encodeGrant,
  encodeOffer,
  encodeRefusal,
} from '../../wire/link/enrol.ts'
import type { Hello } from '../../wire/link/hello.ts'
import { commitmentOf, comparedWords, type Hasher, type Part } from './comparison.ts'
import { EnrolTalk, type TalkEvents } from './enroltalk.ts'
import type { Named } from './means.ts'

/** All but the waiting for people. */
const STEP_MS = 30_000

export interface AdmissionEvents {
  /** What is wrong with the request, or null. */
  judge(admission: Admission, request: EnrolRequest): EnrolRefusal | null
  /** It shows its words now, and waits for people. */
  comparing(admission: Admission): void
  sign(admission: Admission, request: EnrolRequest, done: (result: EnrolGrant | EnrolRefusal) => void): void
  /** Called once, last. `granted`: the box has what it needs. */
  over(admission: Admission, granted: boolean, why: string): void
}

export interface Applicant {
  readonly named: Named
  readonly hello: Hello
  readonly acceptorHello: Buffer
  readonly diallerHello: Buffer
  readonly address: string
}

type State =
  | { readonly at: 'request' }
  | { readonly at: 'reveal'; readonly request: EnrolRequest }
  | { readonly at: 'waiting'; readonly request: EnrolRequest; readonly words: string }
  | { readonly at: 'signing'; readonly request: EnrolRequest; readonly words: string }
  | { readonly at: 'granted' }
  | { readonly at: 'over' }

export class Admission implements TalkEvents {
  readonly applicant: Applicant
  readonly #clock: Clock
  readonly #hasher: Hasher
  readonly #meter: Meter
  /** The CA that people compare. */
  readonly anchors: readonly string[]
  readonly #nonce: Buffer
  readonly #events: AdmissionEvents
  readonly #talk: EnrolTalk
  #state: State = { at: 'request' }
  #deadline: Timer | null
  #name = ''
  #approved: ((outcome: string | null) => void) | null = null

  constructor(
    world: { readonly clock: Clock; readonly hasher: Hasher; readonly meter: Meter },
    stream: ByteStream,
    applicant: Applicant,
    ours: { readonly confirm: Confirm; readonly anchors: readonly string[]; readonly nonce: Buffer },
    events: AdmissionEvents,
  ) {
    this.applicant = applicant
    this.#clock = world.clock
    this.#hasher = world.hasher
    this.#meter = world.meter
    this.anchors = ours.anchors
    this.#nonce = ours.nonce
    this.#events = events
    this.#talk = new EnrolTalk(world.clock, stream, ours.confirm, this)
    this.#deadline = this.#patience()
  }

  start(): void {
    this.#talk.start()
  }

  /** The name that the box says of itself. */
  get name(): string {
    return this.#name
  }

  /** What people compare; null before and after. */
  get words(): string | null {
    return this.#state.at === 'waiting' ? this.#state.words : null
  }

  /** The name of the member that it replaces; empty: none. */
  get replaces(): string {
    return 'request' in this.#state ? this.#state.request.replaces : ''
  }

  /** People have compared. `done` gets null when the box is in, or why it is not. */
  approve(done: (outcome: string | null) => void): void {
    if (this.#state.at !== 'waiting') return done('it is not waiting any more')
    this.#approved = done
    this.#deadline = this.#patience()
    this.#sign(this.#state.request, this.#state.words)
  }

  refuse(refusal: EnrolRefusal): void {
    if (this.#state.at === 'over') return
    this.#talk.say(EnrolKind.refused, encodeRefusal(refusal))
    this.#talk.end()
    this.#finish(false, refusal.words)
  }

  // What the other side says:

  confirmed(theirs: Confirm): void {
    this.#name = theirs.name
  }

  said(kind: number, bytes: Buffer, start: number, end: number): void {
    const state = this.#state
    switch (kind) {
      case EnrolKind.request:
        if (state.at !== 'request') throw new PeerError('a second request')
        return this.#requested(decodeRequest(bytes, start, end))
      case EnrolKind.reveal:
        if (state.at !== 'reveal') throw new PeerError('a number out of turn')
        return this.#revealed(state.request, decodeReveal(bytes, start, end))
      case EnrolKind.taken:
        if (state.at !== 'granted') throw new PeerError('nothing was granted')
        this.#talk.end()
        return this.#finish(true, 'let in')
      default:
        // Of a later version: not for us.
        this.#meter.count('enrol.unknown')
    }
  }

  ended(why: string): void {
    switch (this.#state.at) {
      case 'granted':
        // What it was given is good whether it said so or not.
        return this.#finish(true, why)
      case 'request':
      case 'reveal':
      case 'waiting':
      case 'signing':
        return this.#finish(false, why)
      case 'over':
        return
      default:
        return unreachable(this.#state)
    }
  }

  #requested(request: EnrolRequest): void {
    const refusal = this.#events.judge(this, request)
    if (refusal !== null) return this.refuse(refusal)
    if (this.applicant.named.by !== 'approval') return this.#sign(request, '')
    this.#state = { at: 'reveal', request }
    const commitment = commitmentOf(this.#hasher, this.#part, this.#nonce)
    this.#talk.say(EnrolKind.offer, encodeOffer({ commitment, anchors: this.anchors }))
  }

  #revealed(request: EnrolRequest, nonce: Buffer): void {
    const box: Part = { who: 'box', hello: this.applicant.diallerHello, shown: request.publicKey }
    if (!commitmentOf(this.#hasher, box, nonce).equals(request.commitment)) {
      return this.refuse({
        reason: 'changed on the way',
        words: 'the numbers do not fit: somebody changes what is said',
      })
    }
    this.#talk.say(EnrolKind.reveal, this.#nonce)
    this.#deadline?.cancel()
    this.#deadline = null
    const words = comparedWords(this.#hasher, box, nonce, this.#part, this.#nonce)
    this.#state = { at: 'waiting', request, words }
    this.#events.comparing(this)
  }

  #sign(request: EnrolRequest, words: string): void {
    this.#state = { at: 'signing', request, words }
    this.#events.sign(this, request, (result) => {
      if (this.#state.at !== 'signing') return
      if ('reason' in result) return this.refuse(result)
      this.#state = { at: 'granted' }
      this.#talk.say(EnrolKind.granted, encodeGrant(result))
    })
  }

  get #part(): Part {
    return { who: 'member', hello: this.applicant.acceptorHello, shown: this.anchors.join('\n') }
  }

  #patience(): Timer {
    return this.#clock.after(STEP_MS, 'cluster.admission', () =>
      this.refuse({ reason: 'failed', words: `not done within ${STEP_MS / 1000} s` }),
    )
  }

  #finish(granted: boolean, why: string): void {
    if (this.#state.at === 'over') return
    this.#state = { at: 'over' }
    this.#deadline?.cancel()
    this.#approved?.(granted ? null : why)
    this.#approved = null
    this.#events.over(this, granted, why)
  }
}
