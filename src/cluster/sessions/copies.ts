// Every session that outlives its connection has a copy at one other box, its backup: this node's sessions at others, and
// others' here. The copy is the stream of the session's records (docs/decisions/0007-copies.md).
// This is the owner's half, and who is whose backup; standins.ts is the backup's.

import type { ClientId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { every, type Timer } from '../../base/ports/clock.ts'
import type { Positions } from '../../base/positions.ts'
import type { Kept, LocalSessions, SessionView } from '../../broker/ports.ts'
import { decodeCopies } from '../../wire/link/copies.ts'
import type { Channel, Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import { rendezvous } from '../rendezvous.ts'
import type { CopiedRecords, CopyTap } from './copiedrecords.ts'
import { CopyFeed } from './copyfeed.ts'
import type { Directory } from './directory.ts'
import type { CopiesView } from './sharedsessions.ts'
import { StandIns } from './standins.ts'

/** What outlives a run: up to which record the copies had come when they were last complete. */
export interface CopyMarks {
  get(name: string): number | null
  put(name: string, recordId: number): void
  remove(name: string): void
  names(): readonly string[]
}

export interface CopiesHome {
  local(): LocalSessions | null
  readonly directory: Directory
  readonly records: CopiedRecords
  readonly positions: Positions
  readonly marks: CopyMarks
  /** How many boxes are to have each session, this one included. */
  wanted(): number
  nameOf(member: NodeId): string
  /** The session has another backup now. */
  backedUpBy(session: SessionView, backup: NodeId | null): void
  /** The session stands in here for a box: it may be owed to it. */
  stoodIn(clientId: ClientId): void
  /** `by` keeps sessions of `owner` going. */
  stands(owner: NodeId, by: NodeId): void
}

const TICK_MS = 1000
/** A backup that is dead for so long has another take its place. */
const REPLACED_AFTER_MS = 60_000
/** Sessions that get another backup in one tick, the smallest first. */
const REPLACED_PER_TICK = 64
/** A box without room for copies is asked again after this time. */
const FULL_MS = 600_000
/** So long after a break the boxes have certainly told each other whose sessions are whose. */
const TOGETHER_MS = 30_000
const MARK_ALONE = 'alone'

interface Copied {
  readonly session: SessionView
  readonly feed: CopyFeed | null
}

export class Copies implements CopiesView, CopyTap {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #home: CopiesHome
  readonly #channel: Channel
  readonly #feeds = new Map<NodeId, CopyFeed>()
  readonly #standIns: StandIns
  /** By the number of the session's record. */
  readonly #bySession = new Map<number, Copied>()
  readonly #deadSinceMs = new Map<NodeId, number>()
  readonly #fullSinceMs = new Map<NodeId, number>()
  readonly #upToDateMs = new Map<NodeId, number>()
  readonly #ticking: Timer
  #armed = false
  /** This box is about to leave. */
  #leaving = false

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, home: CopiesHome) {
    this.#world = world
    this.#membership = membership
    this.#home = home
    this.#channel = channels.open(
      'copies',
      { priority: 'normal', queueBytes: 2 * limits.channelWindowBytes },
      {
        linked: (peer) => this.#linked(peer),
        unlinked: (peer) => this.#unlinked(peer),
        received: (peer, bytes) => this.#received(peer, bytes),
        room: () => this.#arm(),
      },
    )
    this.#standIns = new StandIns(world, membership.self, this.#channel, home, () => this.#arm())
    membership.onChange((member) => this.#memberChanged(member))
    home.records.tap = this
    this.#ticking = every(world.clock, TICK_MS, 'copies.tick', () => this.#tick())
  }

  stop(): void {
    this.#ticking.cancel()
    for (const feed of this.#feeds.values()) feed.silent()
  }

  /** Looks, several times in a heartbeat, for boxes that have kept a publisher waiting for `longestMs`. */
  look(nowMs: number, longestMs: number): void {
    for (const feed of this.#feeds.values()) {
      if (!feed.isLate(nowMs, longestMs)) continue
      this.#world.meter.count('copies.late')
      this.#mark(feed)
      feed.silent()
    }
  }

  problems(): readonly string[] {
    const found: string[] = []
    const without = new Map<NodeId | null, number>()
    for (const { feed } of this.#bySession.values()) {
      if (feed?.upToDate === true) continue
      const peer = feed?.peer ?? null
      without.set(peer, (without.get(peer) ?? 0) + 1)
    }
    if (this.#feeds.size === 0 || this.#wanted < 2) return found
    for (const [peer, count] of without) {
      const why =
        peer === null
          ? 'no other box can hold them'
          : `${this.#home.nameOf(peer)} does not have them all yet, or is not heard`
      found.push(`copies 1 of 2: ${count} ${count === 1 ? 'session is' : 'sessions are'} on this box alone: ${why}`)
    }
    return found
  }

  // What the sessions ask

  backupFor(clientId: ClientId, prior: NodeId | null): NodeId | null {
    if (this.#wanted < 2) return null
    if (prior !== null && prior !== this.#membership.self && this.#mayHold(prior)) return prior
    return rendezvous(clientId, this.#takers())
  }

  copiedTo(session: SessionView): number {
    const copied = session.kept === null ? undefined : this.#bySession.get(session.kept.id)
    if (copied !== undefined) return copied.feed === null ? 0 : Math.min(copied.feed.copiedTo, copied.feed.brokeAt)
    // Of an earlier run: what was in the copies when it ended is all, unless they were not complete.
    const { marks } = this.#home
    const marked = marks.names().map((name) => marks.get(name) ?? 0)
    return marked.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...marked)
  }

  keep(session: SessionView, backup: NodeId | null): void {
    const { kept } = session
    const local = this.#home.local()
    if (kept === null || local === null || session.place.at === 'standing-in') return
    const current = this.#bySession.get(kept.id)
    if (current !== undefined && (current.feed?.peer ?? null) === backup) return
    const records = [...local.head(session), ...local.queued(session, 0)]
    current?.feed?.drop(records)
    const feed = backup === null ? null : this.#feed(backup)
    this.#bySession.set(kept.id, { session, feed })
    if (feed !== null) feed.add(records)
    else if (this.#wanted > 1 && this.#home.marks.get(MARK_ALONE) === null) this.#home.marks.put(MARK_ALONE, 0)
  }

  /** This box leaves: every session is to be at another as well, whatever is configured. */
  leave(): void {
    this.#leaving = true
  }

  /** Boxes that can take a copy now. */
  get takers(): number {
    return this.#takers().length
  }

  /** Whether the copy of the session is whole; one that has none gets it. */
  give(session: SessionView): boolean {
    const feed = this.#bySession.get(session.kept!.id)?.feed ?? null
    const takers = this.#takers()
    if (feed !== null && takers.includes(feed.peer)) return feed.holdsAll
    const backup = rendezvous(session.clientId, takers)
    if (backup !== null) {
      this.keep(session, backup)
      this.#home.backedUpBy(session, backup)
    }
    return false
  }

  get #wanted(): number {
    return this.#leaving ? 2 : this.#home.wanted()
  }

  restore(clientId: ClientId): boolean {
    return this.#standIns.restore(clientId)
  }

  returned(clientId: ClientId, owner: NodeId): void {
    this.#standIns.returned(clientId, owner)
  }

  // What the keeper tells

  staged(kept: Kept, session: number): number | null {
    const feed = this.#bySession.get(session)?.feed
    return feed === undefined || feed === null ? null : feed.staged(kept)
  }

  removed(kept: Kept, session: number): void {
    const copied = this.#bySession.get(session)
    if (copied === undefined) return
    copied.feed?.removed(kept, kept)
    if (kept.id === session) this.#bySession.delete(session)
  }

  // Links and members

  #feed(peer: NodeId): CopyFeed {
    let feed = this.#feeds.get(peer)
    if (feed === undefined) {
      const { positions, records } = this.#home
      const nowMs = () => this.#world.clock.now()
      feed = new CopyFeed(
        peer,
        this.#number(),
        this.#channel,
        positions,
        nowMs,
        () => this.#arm(),
        () => records.lastId,
      )
      this.#feeds.set(peer, feed)
      if (this.#channel.peers().includes(peer)) feed.linked()
    }
    return feed
  }

  #number(): number {
    return this.#world.random.bytes(6).readUIntBE(0, 6)
  }

  #mayHold(peer: NodeId): boolean {
    const member = this.#membership.member(peer)
    if (member === null || member.state === 'left' || this.#isFull(peer)) return false
    const since = this.#deadSinceMs.get(peer)
    return since === undefined || this.#world.clock.now() - since < REPLACED_AFTER_MS
  }

  #linked(peer: NodeId): void {
    this.#feed(peer).linked()
    this.#standIns.linked(peer)
  }

  #unlinked(peer: NodeId): void {
    this.#standIns.unlinked(peer)
    const feed = this.#feeds.get(peer)
    if (feed === undefined) return
    this.#mark(feed)
    feed.unlinked()
  }

  #memberChanged({ id, state, linked }: MemberView): void {
    if (state === 'dead' || state === 'left') {
      if (!this.#deadSinceMs.has(id)) this.#deadSinceMs.set(id, this.#world.clock.now())
      if (!linked) this.#standIns.standInFor(id)
    } else if (state === 'alive') {
      this.#deadSinceMs.delete(id)
    }
    const feed = this.#feeds.get(id)
    if (feed === undefined) return
    if (state === 'alive' && linked) return feed.heard()
    this.#mark(feed)
    feed.silent()
  }

  /** The box has made sessions of our copies, though we live: somebody could not reach us. */
  #used(peer: NodeId): void {
    const feed = this.#feed(peer)
    feed.used()
    this.#mark(feed)
    // We are yet to hear whose they are.
    this.#upToDateMs.delete(peer)
    this.#world.meter.count('copies.used')
  }

  /** From here on the box may not have what is promised: a later run must know. */
  #mark(feed: CopyFeed): void {
    if (!feed.isHeard || ![...this.#bySession.values()].some((copied) => copied.feed === feed)) return
    this.#home.marks.put(feed.peer, Math.min(feed.copiedTo, feed.brokeAt))
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeCopies(bytes)
    if (message === null) return this.#world.meter.count('copies.unknown')
    switch (message.kind) {
      case 'have':
        return this.#have(peer, message.feed, message.sequence)
      case 'took':
        this.#feeds.get(peer)?.took(message.feed, message.sequence)
        return
      case 'begin':
      case 'batch':
      case 'whole':
        return this.#standIns.received(peer, message)
      case 'stood':
        if (message.owner === this.#membership.self) return this.#used(peer)
        return this.#home.stands(message.owner, peer)
      case 'full':
        this.#world.log.warn({ peer }, 'a box has no room for copies')
        this.#fullSinceMs.set(peer, this.#world.clock.now())
        this.#feeds.get(peer)?.unlinked()
    }
  }

  /** Boxes that can take a copy now. */
  #takers(): readonly NodeId[] {
    return this.#channel.peers().filter((peer) => !this.#isFull(peer))
  }

  #isFull(peer: NodeId): boolean {
    const since = this.#fullSinceMs.get(peer)
    return since !== undefined && this.#world.clock.now() - since < FULL_MS
  }

  /** A box says what it has of ours. */
  #have(peer: NodeId, feedNumber: number, sequence: number): void {
    const feed = this.#feed(peer)
    const local = this.#home.local()
    if (local === null || feed.has(feedNumber, sequence)) return
    const { self } = this.#membership
    // All that are its to hold, also those that nobody has looked at since this box has started.
    for (const session of local.all()) {
      const entry =
        session.kept === null || session.place.at !== 'here' ? null : this.#home.directory.get(session.clientId)
      if (entry !== null && !entry.over && entry.owner === self && entry.backup === peer) this.keep(session, peer)
    }
    const records: Kept[] = []
    for (const copied of this.#bySession.values()) {
      if (copied.feed === feed) records.push(...local.head(copied.session), ...local.queued(copied.session, 0))
    }
    this.#world.meter.count('copies.begun')
    feed.begin(this.#number(), records)
  }

  // Now and then

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#world.clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#armed = false
    this.#standIns.acknowledge()
    for (const feed of this.#feeds.values()) feed.flush()
  }

  #tick(): void {
    const nowMs = this.#world.clock.now()
    for (const feed of this.#feeds.values()) {
      if (!feed.upToDate) this.#upToDateMs.delete(feed.peer)
      else if (!this.#upToDateMs.has(feed.peer)) this.#upToDateMs.set(feed.peer, nowMs)
      else if (nowMs - this.#upToDateMs.get(feed.peer)! >= TOGETHER_MS) {
        feed.brokeAt = Number.POSITIVE_INFINITY
        this.#home.marks.remove(feed.peer)
      }
    }
    this.#replace()
  }

  /** Sessions whose backup is away for good, or that have none, get another: a few at a time, the smallest first. */
  #replace(): void {
    const local = this.#home.local()
    if (local === null || this.#wanted < 2 || this.#takers().length === 0) return
    const without = [...this.#bySession.values()].filter(({ feed }) => feed === null || !this.#mayHold(feed.peer))
    if (without.length === 0) {
      if ([...this.#feeds.values()].every((feed) => feed.upToDate)) this.#home.marks.remove(MARK_ALONE)
      return
    }
    without.sort((a, b) => local.queued(a.session, 0).length - local.queued(b.session, 0).length)
    for (const { session } of without.slice(0, REPLACED_PER_TICK)) {
      const backup = rendezvous(session.clientId, this.#takers())
      this.#world.meter.count('copies.replaced')
      this.keep(session, backup)
      this.#home.backedUpBy(session, backup)
    }
  }
}
