// The links of this node: accepts and dials, greets, proves, settles double dials, and keeps one link per peer.

import { HostError } from '../../base/errors.ts'
import type { InstanceId, NodeId } from '../../base/ids.ts'
import { NO_CLUSTER } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import { Turn } from '../../base/outbox.ts'
import type { Log } from '../../base/ports/log.ts'
import { type ByteStream, type Endpoint, endpointText, type Streams } from '../../base/ports/streams.ts'
import type { Confirm } from '../../wire/link/confirm.ts'
import type { GoodbyeReason } from '../../wire/link/frame.ts'
import type { DialOutcome } from './dialling.ts'
import { Door } from './door.ts'
import { type Greeted, type Greeter, Greeting, type GreetingWorld, type Hellos } from './greeting.ts'
import type { Lanes } from './lanes.ts'
import { Link, type LinkEnd, type LinkEvents } from './link.ts'
import type { Refusals } from './refusals.ts'
import { decides, heed, settle } from './tiebreak.ts'

/** How a link came about: where we dialled (null: not at an address), and who carries it (null: nobody). */
interface Way {
  readonly dialled: Endpoint | null
  readonly via: NodeId | null
}

/** Until TCP stands. */
const DIAL_MS = 3000

export interface LinksWorld extends GreetingWorld {
  readonly streams: Streams
  readonly log: Log
  readonly meter: Meter
}

/** What this node says of itself, asked at each greeting. */
export interface LinksSelf {
  greeter(): Greeter
  about(): Omit<Confirm, 'acceptorHello' | 'diallerHello'>
  /** Whether this is the key of the member with this id, or the first that is seen of it. */
  agrees(id: NodeId, key: string): boolean
  /** Whether a box with this id or this key was removed from the cluster. */
  removed(id: NodeId, key: string): boolean
  heartbeatMs(): number
}

export interface LinksEvents {
  /** The link is the one for its peer: returns the lanes that get its frames. */
  up(link: Link, stream: ByteStream): Lanes
  /** The link that was up is gone. */
  down(link: Link, why: LinkEnd): void
  /** Somebody wants to be let in. The stream is theirs who are told; `leave` gives back the place at the door. */
  enrolling(stream: ByteStream, hellos: Hellos, leave: () => void): void
  /** A peer has proven that it runs with our own identity: a copied card. */
  sameIdentity(instance: InstanceId): void
  /** A member has said that we were removed from the cluster. */
  weAreRemoved(by: NodeId): void
}

export class Links implements LinkEvents {
  readonly #world: LinksWorld
  readonly #self: LinksSelf
  readonly #refusals: Refusals
  readonly #events: LinksEvents
  readonly #turn: Turn
  readonly #door = new Door()
  readonly #greetings = new Set<Greeting>()
  readonly #dials = new Set<() => void>()
  /** Every link from TLS to its end. */
  readonly #open = new Set<Link>()
  /** The one that is up, per peer. */
  readonly #used = new Map<NodeId, Link>()
  /** What is owed once a link is used or closed: the answer to a dial, the place at the door. */
  readonly #owed = new Map<Link, (outcome: DialOutcome) => void>()
  #choice = 0
  #stopped = false

  constructor(world: LinksWorld, self: LinksSelf, refusals: Refusals, events: LinksEvents) {
    this.#world = world
    this.#self = self
    this.#refusals = refusals
    this.#events = events
    this.#turn = new Turn(world.clock)
  }

  /** The links that are up. */
  used(): IterableIterator<Link> {
    return this.#used.values()
  }

  to(peer: NodeId): Link | null {
    return this.#used.get(peer) ?? null
  }

  /** Somebody came to the cluster port. */
  accept(stream: ByteStream, via: NodeId | null = null): void {
    const { address } = stream.remote
    if (this.#stopped || !this.#door.enter(address)) {
      this.#world.meter.count('link.refused.busy')
      return stream.destroy()
    }
    this.#greet(stream, 'acceptor', { dialled: null, via }, () => this.#door.leave(address))
  }

  /** Tries to link over a stream that another member carries. `done` is called once. */
  dialThrough(stream: ByteStream, via: NodeId, done: (outcome: DialOutcome) => void): void {
    if (!this.#stopped) return this.#greet(stream, 'dialler', { dialled: null, via }, done)
    stream.destroy()
    done({ at: 'unreachable', why: 'stopped' })
  }

  /** Tries to link with whoever answers at `to`. `done` is called once, when that is settled. */
  dial(to: Endpoint, expected: NodeId | null, done: (outcome: DialOutcome) => void): void {
    if (expected !== null && this.#used.get(expected)?.via === null) return done({ at: 'linked', node: expected })
    if (this.#stopped) return done({ at: 'unreachable', why: 'stopped' })
    this.#world.meter.count('link.dialled')
    let cancel: (() => void) | null = null
    let ended = false
    const end = () => {
      ended = true
      this.#dials.delete(giveUp)
    }
    const giveUp = () => {
      end()
      cancel?.()
      done({ at: 'unreachable', why: 'stopped' })
    }
    cancel = this.#world.streams.dial(to, DIAL_MS, (result) => {
      end()
      if (result instanceof HostError) return done({ at: 'unreachable', why: result.message })
      this.#greet(result, 'dialler', { dialled: to, via: null }, done)
    })
    if (!ended) this.#dials.add(giveUp)
  }

  /** Ends the links with boxes that were removed, which are told so. */
  closeRemoved(): void {
    for (const link of [...this.#open]) {
      if (this.#self.removed(link.peer, link.keyFingerprint)) link.close('removed', 'removed')
    }
  }

  /**
   * A CA is believed no more: links that were proven by it end, whatever their peers say that they stand on. A peer that
   * has a certificate of the next one is linked again at once, by that.
   */
  closeProvenBy(authority: string): void {
    for (const link of [...this.#open]) {
      if (!this.#world.trust.signedBy(link.certificate, authority)) continue
      this.#world.meter.count('link.renewed')
      link.close('other CA', 'other CA')
    }
  }

  /** Ends everything; the peers of links that are up are told why. */
  stop(goodbye: GoodbyeReason): void {
    this.#stopped = true
    for (const giveUp of [...this.#dials]) giveUp()
    for (const greeting of [...this.#greetings]) greeting.abandon()
    for (const link of [...this.#open]) link.close(goodbye, goodbye)
  }

  #greet(stream: ByteStream, role: 'acceptor' | 'dialler', way: Way, owed: (outcome: DialOutcome) => void): void {
    const { dialled } = way
    const address = dialled === null ? stream.remote.address : endpointText(dialled)
    const greeter = this.#self.greeter()
    const greeting = new Greeting(this.#world, greeter, stream, role, (result) => {
      this.#greetings.delete(greeting)
      if (result.at === 'secured') return this.#secured(result, greeter, way, address, owed)
      if (result.at === 'enrol') {
        return this.#events.enrolling(result.stream, result, () => owed({ at: 'refused', reason: 'enrolment' }))
      }
      owed(this.#failed(result, address))
    })
    this.#greetings.add(greeting)
    greeting.start()
  }

  #failed(result: Exclude<Greeted, { at: 'secured' | 'enrol' }>, address: string): DialOutcome {
    switch (result.at) {
      case 'self':
        return result
      case 'foreign':
        if (result.cluster === null) return { at: 'refused', reason: 'not a member yet' }
        this.#refusals.add(address, 'other cluster')
        return { at: 'foreign', cluster: result.cluster ?? NO_CLUSTER }
      case 'broken':
        this.#world.meter.count('link.greeting.broken')
        return { at: 'unreachable', why: result.why }
      case 'refused':
        if (result.reason !== 'not a member yet') this.#refusals.add(address, result.reason)
        // Silence may be the network's doing, so a known box is asked again as if it had not been reached.
        if (result.reason === 'timeout') return { at: 'unreachable', why: 'timeout' }
        return result
    }
  }

  #secured(
    greeted: Extract<Greeted, { at: 'secured' }>,
    greeter: Greeter,
    { dialled, via }: Way,
    address: string,
    owed: (outcome: DialOutcome) => void,
  ): void {
    const { stream, peer, version, theirs, acceptorHello, diallerHello } = greeted
    const ours = { acceptorHello, diallerHello, ...this.#self.about() }
    const { nodeId: id, certificate, keyFingerprint } = peer
    const known = { id, instance: theirs.instance, certificate, keyFingerprint, version, via }
    const link = new Link(this.#world.clock, this.#turn, stream, known, dialled, ours, this)
    this.#open.add(link)
    this.#owed.set(link, owed)
    const own = peer.nodeId === greeter.id
    if (this.#self.removed(peer.nodeId, peer.keyFingerprint)) return this.#refuse(link, 'removed', address)
    if (peer.nodeId !== theirs.node) return this.#refuse(link, 'wrong identity', address)
    if (!own && !this.#self.agrees(peer.nodeId, peer.keyFingerprint)) {
      return this.#refuse(link, 'identity changed', address)
    }
    link.start()
  }

  #refuse(link: Link, reason: 'wrong identity' | 'identity changed' | 'removed', address: string): void {
    this.#refusals.add(address, reason)
    link.close(reason, reason)
  }

  // Of a link's own events:

  proven(link: Link): void {
    const { id } = this.#self.greeter()
    if (link.peer === id) {
      link.close('same identity', 'same identity')
      return this.#events.sameIdentity(link.peerInstance)
    }
    if (!decides(id, link.peer)) return
    const used = this.#used.get(link.peer)
    const silentMs = used === undefined ? 0 : this.#world.clock.now() - used.heardMs
    const facts = used && { instance: used.peerInstance, silentMs, relayed: used.via !== null }
    const fresh = { instance: link.peerInstance, relayed: link.via !== null }
    const verdict = settle(facts ?? null, fresh, this.#self.heartbeatMs())
    if (verdict === 'refuse') return link.close('duplicate', 'duplicate')
    used?.close('duplicate', 'duplicate')
    link.adopt(++this.#choice)
    this.#use(link)
  }

  adopted(link: Link, choice: number): void {
    // Only the deciding side may say so, and once.
    if (link.state !== 'proven' || decides(this.#self.greeter().id, link.peer)) {
      return link.close('adopted out of turn', 'broke the rules')
    }
    const used = this.#used.get(link.peer)
    const facts = used && { instance: used.peerInstance, choice: used.choice }
    if (heed(facts ?? null, { instance: link.peerInstance, choice }) === 'refuse') {
      return link.close('duplicate', 'duplicate')
    }
    used?.close('duplicate', 'duplicate')
    link.choice = choice
    this.#use(link)
  }

  #use(link: Link): void {
    this.#used.set(link.peer, link)
    const { address } = link.remote
    this.#refusals.clear(address)
    // Whoever dialled whom: where it takes links nothing stands against it any more, either.
    this.#refusals.clear(endpointText(link.dialled ?? { address, port: link.told.clusterPort }))
    this.#world.meter.count('link.up')
    this.#world.log.info(
      {
        ...{ peer: link.peer, name: link.told.name, address: endpointText(link.remote) },
        ...{ dialled: link.dialled !== null, protocol: link.version },
      },
      'link up',
    )
    link.use((stream) => this.#events.up(link, stream))
    this.#settle(link, { at: 'linked', node: link.peer })
  }

  unknown(): void {
    this.#world.meter.count('link.unknown')
  }

  closed(link: Link, why: LinkEnd): void {
    this.#open.delete(link)
    if (why.goodbye === 'removed') this.#events.weAreRemoved(link.peer)
    const counted = why.by === 'us' ? why.reason : (why.goodbye ?? 'stream')
    this.#world.meter.count(`link.closed.${counted}`)
    const wasUsed = this.#used.get(link.peer) === link
    if (wasUsed) {
      this.#used.delete(link.peer)
      this.#world.log.info({ peer: link.peer, why: why.reason, by: why.by }, 'link closed')
      this.#events.down(link, why)
    }
    const owed = this.#owed.get(link)
    if (owed === undefined) return
    this.#owed.delete(link)
    owed(this.#endOfGreeting(link, why))
  }

  /** What became of a link that was never used. */
  #endOfGreeting(link: Link, why: LinkEnd): DialOutcome {
    const address = link.dialled === null ? link.remote.address : endpointText(link.dialled)
    const cause = why.goodbye ?? why.reason
    if (cause === 'same identity') return { at: 'self' }
    if (cause === 'duplicate') {
      // The deciding side has another link with us, which we will hear of, or which it will give up soon.
      return this.#used.has(link.peer)
        ? { at: 'linked', node: link.peer }
        : { at: 'unreachable', why: 'another link with it is being settled' }
    }
    if (why.by === 'peer' && cause !== 'stopping' && cause !== 'leaving' && cause !== 'timeout') {
      this.#refusals.add(address, `refused by peer: ${cause}`)
      return { at: 'refused', reason: `refused by peer: ${cause}` }
    }
    if (why.by === 'us' && (cause === 'wrong identity' || cause === 'identity changed' || cause === 'removed')) {
      return { at: 'refused', reason: cause }
    }
    if (why.by === 'us' && cause !== 'timeout' && !this.#stopped) {
      this.#refusals.add(address, cause)
      return { at: 'refused', reason: cause }
    }
    // In TLS 1.3 the client is through before the server has judged its certificate, and the acceptor is the client.
    if (why.by === 'stream' && link.dialled === null && !link.proven) {
      this.#refusals.add(address, 'refused by peer')
    }
    return { at: 'unreachable', why: cause }
  }

  #settle(link: Link, outcome: DialOutcome): void {
    const owed = this.#owed.get(link)
    this.#owed.delete(link)
    owed?.(outcome)
  }
}
