// What this box has parked for members out of reach stands at a second box as well (CLUSTER 6): the death of this one does
// not lose what it has acknowledged for them. The second box is one that is heard; it keeps the job until it is
// dead. The stream is that of the copies of sessions, on a channel of its own; heldparked.ts is the other box's half.

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { every, type Timer } from '../../base/ports/clock.ts'
import type { Kept } from '../../broker/ports.ts'
import { decodeCopies, encodeCopies } from '../../wire/link/copies.ts'
import type { Channel, Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import { rendezvous } from '../rendezvous.ts'
import { CopyFeed } from '../sessions/copyfeed.ts'
import { HeldParked, type HeldParkedHome } from './heldparked.ts'
import type { Parking, ParkingTap } from './parking.ts'

const TICK_MS = 1000
/** A box without room is asked again after this time. */
const FULL_MS = 600_000
/** Feeds of this run that are remembered: it begins afresh only when a box has lost what it held. */
const NUMBERS_MAX = 256

export interface ParkedCopiesHome extends HeldParkedHome {
  readonly parking: Parking
  /** On how many boxes things are to be, this one included. */
  wanted(): number
}

export class ParkedCopies implements ParkingTap {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #home: ParkedCopiesHome
  readonly #channel: Channel
  readonly #held: HeldParked
  readonly #fullSinceMs = new Map<NodeId, number>()
  readonly #ticking: Timer
  /** At the second box; null: there is none, or nothing was parked yet. */
  #feed: CopyFeed | null = null
  /** Of the feeds of this run: one for each time that it began afresh. */
  readonly #numbers = new Set<number>()
  #armed = false

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, home: ParkedCopiesHome) {
    this.#world = world
    this.#membership = membership
    this.#home = home
    this.#channel = channels.open(
      'park',
      { priority: 'normal', queueBytes: 2 * limits.channelWindowBytes },
      {
        linked: (peer) => {
          if (this.#feed?.peer === peer) this.#feed.linked()
          this.#held.linked(peer)
        },
        unlinked: (peer) => {
          if (this.#feed?.peer === peer) this.#feed.unlinked()
        },
        received: (peer, bytes) => this.#received(peer, bytes),
        room: () => this.#arm(),
      },
    )
    this.#held = new HeldParked(world, membership, this.#channel, home, () => this.#arm())
    membership.onChange((member) => this.#memberChanged(member))
    home.parking.tap = this
    this.#ticking = every(world.clock, TICK_MS, 'park.tick', () => this.#tick())
  }

  stop(): void {
    this.#ticking.cancel()
    this.#feed?.silent()
  }

  /** Something is parked on this box alone, though another could have it. */
  get alone(): boolean {
    return this.#feed?.upToDate !== true && this.#home.wanted() > 1 && this.#channel.peers().length > 0
  }

  /** Looks, several times in a heartbeat, whether the second box has kept a publisher waiting for `longestMs`. */
  look(nowMs: number, longestMs: number): void {
    if (this.#feed?.isLate(nowMs, longestMs) !== true) return
    this.#world.meter.count('park.late')
    this.#feed.silent()
  }

  // What the parking tells

  parked(kept: Kept): void {
    if (this.#isGone) this.#choose()
    this.#feed?.staged(kept)
  }

  released(kept: Kept): void {
    this.#feed?.removed(kept, kept)
  }

  // Links and members

  #memberChanged({ id, state, linked }: MemberView): void {
    if (this.#feed?.peer !== id) return
    if (state === 'alive' && linked) this.#feed.heard()
    else this.#feed.silent()
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeCopies(bytes)
    const feed = this.#feed?.peer === peer ? this.#feed : null
    switch (message?.kind) {
      case 'have':
        return this.#have(peer, message.feed, message.sequence)
      case 'took':
        return feed?.took(message.feed, message.sequence)
      case 'done':
        if (feed !== null) for (const id of message.ids) this.#home.parking.passedOn(id)
        return
      case 'full':
        this.#world.log.warn({ peer }, 'a box has no room for what is parked here')
        this.#fullSinceMs.set(peer, this.#world.clock.now())
        if (feed !== null) this.#leave()
        return
      case 'begin':
      case 'batch':
      case 'whole':
        return this.#held.received(peer, message)
      default:
        this.#world.meter.count('park.unknown')
    }
  }

  /** A box says what it holds of ours. */
  #have(peer: NodeId, number: number, sequence: number): void {
    const feed = this.#feed
    if (feed?.peer === peer) {
      if (!feed.has(number, sequence)) feed.begin(this.#number(), [...this.#home.parking.records])
      return
    }
    if (number === 0) return
    // Another has it, and so have we.
    if (this.#numbers.has(number)) return this.#nothingAt(peer)
    // Of an earlier run: it may have what we have lost, and is told what we have.
    if (feed !== null) this.#leave()
    this.#beginAt(peer)
  }

  #nothingAt(peer: NodeId): void {
    this.#channel.send(peer, encodeCopies({ kind: 'begin', feed: 0 }))
  }

  #leave(): void {
    if (this.#feed !== null) this.#nothingAt(this.#feed.peer)
    this.#feed?.silent()
    this.#feed = null
  }

  /** Of the boxes that are heard; what is parked already goes there a little at a time. */
  #choose(): void {
    if (this.#home.wanted() < 2) return
    const nowMs = this.#world.clock.now()
    const takers = this.#channel.peers().filter((peer) => {
      const full = this.#fullSinceMs.get(peer)
      return this.#membership.member(peer)?.state === 'alive' && (full === undefined || nowMs - full >= FULL_MS)
    })
    const peer = rendezvous(this.#membership.self, takers)
    // Who has it, and is dead, keeps it as long as there is nobody else.
    if (peer === null) return
    if (this.#feed !== null) this.#world.meter.count('park.replaced')
    this.#leave()
    this.#beginAt(peer)
  }

  #beginAt(peer: NodeId): void {
    const { parking } = this.#home
    const feed = new CopyFeed(
      peer,
      0,
      this.#channel,
      parking.positions,
      () => this.#world.clock.now(),
      () => this.#arm(),
      () => 0,
    )
    this.#feed = feed
    feed.linked()
    feed.begin(this.#number(), [...parking.records])
  }

  /** Never 0, which says that nothing is to be held. */
  #number(): number {
    const number = 1 + this.#world.random.bytes(5).readUIntBE(0, 5)
    this.#numbers.add(number)
    const oldest = this.#numbers.keys().next()
    if (this.#numbers.size > NUMBERS_MAX && oldest.done !== true) this.#numbers.delete(oldest.value)
    return number
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#world.clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#armed = false
    this.#held.acknowledge()
    this.#feed?.flush()
  }

  #tick(): void {
    this.#held.look(this.#world.clock.now())
    if (this.#isGone && this.#home.parking.count > 0) this.#choose()
  }

  /** There is no second box, or it is dead: often it is the very member that things are parked for. */
  get #isGone(): boolean {
    if (this.#feed === null) return true
    const state = this.#membership.member(this.#feed.peer)?.state
    return state === 'dead' || state === 'left'
  }
}
