// Sessions that go out of this box: departures to where their clients have connected, and what is owed to the owners of
// sessions that were kept going here. At most so many returns run at once to one box; the others wait their turn.

import { PeerError } from '../../base/errors.ts'
import type { ClientId, NodeId } from '../../base/ids.ts'
import type { LocalSessions, SessionImport, SessionView } from '../../broker/ports.ts'
import {
  beginRecords,
  encodeSession,
  endRecords,
  type SessionMessage,
  type Side,
  type Want,
} from '../../wire/link/sessions.ts'
import type { Channel, FeatureWorld, Membership } from '../ports.ts'
import { Departure } from './departures.ts'
import { noEpoch } from './directory.ts'

/** Returns under way to one box. */
const OFFERS_MAX = 16
/** When an owner says that it is busy with that session, it is asked again after this time. */
const AGAIN_MS = 1000

export interface HandoverHome {
  local(): LocalSessions | null
  /** What this node, as the owner, wants of a session that a member has kept going under that epoch. */
  wants(clientId: ClientId, epoch: SessionView['epoch'], from: NodeId): Want
  /** Whether the session here is what that of an earlier epoch has become, and did not begin anew since. */
  goesOn(clientId: ClientId, epoch: SessionView['epoch']): boolean
  /** A departure or return ended before all of it was there. */
  interrupted(session: SessionView): void
  /** The owner has all that was kept here for it. */
  returned(clientId: ClientId, owner: NodeId): void
  /** Calls `passed` for each member when what it has sent here has come, `done` when that is so of all. */
  barrier(owner: NodeId, passed: (member: NodeId) => void, done: () => void): void
}

interface Offer {
  readonly clientId: ClientId
  readonly peer: NodeId
  readonly number: number
}

interface Return {
  readonly peer: NodeId
  readonly clientId: ClientId
  readonly into: SessionImport
}

const keyOf = (peer: NodeId, side: Side, number: number): string => `${peer} ${side} ${number}`

export class Handovers {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #channel: Channel
  readonly #home: HandoverHome
  readonly #departures = new Map<string, Departure>()
  /** Returns that come in. */
  readonly #taking = new Map<string, Return>()
  /** Sessions here that belong to another, to be offered to it. */
  readonly #owed = new Map<ClientId, NodeId>()
  readonly #offers = new Map<ClientId, Offer>()
  #number: number

  constructor(world: FeatureWorld, membership: Membership, channel: Channel, home: HandoverHome) {
    this.#world = world
    this.#membership = membership
    this.#channel = channel
    this.#home = home
    this.#number = world.random.bytes(4).readUInt32BE(0)
  }

  /** Sessions here that belong to other boxes. */
  get owed(): number {
    return this.#owed.size
  }

  isBusy(clientId: ClientId): boolean {
    for (const { session } of this.#departures.values()) if (session.clientId === clientId) return true
    for (const taking of this.#taking.values()) if (taking.clientId === clientId) return true
    return false
  }

  /** The session's client has connected at `peer`, whose claim has that number. */
  depart(peer: NodeId, number: number, session: SessionView): void {
    const local = this.#home.local()!
    local.put(session, { at: 'departing', to: peer })
    this.#start(peer, 'claim', number, session, 'all', false)
  }

  /** The client of a session that is leaving waits, here: nobody is waited for any more. */
  hurry(clientId: ClientId): void {
    for (const [key, { session }] of this.#departures) if (session.clientId === clientId) this.#hurry(key)
  }

  /** The client is back, and the box that its session was to go to is not heard: it stays. */
  reclaim(clientId: ClientId): void {
    for (const [key, departure] of [...this.#departures]) {
      const { peer, side, number, session } = departure
      if (session.clientId !== clientId) continue
      // What that box has got of it is all that it gets.
      this.#channel.send(peer, endRecords(beginRecords(side, number), 'end'))
      this.#interrupt(key, departure)
    }
  }

  /** The session here belongs to `owner`, which is to have it when it is there. */
  owe(session: SessionView, owner: NodeId): void {
    this.#owed.set(session.clientId, owner)
    this.#offer(owner)
  }

  linked(peer: NodeId): void {
    this.#offer(peer)
  }

  unlinked(peer: NodeId): void {
    for (const [clientId, offer] of [...this.#offers]) if (offer.peer === peer) this.#unoffered(clientId)
    for (const [key, departure] of [...this.#departures]) if (departure.peer === peer) this.#interrupt(key, departure)
    this.#givenUp((taking) => taking.peer === peer)
  }

  room(peer: NodeId): void {
    for (const departure of this.#departures.values()) if (departure.peer === peer) departure.pump()
    this.#offer(peer)
  }

  received(peer: NodeId, message: Exclude<SessionMessage, { kind: 'claim' | 'none' | 'passed' | 'waits' }>): void {
    switch (message.kind) {
      case 'more': {
        const departure = this.#departures.get(keyOf(peer, message.side, message.number))
        if (departure?.more() === false) throw new PeerError('session: asked for more than was sent')
        return
      }
      case 'routed':
        return this.#routed(keyOf(peer, 'claim', message.number))
      case 'hurry':
        return this.#hurry(keyOf(peer, 'claim', message.number))
      case 'whole':
        return this.#whole(keyOf(peer, message.side, message.number))
      case 'stop': {
        const key = keyOf(peer, message.side, message.number)
        const departure = this.#departures.get(key)
        return departure === undefined ? undefined : this.#interrupt(key, departure)
      }
      case 'offer':
        return this.#offered(peer, message)
      case 'wanted':
        return this.#wanted(peer, message.number, message.what)
      case 'records':
        return this.#records(peer, message)
    }
  }

  // Out

  #start(
    peer: NodeId,
    side: Side,
    number: number,
    session: SessionView,
    what: 'all' | { readonly above: number },
    mayEnd: boolean,
  ): void {
    const nowMs = () => this.#world.clock.now()
    const local = this.#home.local()!
    const departure = new Departure({ peer, side, number }, session, what, mayEnd, local, this.#channel, nowMs)
    this.#departures.set(keyOf(peer, side, number), departure)
    departure.pump()
  }

  #routed(key: string): void {
    const departure = this.#departures.get(key)
    if (departure === undefined) return
    departure.routed = true
    if (departure.hurried) return departure.end()
    this.#home.barrier(
      departure.peer,
      (member) => departure.passed(member),
      () => departure.end(),
    )
  }

  /** Messages of a member that is silent come when they come; the client does not wait for them. */
  #hurry(key: string): void {
    const departure = this.#departures.get(key)
    if (departure === undefined || departure.hurried) return
    this.#world.meter.count('sessions.hurried')
    departure.hurried = true
    if (departure.routed) departure.end()
  }

  #whole(key: string): void {
    const departure = this.#departures.get(key)
    if (departure === undefined) return
    this.#departures.delete(key)
    const { session, peer, side } = departure
    this.#forget(session.clientId)
    const local = this.#home.local()
    if (local !== null && local.get(session.clientId) === session) local.drop(session)
    if (side === 'offer') this.#home.returned(session.clientId, peer)
    this.#offer(peer)
  }

  #interrupt(key: string, departure: Departure): void {
    this.#departures.delete(key)
    this.#offers.delete(departure.session.clientId)
    this.#home.interrupted(departure.session)
  }

  #forget(clientId: ClientId): void {
    this.#owed.delete(clientId)
    this.#offers.delete(clientId)
  }

  /** Its offer is void: it goes to its owner again, who may be another by now. */
  #unoffered(clientId: ClientId): void {
    this.#offers.delete(clientId)
    const owner = this.#owed.get(clientId)
    if (owner !== undefined) this.#offer(owner)
  }

  #offer(peer: NodeId): void {
    const local = this.#home.local()
    if (local === null || this.#membership.member(peer)?.linked !== true) return
    let left = OFFERS_MAX
    for (const offer of this.#offers.values()) if (offer.peer === peer) left--
    for (const [clientId, owner] of this.#owed) {
      if (left <= 0) return
      if (owner !== peer || this.#offers.has(clientId)) continue
      const session = local.get(clientId)
      if (session === undefined || session.place.at !== 'standing-in') {
        this.#owed.delete(clientId)
        continue
      }
      const number = (this.#number = (this.#number + 1) >>> 0)
      const epoch = session.epoch ?? noEpoch(this.#membership.self)
      if (this.#channel.send(peer, encodeSession({ kind: 'offer', number, epoch, clientId })) !== 'sent') return
      this.#offers.set(clientId, { clientId, peer, number })
      left--
    }
  }

  #wanted(peer: NodeId, number: number, what: Want): void {
    const local = this.#home.local()
    const offer = [...this.#offers.values()].find((one) => one.peer === peer && one.number === number)
    if (local === null) return
    if (offer === undefined) {
      // It came to nothing meanwhile: nobody is to wait for it.
      if (what === 'new' || what === 'all') this.#channel.send(peer, endRecords(beginRecords('offer', number), 'end'))
      return
    }
    const { clientId } = offer
    const session = local.get(clientId)
    if (session === undefined || session.place.at !== 'standing-in') return this.#forget(clientId)
    if (what === 'later') {
      this.#world.clock.after(AGAIN_MS, 'sessions.offer', () => {
        if (this.#offers.get(clientId) === offer) this.#unoffered(clientId)
      })
      return
    }
    if (what === 'nothing') {
      this.#forget(clientId)
      local.over(session)
      this.#home.returned(clientId, peer)
      return this.#offer(peer)
    }
    this.#start(peer, 'offer', number, session, what === 'all' ? 'all' : { above: session.place.after }, true)
  }

  // In

  #offered(peer: NodeId, { number, clientId, epoch }: SessionMessage & { kind: 'offer' }): void {
    const local = this.#home.local()
    // Whoever offers it anew has given up what it offered before.
    this.#givenUp((taking) => taking.peer === peer && taking.clientId === clientId)
    const what = local === null ? 'later' : this.#home.wants(clientId, epoch, peer)
    this.#world.meter.count(`sessions.offered.${what}`)
    if (local !== null && (what === 'new' || what === 'all')) {
      const into =
        what === 'all'
          ? local.take(peer, 'arriving')
          : local.join(local.get(clientId)!, this.#home.goesOn(clientId, epoch))
      this.#taking.set(keyOf(peer, 'offer', number), { peer, clientId, into })
    }
    this.#channel.send(peer, encodeSession({ kind: 'wanted', number, what }))
  }

  #records(peer: NodeId, { side, number, part, items }: SessionMessage & { kind: 'records' }): void {
    const key = keyOf(peer, side, number)
    const taking = this.#taking.get(key)
    if (taking === undefined) return
    taking.into.add(items)
    this.#channel.send(peer, encodeSession({ kind: 'more', side, number }))
    if (part !== 'end') return
    this.#taking.delete(key)
    taking.into.end()
    this.#channel.send(peer, encodeSession({ kind: 'whole', side, number }))
  }

  #givenUp(by: (taking: Return) => boolean): void {
    for (const [key, taking] of [...this.#taking]) {
      if (!by(taking)) continue
      this.#taking.delete(key)
      taking.into.end()
    }
  }
}
