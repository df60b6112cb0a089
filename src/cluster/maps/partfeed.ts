// The owner's half of an OwnedMap: this node's own part, and every follower brought and kept up to date with it.
//
// A follower that kept the part goes on with the deltas since; one that missed more than is kept gets the whole part,
// some entries at a time, among the deltas. Each acknowledges what it has applied, and those who wait are told.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import { every, type Timer } from '../../base/ports/clock.ts'
import type { StampClock } from '../../base/stamps.ts'
import { encodeOwned, type OwnedMessage, type Position } from '../../wire/link/owned.ts'
import type { FeatureWorld, Membership } from '../ports.ts'
import { incarnationAbove, OwnPart, SnapshotCursor } from './ownpart.ts'
import { Follower, Waiters } from './taken.ts'

/**
 * Bytes of entries in one message of a snapshot, and how many such messages may be on their way: little enough that a
 * message behind them waits for a few milliseconds only, even on a slow LAN.
 */
export const ENTRIES_BYTES = 8 * KiB
const ENTRIES_IN_FLIGHT = 4
const DIGEST_EVERY_MS = 10_000
/** The digest also goes out when nothing has changed for this long after a change. */
const CALM_MS = 2000
/** Nobody waits longer than this for a member that lives but does not take what it is sent. */
const TAKEN_WITHIN_MS = 5000
/** Above any wall part that makes sense, so that counting on from it still fits 48 bits. */
const WALL_MS_MAX = 2 ** 47

export class PartFeed {
  /** Names the timers and counters. */
  readonly #name: string
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #stamps: StampClock
  readonly #send: (peer: NodeId, bytes: Buffer) => boolean
  readonly #part: OwnPart
  readonly #followers = new Map<NodeId, Follower>()
  readonly #waiters = new Waiters()
  readonly #digests: Timer
  #late: Timer | null = null
  #calm: Timer | null = null
  #calmSequence = 0

  /** `send` answers false when the message found no room or no link; `feed` is then called when there is room. */
  constructor(
    name: string,
    world: FeatureWorld,
    membership: Membership,
    stamps: StampClock,
    send: (peer: NodeId, bytes: Buffer) => boolean,
  ) {
    this.#name = name
    this.#world = world
    this.#membership = membership
    this.#stamps = stamps
    this.#send = send
    this.#part = new OwnPart(stamps.next(), world.random.bytes(4).readUInt32BE(0))
    const jitter = () => world.random.fraction() * 0.1
    this.#digests = every(world.clock, DIGEST_EVERY_MS, `${name}.digest`, this.#sendDigests, jitter)
  }

  get entries(): ReadonlyMap<string, Buffer> {
    return this.#part.entries
  }

  get isDirty(): boolean {
    return this.#part.isDirty
  }

  stop(): void {
    this.#digests.cancel()
    this.#calm?.cancel()
    this.#late?.cancel()
  }

  set(key: string, value: Buffer | null): number {
    const sequence = this.#part.set(key, value)
    if (this.#followers.size === 0) this.#part.sealUnheard()
    return sequence
  }

  whenTaken(sequence: number, done: () => void): void {
    if (this.#isTaken(sequence)) return done()
    this.#waiters.add(sequence, this.#world.clock.now(), done)
    this.#late ??= this.#world.clock.after(TAKEN_WITHIN_MS, `${this.#name}.late`, this.#leaveLate)
  }

  /** The end of a turn: what changed in it goes to all. */
  turn(): void {
    this.#part.seal()
    if (this.#part.sequence !== this.#calmSequence) this.#awaitCalm()
    for (const follower of this.#followers.values()) this.#feed(follower)
  }

  // Followers

  /** A member is to follow: it is waited for from now on, whether its channel is open already or not. */
  expect(peer: NodeId): void {
    if (!this.#followers.has(peer)) this.#followers.set(peer, new Follower(peer))
  }

  linked(peer: NodeId): void {
    this.expect(peer)
    this.#followers.get(peer)!.linked = true
  }

  unlinked(peer: NodeId): void {
    this.#followers.get(peer)?.unlink()
    this.recheck()
  }

  forget(peer: NodeId): void {
    this.#followers.delete(peer)
    this.recheck()
  }

  /** Who is waited for may have changed. */
  recheck(): void {
    if (this.#waiters.isEmpty) return
    for (const sequence of [...this.#waiters.sequences]) {
      if (this.#isTaken(sequence)) this.#waiters.release(sequence)
    }
    if (!this.#waiters.isEmpty) return
    this.#late?.cancel()
    this.#late = null
  }

  /** Sends what a peer lacks, as far as there is room. */
  feed(peer: NodeId): void {
    const follower = this.#followers.get(peer)
    if (follower !== undefined) this.#feed(follower)
  }

  /** A message of a follower; throws PeerError. */
  received(peer: NodeId, message: OwnedMessage & { kind: 'follow' | 'more' | 'taken' }): void {
    const follower = this.#followers.get(peer)
    if (follower === undefined) return
    switch (message.kind) {
      case 'follow':
        return this.#asked(follower, message.position, message.whole)
      case 'more':
        if (follower.entriesInFlight === 0) throw new PeerError('owned map: asked for more than was sent')
        follower.entriesInFlight--
        return
      case 'taken':
        return this.#taken(follower, message.sequence, message.whole)
    }
  }

  #asked(follower: Follower, place: Position, whole: boolean): void {
    const first = !follower.following
    follower.following = true
    if (place.incarnation.wallMs > WALL_MS_MAX) throw new PeerError('owned map: an incarnation out of this world')
    const known = place.incarnation.wallMs > 0 && place.incarnation.node === this.#membership.self
    if (first && known && this.#part.compare(place) === 'ahead') return this.#rise(follower, place)
    follower.forget()
    if (first && known && whole && this.#part.canResume(place)) {
      follower.sent = place.sequence
      follower.whole = place.sequence
      follower.due = 'resume'
      this.recheck()
    } else {
      follower.restart()
    }
  }

  /**
   * An earlier run of this node was at an incarnation that is not below ours: what followers hold of it must never
   * pass for newer than what we say now.
   */
  #rise(follower: Follower, place: Position): void {
    this.#part.rise(incarnationAbove(place.incarnation, this.#stamps.next()))
    this.#world.meter.count(`${this.#name}.risen`)
    this.#world.log.warn({ peer: follower.peer }, 'own part was known at a later incarnation, starting a higher one')
    for (const other of this.#followers.values()) {
      if (other.following) other.restart()
    }
  }

  #taken(follower: Follower, sequence: number, whole: boolean): void {
    if (!follower.following || sequence > follower.sent) throw new PeerError('owned map: took what was not sent')
    follower.applied = Math.max(follower.applied, sequence)
    if (whole) follower.whole = Math.max(follower.whole, sequence)
    if (follower.whole >= follower.lateUntil) follower.lateUntil = -1
    this.recheck()
  }

  // What goes out

  #feed(follower: Follower): void {
    if (!follower.following || !this.#answer(follower)) return
    do {
      if (!this.#feedDeltas(follower)) return
    } while (follower.snapshot !== null && this.#feedEntries(follower))
  }

  #answer(follower: Follower): boolean {
    switch (follower.due) {
      case 'nothing':
        return true
      case 'resume':
        if (!this.#send(follower.peer, encodeOwned({ kind: 'resume', sequence: follower.sent }))) return false
        follower.due = 'nothing'
        return true
      case 'begin':
        return this.#begin(follower)
    }
  }

  #begin(follower: Follower): boolean {
    const { position } = this.#part
    if (!this.#send(follower.peer, encodeOwned({ kind: 'begin', position }))) return false
    follower.due = 'nothing'
    follower.sent = position.sequence
    follower.begun = position.sequence
    follower.snapshot = new SnapshotCursor(this.#part)
    return true
  }

  /** All deltas that are sealed; false: no room, or the whole part must go instead and there is no room for that. */
  #feedDeltas(follower: Follower): boolean {
    while (follower.sent < this.#part.sequence) {
      const bytes = this.#part.delta(follower.sent + 1)
      if (bytes === null) {
        this.#world.meter.count(`${this.#name}.lagged`)
        follower.restart()
        if (!this.#begin(follower)) return false
      } else {
        if (!this.#send(follower.peer, bytes)) return false
        follower.sent++
      }
    }
    return true
  }

  /** One message of a snapshot; true when deltas should be looked at before the next. */
  #feedEntries(follower: Follower): boolean {
    if (follower.unsent === null) {
      if (follower.entriesInFlight >= ENTRIES_IN_FLIGHT) return false
      const entries = follower.snapshot!.next(ENTRIES_BYTES)
      if (entries.length === 0) return this.#end(follower)
      follower.unsent = encodeOwned({ kind: 'entries', entries })
    }
    if (!this.#send(follower.peer, follower.unsent)) return false
    follower.unsent = null
    follower.entriesInFlight++
    return true
  }

  #end(follower: Follower): boolean {
    // The summary is that of a sealed delta which this follower has been sent.
    this.#part.seal()
    if (follower.sent < this.#part.sequence) return true
    if (this.#send(follower.peer, encodeOwned({ kind: 'end', summary: this.#part.summary }))) follower.snapshot = null
    return false
  }

  // Acknowledgements

  #isTaken(sequence: number): boolean {
    for (const follower of this.#followers.values()) {
      if (this.#isAwaited(follower) && !follower.has(sequence)) return false
    }
    return true
  }

  #isAwaited(follower: Follower): boolean {
    if (follower.lateUntil >= 0) return false
    const member = this.#membership.member(follower.peer)
    if (member === null) return follower.linked
    return member.state === 'alive' && (member.linked || follower.linked)
  }

  /** Somebody may have waited long enough: those who hold it up are not waited for until they have caught up. */
  readonly #leaveLate = (): void => {
    this.#late = null
    const { clock, meter, log } = this.#world
    const oldest = this.#waiters.oldest
    if (oldest === null) return
    const leftMs = oldest.sinceMs + TAKEN_WITHIN_MS - clock.now()
    if (leftMs <= 0) {
      for (const follower of this.#followers.values()) {
        if (!this.#isAwaited(follower) || follower.has(oldest.sequence)) continue
        follower.lateUntil = this.#part.sequence
        meter.count(`${this.#name}.late`)
        log.warn({ peer: follower.peer }, 'a member does not take what it is sent: not waiting for it')
      }
      this.recheck()
    }
    if (this.#waiters.isEmpty) return
    this.#late ??= clock.after(Math.max(leftMs, TAKEN_WITHIN_MS / 10), `${this.#name}.late`, this.#leaveLate)
  }

  // Digests

  #awaitCalm(): void {
    if (this.#calm !== null) return
    this.#calmSequence = this.#part.sequence
    this.#calm = this.#world.clock.after(CALM_MS, `${this.#name}.calm`, () => {
      this.#calm = null
      if (this.#part.sequence === this.#calmSequence) this.#sendDigests()
      else this.#awaitCalm()
    })
  }

  readonly #sendDigests = (): void => {
    if (this.#part.isDirty) return
    let bytes: Buffer | null = null
    for (const follower of this.#followers.values()) {
      if (!follower.following || follower.due !== 'nothing' || follower.snapshot !== null) continue
      if (follower.sent !== this.#part.sequence) continue
      bytes ??= encodeOwned({ kind: 'digest', summary: this.#part.summary })
      this.#send(follower.peer, bytes)
    }
  }
}
