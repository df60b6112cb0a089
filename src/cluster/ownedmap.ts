// A replicated structure in which each node writes its own part and follows everybody else's, each over the owner's
// own link: nothing that one member says of another's part is ever believed.
//
// As owner: changes of a turn become one numbered delta; a follower that has missed deltas which are no longer kept
// gets the whole part, some entries at a time, among the deltas. As follower: tells the owner on each link what it
// holds, applies, acknowledges, and compares a digest now and then. The messages are drawn in wire/link/owned.ts.

import { PeerError } from '../base/errors.ts'
import type { NodeId } from '../base/ids.ts'
import { KiB, limits } from '../base/limits.ts'
import type { Meter } from '../base/meter.ts'
import { type Clock, every, type Timer } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { Random } from '../base/ports/random.ts'
import type { StampClock } from '../base/stamps.ts'
import {
  decodeOwned,
  encodeOwned,
  entryBytes,
  KEY_BYTES_MAX,
  type OwnedMessage,
  type Position,
} from '../wire/link/owned.ts'
import { DELTA_BYTES, incarnationAbove, OwnPart, SnapshotCursor } from './ownpart.ts'
import { type PartBounds, PeerPart } from './peerpart.ts'
import type { Channel, Channels, Membership, MemberView } from './ports.ts'
import { Follower, Waiters } from './taken.ts'

export interface FeatureWorld {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly meter: Meter
}

export interface OwnedMapEvents {
  /** An entry of a member's part appeared, changed or went (null). */
  changed(owner: NodeId, key: string, value: Buffer | null): void
  /** The member is dead: its entries are kept but do not count. */
  partHidden(owner: NodeId): void
  /** It is back: what is kept counts again, until its own word arrives. */
  partShown(owner: NodeId): void
  /** It is no member any more. `part` is what was held; it is the listener's now, to clean up in its own time. */
  partDropped(owner: NodeId, part: PeerPart): void
}

export interface OwnedMapOptions extends PartBounds {
  /** Names the channel (`owned.name`), counters and log lines. */
  readonly name: string
}

/** Bytes of entries in one message of a snapshot, and how many such messages may be on their way: little enough
 * that a message behind them waits for a few milliseconds only on a slow LAN. */
const ENTRIES_BYTES = 8 * KiB
const ENTRIES_IN_FLIGHT = 4
/** Removed entries swept per turn after a snapshot. */
const SWEEP_ENTRIES = 2000
const QUEUE_BYTES = limits.channelWindowBytes
const DIGEST_EVERY_MS = 10_000
/** The digest also goes out when nothing has changed for this long after a change. */
const CALM_MS = 2000
/** Nobody waits longer than this for a member that lives but does not take what it is sent. */
const TAKEN_WITHIN_MS = 5000
/** A part that came out wrong twice within this time is asked for again only after it. */
const REPAIR_PAUSE_MS = 10_000
/** Above the latest wall part that makes sense, so that counting on from it still fits 48 bits. */
const WALL_MS_MAX = 2 ** 47

/** What is owed to one peer as the owner of the part that we follow. */
interface Following {
  readonly part: PeerPart
  visible: boolean
  followDue: boolean
  takenDue: boolean
  moreDue: number
  sweeping: boolean
  repairedAt: number
  repair: Timer | null
}

export class OwnedMap {
  readonly #options: OwnedMapOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #meter: Meter
  readonly #membership: Membership
  readonly #stamps: StampClock
  readonly #events: OwnedMapEvents
  readonly #channel: Channel
  readonly #own: OwnPart
  readonly #followers = new Map<NodeId, Follower>()
  readonly #following = new Map<NodeId, Following>()
  readonly #waiters = new Waiters()
  #late: Timer | null = null
  #calm: Timer | null = null
  readonly #digests: Timer
  #calmSequence = 0
  #turnArmed = false

  constructor(
    options: OwnedMapOptions,
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    events: OwnedMapEvents,
  ) {
    this.#options = options
    this.#clock = world.clock
    this.#log = world.log.child({ map: options.name })
    this.#meter = world.meter
    this.#membership = membership
    this.#stamps = stamps
    this.#events = events
    this.#own = new OwnPart(stamps.next(), world.random.bytes(4).readUInt32BE(0))
    this.#channel = channels.open(
      `owned.${options.name}`,
      {
        priority: 'normal',
        queueBytes: QUEUE_BYTES,
        messageBytes: ENTRIES_BYTES + DELTA_BYTES + entryBytes(KEY_BYTES_MAX, options.valueBytesMax),
      },
      {
        linked: (peer) => this.#linked(peer),
        unlinked: (peer) => this.#unlinked(peer),
        received: (peer, message) => this.#received(peer, message),
        room: (peer) => this.#pump(peer),
      },
    )
    membership.onChange((member) => this.#memberChanged(member))
    const jitter = () => world.random.fraction() * 0.1
    this.#digests = every(world.clock, DIGEST_EVERY_MS, `owned.${options.name}.digest`, this.#sendDigests, jitter)
  }

  /** Stops its timers; the node is about to end. */
  stop(): void {
    this.#digests.cancel()
    this.#calm?.cancel()
    this.#late?.cancel()
    for (const following of this.#following.values()) following.repair?.cancel()
  }

  /** This node's own entries. */
  get own(): ReadonlyMap<string, Buffer> {
    return this.#own.entries
  }

  /** Members whose parts are held, hidden ones included. */
  get owners(): IterableIterator<NodeId> {
    return this.#following.keys()
  }

  /** A member's part as it is known here. */
  part(owner: NodeId): PeerPart | null {
    return this.#following.get(owner)?.part ?? null
  }

  /**
   * Changes an entry of this node's part; null removes it. Returns the sequence for `whenTaken`, or null when the part
   * is full and the entry was not taken.
   */
  set(key: string, value: Buffer | null): number | null {
    if (value !== null && this.#own.entries.size >= this.#options.entriesMax && !this.#own.entries.has(key)) {
      this.#meter.count(`owned.${this.#options.name}.full`)
      return null
    }
    const sequence = this.#own.set(key, value)
    if (this.#followers.size === 0) this.#own.sealUnheard()
    else this.#armTurn()
    return sequence
  }

  /** Calls `done` once every linked, not suspect member has applied that sequence: at once when all have, or none is. */
  whenTaken(sequence: number, done: () => void): void {
    if (this.#isTaken(sequence)) return done()
    this.#waiters.add(sequence, this.#clock.now(), done)
    this.#late ??= this.#clock.after(TAKEN_WITHIN_MS, `owned.${this.#options.name}.late`, this.#leaveLate)
  }

  // Links and members

  #linked(peer: NodeId): void {
    this.#unlinked(peer)
    this.#follower(peer).linked = true
    const following = this.#follow(peer)
    following.followDue = true
    this.#pump(peer)
  }

  #unlinked(peer: NodeId): void {
    this.#followers.get(peer)?.unlink()
    const following = this.#following.get(peer)
    if (following !== undefined) {
      following.part.away()
      following.followDue = false
      following.takenDue = false
      following.moreDue = 0
      following.repair?.cancel()
      following.repair = null
    }
    this.#releaseTaken()
  }

  #memberChanged(member: MemberView): void {
    if (member.state === 'left') {
      if (!member.linked) this.#forget(member.id)
    } else {
      if (member.linked) this.#follower(member.id)
      const following = this.#following.get(member.id)
      const visible = member.state !== 'dead'
      if (following !== undefined && following.visible !== visible) {
        following.visible = visible
        if (visible) this.#events.partShown(member.id)
        else this.#events.partHidden(member.id)
      }
    }
    this.#releaseTaken()
  }

  #forget(peer: NodeId): void {
    this.#followers.delete(peer)
    const following = this.#following.get(peer)
    if (following === undefined) return
    this.#following.delete(peer)
    following.repair?.cancel()
    this.#events.partDropped(peer, following.part)
  }

  #follower(peer: NodeId): Follower {
    let follower = this.#followers.get(peer)
    if (follower === undefined) {
      follower = new Follower(peer)
      this.#followers.set(peer, follower)
    }
    return follower
  }

  #follow(owner: NodeId): Following {
    let following = this.#following.get(owner)
    if (following === undefined) {
      following = {
        part: new PeerPart(owner, this.#options, (key, value) => this.#events.changed(owner, key, value)),
        visible: this.#membership.member(owner)?.state !== 'dead',
        followDue: false,
        takenDue: false,
        moreDue: 0,
        sweeping: false,
        repairedAt: Number.NEGATIVE_INFINITY,
        repair: null,
      }
      this.#following.set(owner, following)
      if (!following.visible) this.#events.partHidden(owner)
    }
    return following
  }

  // What arrives

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeOwned(bytes)
    if (message === null) return this.#meter.count(`owned.${this.#options.name}.unknown`)
    const follower = this.#followers.get(peer)
    const following = this.#following.get(peer)
    if (follower === undefined || following === undefined) return
    switch (message.kind) {
      case 'follow':
        this.#asked(follower, message.position, message.whole)
        break
      case 'more':
        if (follower.entriesInFlight === 0) throw new PeerError('owned map: asked for more than was sent')
        follower.entriesInFlight--
        break
      case 'taken':
        this.#taken(follower, message.sequence, message.whole)
        break
      default:
        this.#told(following, message)
    }
    this.#armTurn()
  }

  /** As owner: a follower says what it holds. */
  #asked(follower: Follower, place: Position, whole: boolean): void {
    const first = !follower.following
    follower.following = true
    if (place.incarnation.wallMs > WALL_MS_MAX) throw new PeerError('owned map: an incarnation out of this world')
    const known = place.incarnation.wallMs > 0 && place.incarnation.node === this.#membership.self
    if (first && known && this.#own.compare(place) === 'ahead') return this.#rise(follower, place)
    follower.forget()
    if (first && known && whole && this.#own.canResume(place)) {
      follower.sent = place.sequence
      follower.whole = place.sequence
      follower.due = 'resume'
      this.#releaseTaken()
    } else {
      follower.restart()
    }
  }

  /**
   * An earlier run of this node was at an incarnation that is not below ours: what followers hold of it must never
   * pass for newer than what we say now.
   */
  #rise(follower: Follower, place: Position): void {
    this.#own.rise(incarnationAbove(place.incarnation, this.#stamps.next()))
    this.#meter.count(`owned.${this.#options.name}.risen`)
    this.#log.warn({ peer: follower.peer }, 'own part was known at a later incarnation, starting a higher one')
    for (const other of this.#followers.values()) {
      if (other.following) other.restart()
    }
  }

  #taken(follower: Follower, sequence: number, whole: boolean): void {
    if (!follower.following || sequence > follower.sent) throw new PeerError('owned map: took what was not sent')
    follower.applied = Math.max(follower.applied, sequence)
    if (whole) follower.whole = Math.max(follower.whole, sequence)
    if (follower.whole >= follower.lateUntil) follower.lateUntil = -1
    this.#releaseTaken()
  }

  /** As follower: the owner answers or tells what changed. */
  #told(following: Following, message: OwnedMessage): void {
    const { part } = following
    switch (message.kind) {
      case 'resume':
        return part.resume(message.sequence)
      case 'begin':
        this.#meter.count(`owned.${this.#options.name}.snapshot`)
        part.begin(message.position)
        following.sweeping = false
        return
      case 'entries':
        following.moreDue++
        return part.fill(message.entries)
      case 'end':
        if (!part.end(message.summary)) this.#mismatch(following)
        else if (part.state === 'sweeping') this.#sweep(following)
        return
      case 'delta':
        switch (part.delta(message.sequence, message.changes)) {
          case 'applied':
            following.takenDue = true
            return
          case 'gap':
            this.#meter.count(`owned.${this.#options.name}.gap`)
            return this.#askAgain(following)
          case 'ignored':
            return
        }
        return
      case 'digest':
        if (part.state === 'current' && !part.agrees(message.summary)) this.#mismatch(following)
        return
    }
  }

  #sweep(following: Following): void {
    if (following.sweeping) return
    following.sweeping = true
    const slice = () => {
      if (!following.sweeping) return
      if (following.part.state !== 'sweeping' || following.part.sweep(SWEEP_ENTRIES)) {
        following.sweeping = false
        if (following.part.state !== 'current') return
        following.takenDue = true
        this.#pump(following.part.owner)
      } else {
        this.#clock.soon(slice)
      }
    }
    slice()
  }

  #mismatch(following: Following): void {
    const { owner } = following.part
    this.#meter.count(`owned.${this.#options.name}.digest-mismatch`)
    this.#log.error({ peer: owner }, 'a member`s part is not what it says it is: asking for all of it')
    const waitMs = following.repairedAt + REPAIR_PAUSE_MS - this.#clock.now()
    if (waitMs <= 0) return this.#askAgain(following)
    following.part.distrust()
    following.part.asked()
    following.repair ??= this.#clock.after(waitMs, `owned.${this.#options.name}.repair`, () => {
      following.repair = null
      this.#askAgain(following)
      this.#pump(owner)
    })
  }

  #askAgain(following: Following): void {
    following.repairedAt = this.#clock.now()
    following.part.distrust()
    following.part.asked()
    following.followDue = true
    following.takenDue = false
  }

  // What goes out

  #armTurn(): void {
    if (this.#turnArmed) return
    this.#turnArmed = true
    this.#clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#turnArmed = false
    this.#own.seal()
    if (this.#own.sequence !== this.#calmSequence) this.#awaitCalm()
    for (const peer of this.#followers.keys()) this.#pump(peer)
  }

  /** Sends what is due to a peer, as far as there is room: first what it waits for as owner, then our own part. */
  #pump(peer: NodeId): void {
    const following = this.#following.get(peer)
    if (following !== undefined && !this.#answer(following)) return
    const follower = this.#followers.get(peer)
    if (follower?.following) this.#feed(follower)
  }

  #answer(following: Following): boolean {
    const { part } = following
    if (following.followDue) {
      if (!this.#send(part.owner, { kind: 'follow', whole: part.whole, position: part.position })) return false
      following.followDue = false
      part.asked()
    }
    while (following.moreDue > 0) {
      if (!this.#send(part.owner, { kind: 'more' })) return false
      following.moreDue--
    }
    if (following.takenDue && part.state !== 'asked') {
      const { sequence } = part.position
      if (!this.#send(part.owner, { kind: 'taken', whole: part.state === 'current', sequence })) return false
      following.takenDue = false
    }
    return true
  }

  #feed(follower: Follower): void {
    if (!this.#feedAnswer(follower)) return
    do {
      if (!this.#feedDeltas(follower)) return
    } while (follower.snapshot !== null && this.#feedEntries(follower))
  }

  #feedAnswer(follower: Follower): boolean {
    switch (follower.due) {
      case 'nothing':
        return true
      case 'resume':
        if (!this.#send(follower.peer, { kind: 'resume', sequence: follower.sent })) return false
        follower.due = 'nothing'
        return true
      case 'begin':
        return this.#begin(follower)
    }
  }

  #begin(follower: Follower): boolean {
    const position = this.#own.position
    if (!this.#send(follower.peer, { kind: 'begin', position })) return false
    follower.due = 'nothing'
    follower.sent = position.sequence
    follower.begun = position.sequence
    follower.snapshot = new SnapshotCursor(this.#own)
    return true
  }

  /** All deltas that are sealed; false: no room, or the whole part must go instead and there is no room for that. */
  #feedDeltas(follower: Follower): boolean {
    while (follower.sent < this.#own.sequence) {
      const bytes = this.#own.delta(follower.sent + 1)
      if (bytes === null) {
        this.#meter.count(`owned.${this.#options.name}.lagged`)
        follower.restart()
        if (!this.#begin(follower)) return false
      } else {
        if (this.#channel.send(follower.peer, bytes) !== 'sent') return false
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
    if (this.#channel.send(follower.peer, follower.unsent) !== 'sent') return false
    follower.unsent = null
    follower.entriesInFlight++
    return true
  }

  #end(follower: Follower): boolean {
    // The summary is that of a sealed delta which this follower has been sent.
    this.#own.seal()
    if (follower.sent < this.#own.sequence) return true
    if (this.#send(follower.peer, { kind: 'end', summary: this.#own.summary })) follower.snapshot = null
    return false
  }

  #send(peer: NodeId, message: OwnedMessage): boolean {
    return this.#channel.send(peer, encodeOwned(message)) === 'sent'
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

  #releaseTaken(): void {
    if (this.#waiters.isEmpty) return
    for (const sequence of [...this.#waiters.sequences]) {
      if (this.#isTaken(sequence)) this.#waiters.release(sequence)
    }
    if (!this.#waiters.isEmpty) return
    this.#late?.cancel()
    this.#late = null
  }

  /** Somebody may have waited long enough: those who hold it up are not waited for until they have caught up. */
  readonly #leaveLate = (): void => {
    this.#late = null
    const oldest = this.#waiters.oldest
    if (oldest === null) return
    const leftMs = oldest.sinceMs + TAKEN_WITHIN_MS - this.#clock.now()
    if (leftMs <= 0) {
      for (const follower of this.#followers.values()) {
        if (!this.#isAwaited(follower) || follower.has(oldest.sequence)) continue
        follower.lateUntil = this.#own.sequence
        this.#meter.count(`owned.${this.#options.name}.late`)
        this.#log.warn({ peer: follower.peer }, 'a member does not take what it is sent: not waiting for it')
      }
      this.#releaseTaken()
    }
    if (this.#waiters.isEmpty) return
    const againMs = Math.max(leftMs, TAKEN_WITHIN_MS / 10)
    this.#late ??= this.#clock.after(againMs, `owned.${this.#options.name}.late`, this.#leaveLate)
  }

  // Digests

  #awaitCalm(): void {
    if (this.#calm !== null) return
    this.#calmSequence = this.#own.sequence
    this.#calm = this.#clock.after(CALM_MS, `owned.${this.#options.name}.calm`, () => {
      this.#calm = null
      if (this.#own.sequence === this.#calmSequence) this.#sendDigests()
      else this.#awaitCalm()
    })
  }

  readonly #sendDigests = (): void => {
    if (this.#own.isDirty) return
    let bytes: Buffer | null = null
    for (const follower of this.#followers.values()) {
      if (!follower.following || follower.due !== 'nothing' || follower.snapshot !== null) continue
      if (follower.sent !== this.#own.sequence) continue
      bytes ??= encodeOwned({ kind: 'digest', summary: this.#own.summary })
      this.#channel.send(follower.peer, bytes)
    }
  }
}
