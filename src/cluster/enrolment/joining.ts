// Asking to be let in: whom, by what, and when again. By itself a box that waits asks the members that it hears, one at a
// time, by `cluster.password` or by showing words; people give it a code or an address.
//
//   idle -(heard, due)-> asking -(words)-> comparing -> admitted -> taking -> idle, a member
//                          |                   |
//                          +---- refused, unreachable: that address again after a pause

import { HostError } from '../../base/errors.ts'
import type { ClusterId } from '../../base/ids.ts'
import { NO_CLUSTER } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { Log } from '../../base/ports/log.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import type { KeyPair } from '../../base/ports/trust.ts'
import type { Sighting } from '../discovery/candidates.ts'
import { clusterMark } from './codes.ts'
import { type Admitted, type Applying, type AttemptOutcome, type AttemptWorld, EnrolAttempt } from './enrolattempt.ts'
import type { Means } from './means.ts'
import { type Target, Targets } from './targets.ts'

/** Members whose refusals are told. */
const WHYS_MAX = 4
/** How long people wait for a member to be heard. */
export const HEARING_MS = 12_000

export interface JoiningWorld extends AttemptWorld {
  readonly log: Log
}

export interface JoiningSelf {
  greeter(): Applying['greeter']
  about: Applying['about']
  password(): string | null
  /** The cluster that this box would leave; null: it belongs to none. */
  givesUp(): ClusterId | null
  /** Whether it asks a cluster without being told to; null: one at an address that people named. */
  asks(cluster: ClusterId | null): boolean
  /** Addresses that people named in the configuration. */
  peers(): readonly Endpoint[]
  /** Keeps what was granted; `done` gets null when it is on disk. */
  take(admitted: Admitted, done: (error: HostError | null) => void): void
  /** All is on disk and said: this box is a member. */
  joined(admitted: Admitted, to: Endpoint): void
}

/** What people ask for. */
export interface JoinWish {
  readonly means: Means
  /** Null: whoever is heard. */
  readonly to: Endpoint | null
  /** The name of the member whose place it takes; empty: nobody's. */
  readonly replaces: string
}

export type JoinAnswer =
  | { readonly at: 'admitted'; readonly cluster: ClusterId; readonly to: Endpoint }
  /** It shows its words until somebody approves it. */
  | { readonly at: 'comparing'; readonly words: string; readonly to: Endpoint }
  | { readonly at: 'refused'; readonly why: string }

export type JoiningView =
  | { readonly at: 'idle' }
  | { readonly at: 'asking'; readonly to: Endpoint }
  | { readonly at: 'comparing'; readonly to: Endpoint; readonly words: string }
  /** What was granted is being written. */
  | { readonly at: 'taking'; readonly to: Endpoint }

interface Hand {
  readonly wish: JoinWish
  readonly tried: Set<string>
  readonly reasons: string[]
  readonly deadline: Timer
  readonly done: (answer: JoinAnswer) => void
}

export class Joining {
  readonly #world: JoiningWorld
  readonly #self: JoiningSelf
  readonly #targets = new Targets()
  #open = false
  #keys: KeyPair | null = null
  #attempt: EnrolAttempt | null = null
  #view: JoiningView = { at: 'idle' }
  /** Why attempts came to nothing, the latest for each member, the last ones last. */
  readonly #whys = new Map<string, string>()
  #hand: Hand | null = null
  /** People asked for this place to be taken; holds until the box is in. */
  #replaces = ''
  #timer: Timer | null = null
  #password = { text: '', keys: new Map<ClusterId, Buffer>() }

  constructor(world: JoiningWorld, self: JoiningSelf) {
    this.#world = world
    this.#self = self
  }

  get view(): JoiningView {
    return this.#view
  }

  /** Why attempts came to nothing; empty: none did, or it shows its words now. */
  get why(): string {
    return [...this.#whys.values()].join('; ')
  }

  /** Everything that beacons and mDNS bring. */
  heard({ endpoint, cluster, node, instance }: Sighting): void {
    const { id, instance: own } = this.#self.greeter()
    if (cluster === null || cluster === NO_CLUSTER || endpoint.port === 0 || (node === id && instance === own)) return
    this.#targets.heard(endpoint, cluster, this.#world.clock.now())
    this.#step()
  }

  /** Asks by itself from now on, as far as `asks` allows. */
  start(): void {
    this.#open = true
    this.#step()
  }

  /** What it asks by is another: everybody is asked anew. */
  again(): void {
    if (this.#hand !== null || !this.#open || this.#view.at === 'taking') return
    this.#attempt?.stop()
    this.#attempt = null
    this.#view = { at: 'idle' }
    this.#whys.clear()
    this.#targets.dueNow(this.#world.clock.now())
    this.#step()
  }

  stop(): void {
    this.#open = false
    this.#timer?.cancel()
    this.#timer = null
    this.#attempt?.stop()
    this.#attempt = null
    this.#view = { at: 'idle' }
    this.#answer({ at: 'refused', why: 'this node is stopping' })
  }

  /** People know what they want: `done` is called once. */
  byHand(wish: JoinWish, done: (answer: JoinAnswer) => void): void {
    const { clock } = this.#world
    if (this.#hand !== null || this.#view.at === 'taking') {
      return done({ at: 'refused', why: 'this box is being let in already' })
    }
    const deadline = clock.after(HEARING_MS, 'cluster.join.hearing', () => this.#heardNobody())
    this.#hand = { wish, done, deadline, tried: new Set(), reasons: [] }
    this.#replaces = wish.replaces
    if (wish.to !== null) this.#targets.named(wish.to, clock.now())
    this.#attempt?.stop()
    this.#attempt = null
    this.#view = { at: 'idle' }
    this.#open = true
    this.#step()
  }

  #step(): void {
    if (!this.#open || this.#attempt !== null) return
    const next = this.#hand === null ? this.#byItself() : this.#forHand(this.#hand)
    if (next === null) return
    if (this.#keys !== null) return this.#begin(next.target, next.means, this.#keys)
    // The same pair for every attempt: what people compare does not change with it.
    this.#world.trust.makeKeys((keys) => {
      if (this.#keys !== null) return
      if (keys instanceof HostError) this.#world.log.error({ why: keys.message }, 'no keys to be let in with')
      else this.#keys = keys
      if (this.#keys !== null) this.#step()
    })
  }

  #forHand({ wish, tried }: Hand): { target: Target; means: Means } | null {
    const { means, to } = wish
    const fits = ({ key, cluster, named }: Target) => {
      if (tried.has(key)) return false
      if (to !== null) return key === endpointText(to)
      if (means.by === 'code') return cluster !== null && clusterMark(cluster) === means.code.cluster
      return named || cluster !== this.#self.givesUp()
    }
    const target = this.#targets.all().find(fits)
    return target === undefined ? null : { target, means }
  }

  #byItself(): { target: Target; means: Means } | null {
    const nowMs = this.#world.clock.now()
    const own = this.#self.givesUp()
    for (const peer of this.#self.peers()) this.#targets.named(peer, nowMs)
    const fits = ({ cluster, named }: Target) =>
      (cluster === null ? named : cluster !== own) && this.#self.asks(named ? null : cluster)
    const target = this.#targets.due(fits, nowMs)
    if (target === null) return null
    if (target.dueMs > nowMs) {
      this.#timer?.cancel()
      this.#timer = this.#world.clock.after(target.dueMs - nowMs, 'cluster.join', () => {
        this.#timer = null
        this.#step()
      })
      return null
    }
    const password = this.#self.password()
    return { target, means: password === null ? { by: 'approval' } : { by: 'password', password } }
  }

  #begin(target: Target, means: Means, keys: KeyPair): void {
    const to = target.endpoint
    this.#hand?.tried.add(target.key)
    this.#timer?.cancel()
    this.#timer = null
    this.#view = { at: 'asking', to }
    if (means.by === 'password' && means.password !== this.#password.text) {
      this.#password = { text: means.password, keys: new Map() }
    }
    const applying = {
      ...{ to, means, keys, greeter: this.#self.greeter(), about: () => this.#self.about() },
      ...{ givesUp: this.#self.givesUp(), replaces: this.#replaces },
      passwordKeys: this.#password.keys,
    }
    const attempt = new EnrolAttempt(this.#world, applying, {
      comparing: (words) => this.#comparing(to, words),
      done: (outcome) => this.#ended(target, outcome),
    })
    this.#attempt = attempt
    attempt.start()
  }

  #comparing(to: Endpoint, words: string): void {
    const { id } = this.#self.greeter()
    this.#view = { at: 'comparing', to, words }
    this.#whys.clear()
    this.#world.log.warn(
      { member: endpointText(to), words, id },
      `waiting to be let in: where the cluster's status shows "${words}" too, type: edge-mqtt cluster approve ${id}`,
    )
    this.#answer({ at: 'comparing', words, to })
  }

  #ended(target: Target, outcome: AttemptOutcome): void {
    if (outcome.at === 'admitted') return this.#admitted(target, outcome.admitted)
    this.#attempt = null
    const compared = this.#view.at === 'comparing'
    this.#view = { at: 'idle' }
    const { clock, log } = this.#world
    this.#targets.failed(target, outcome, compared, clock.now())
    const why = outcome.at === 'unreachable' ? `${target.key}: ${outcome.why}` : outcome.why
    if (this.#whys.get(target.key) !== why) log.warn({ member: target.key, why }, 'not let in')
    this.#whys.delete(target.key)
    this.#whys.set(target.key, why)
    const [oldest] = this.#whys.keys()
    if (this.#whys.size > WHYS_MAX && oldest !== undefined) this.#whys.delete(oldest)
    const hand = this.#hand
    if (hand !== null) {
      hand.reasons.push(why)
      if (hand.wish.to !== null || this.#forHand(hand) === null) {
        this.#answer({ at: 'refused', why: hand.reasons.join('; ') })
      }
    }
    this.#step()
  }

  #admitted(target: Target, admitted: Admitted): void {
    const attempt = this.#attempt
    this.#view = { at: 'taking', to: target.endpoint }
    this.#self.take(admitted, (error) => {
      // Stopped meanwhile: the next start is a member's.
      if (this.#view.at !== 'taking') return
      this.#attempt = null
      this.#view = { at: 'idle' }
      if (error !== null) {
        attempt?.stop()
        this.#world.log.error({ why: error.message }, 'let in, but what was granted cannot be written')
        return this.#answer({ at: 'refused', why: error.message })
      }
      attempt?.taken()
      this.#open = false
      this.#keys = null
      this.#replaces = ''
      this.#whys.clear()
      this.#timer?.cancel()
      this.#timer = null
      this.#self.joined(admitted, target.endpoint)
      this.#answer({ at: 'admitted', cluster: admitted.cluster, to: target.endpoint })
    })
  }

  #heardNobody(): void {
    const hand = this.#hand
    // Whoever is being asked just now may take longer.
    if (hand === null || this.#attempt !== null) return
    const whose = hand.wish.means.by === 'code' ? ' of the cluster that the code is for' : ''
    const why =
      hand.reasons.length > 0 ? hand.reasons.join('; ') : `no member${whose} is heard here; name the address of one`
    this.#answer({ at: 'refused', why })
  }

  #answer(answer: JoinAnswer): void {
    const hand = this.#hand
    if (hand === null) return
    this.#hand = null
    hand.deadline.cancel()
    hand.done(answer)
  }
}
