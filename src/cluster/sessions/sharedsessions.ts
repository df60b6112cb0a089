// The sessions of this node among those of the cluster: what a CONNECT has to ask for, what the directory says of each,
// and who has to be given what. Takeovers and handovers do the moving; copies are kept beside.

import { PeerError } from '../../base/errors.ts'
import type { ClientId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { every, type Timer } from '../../base/ports/clock.ts'
import { compareStamps, type Stamp, type StampClock } from '../../base/stamps.ts'
import type { Claim, Claimed, Claims, LocalSessions, SessionView } from '../../broker/ports.ts'
import { decodeSession, encodeSession, type SessionClaim, type Want } from '../../wire/link/sessions.ts'
import type { Channel, Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import { ConnectedClients } from './connectedclients.ts'
import { type Directory, type DirectoryEntry, noEpoch } from './directory.ts'
import { movedEpoch } from './epochs.ts'
import { Handovers } from './handovers.ts'
import { Settling } from './settling.ts'
import { OWNER_MS_MAX, Takeover } from './takeover.ts'

export interface SharedSessionsHome {
  local(): LocalSessions | null
  heartbeatMs(): number
  /** Boxes that this one was linked with before it was started. */
  readonly before: readonly NodeId[]
  /** The copies that are kept for and by other boxes. */
  readonly copies: CopiesView
  /** Calls `passed` for each member when what it has sent here until now has come, `done` when that is so of all. */
  barrier(owner: NodeId, passed: (member: NodeId) => void, done: () => void): void
}

/** What the sessions ask of their copies. */
export interface CopiesView {
  /** Which box is to hold the copy of a session. */
  backupFor(clientId: ClientId, prior: NodeId | null): NodeId | null
  /** The id of the last record that is in the copy, too; Infinity: all are. */
  copiedTo(session: SessionView): number
  /** The session is this node's, and `backup` is to hold its copy. */
  keep(session: SessionView, backup: NodeId | null): void
  /** Makes a session that stands in of the copy held here; false: there is none. */
  restore(clientId: ClientId): boolean
  /** What was made of the copy here has gone back to its owner. */
  returned(clientId: ClientId, owner: NodeId): void
}

/** A CONNECT that comes while the session is on its way elsewhere is tried again so often, and for so long. */
const AGAIN_MS = 100
const TRIES_MAX = 26
/** When its former box has not let it go by then, nobody else is waited for. */
const HURRY_TRIES = 5
/** A box that begins waits so long, from its first CONNECT on, for those that it was linked with before. */
const BEGINS_MS = 2000
/** So often it waits for boxes that were just linked to say which sessions they have. */
const TRIES_FOR_NEWS = 5
const SWEEP_MS = 3_600_000
/** So long the directory remembers a session that is over: longer than any box that has heard of it may be silent. */
const OVER_MS = 24 * 3_600_000

export class SharedSessions implements Claims {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #stamps: StampClock
  readonly #directory: Directory
  readonly #home: SharedSessionsHome
  readonly #channel: Channel
  readonly clients: ConnectedClients
  readonly #takeover: Takeover
  readonly #handovers: Handovers
  readonly #settling: Settling
  readonly #members = new Set<NodeId>()
  /** Whether all are linked that this box was linked with before. */
  readonly #hearsAll = () => this.#home.before.every((id) => this.#membership.member(id)?.linked === true)
  /** When the first client came; null: none has. */
  #firstMs: number | null = null
  readonly #sweeping: Timer

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    directory: Directory,
    home: SharedSessionsHome,
  ) {
    this.#world = world
    this.#membership = membership
    this.#stamps = stamps
    this.#directory = directory
    this.#home = home
    this.clients = new ConnectedClients(world, channels, membership, stamps, () => home.local())
    this.#channel = channels.open(
      'sessions',
      { priority: 'normal', queueBytes: limits.channelWindowBytes },
      {
        linked: (peer) => this.#linked(peer),
        unlinked: (peer) => {
          this.#takeover.unlinked(peer)
          this.#handovers.unlinked(peer)
        },
        received: (peer, bytes) => this.#received(peer, bytes),
        room: (peer) => this.#handovers.room(peer),
      },
    )
    this.#takeover = new Takeover(world, membership, this.#channel, {
      local: () => home.local(),
      heartbeatMs: () => home.heartbeatMs(),
      fromCopy: (clientId, account) => this.#fromCopy(clientId, account),
      owned: (clientId, epoch, from) => this.#owned(clientId, epoch, from),
      whole: (clientId) => this.#settling.look(clientId),
    })
    this.#handovers = new Handovers(world, membership, this.#channel, {
      local: () => home.local(),
      wants: (clientId, epoch) => this.#wants(clientId, epoch),
      goesOn: (clientId, epoch) => {
        const base = directory.get(clientId)?.base
        return base !== undefined && compareStamps(epoch ?? noEpoch(membership.self), base) >= 0
      },
      interrupted: (session) => this.#settling.interrupted(session),
      returned: (clientId, owner) => home.copies.returned(clientId, owner),
      barrier: (...ask) => home.barrier(...ask),
    })
    this.#settling = new Settling(world, membership, directory, {
      local: () => home.local(),
      copies: home.copies,
      isBusy: (clientId) => this.#handovers.isBusy(clientId),
      owe: (session, owner) => this.#handovers.owe(session, owner),
      set: (session, which, prior) => this.#set(session, which, prior),
      setOver: (clientId, epoch) => this.#over(clientId, epoch),
      isAlone: () => this.#members.size === 0,
    })
    directory.watch((clientId) => this.#settling.look(clientId))
    membership.onChange((member) => this.#memberChanged(member))
    this.#sweeping = every(world.clock, SWEEP_MS, 'sessions.sweep', () => directory.sweep(world.clock.wall() - OVER_MS))
  }

  stop(): void {
    this.#sweeping.cancel()
    this.clients.stop()
    this.#takeover.stop()
  }

  // What the broker says

  claim(claim: Claim, done: (claimed: Claimed) => void): void {
    this.#claim(claim, done, 0)
  }

  opened(session: SessionView, present: boolean, fresh: boolean): void {
    const { clientId, epoch, kept } = session
    if (epoch === null) return
    this.clients.connected(clientId, epoch)
    const prior = this.#directory.get(clientId)
    const knows = prior !== null || (this.#directory.isUpToDate && this.#hearsAll())
    if (fresh && !knows) this.#settling.cleanStarts.add(clientId, epoch)
    // A box that has just started is not linked yet, and may know of the session from before: others have to hear of a
    // Clean Start, or what they have of the old one comes back into the new.
    if (this.#members.size === 0 && prior === null) return
    const { self } = this.#membership
    if (kept === null) {
      if (prior !== null && !prior.over) this.#over(clientId, epoch)
    } else if (prior === null || prior.owner !== self || compareStamps(prior.epoch, epoch) !== 0) {
      const goesOn = present && prior !== null
      const base = goesOn ? { base: prior.base, fresh: prior.fresh } : { base: epoch, fresh }
      this.#set(session, { ...base, epoch }, prior)
    } else {
      this.#home.copies.keep(session, prior.backup)
    }
  }

  left({ clientId }: SessionView): void {
    this.clients.gone(clientId)
  }

  ended({ clientId, epoch }: SessionView): void {
    const prior = this.#directory.get(clientId)
    const own = epoch ?? noEpoch(this.#membership.self)
    if (prior !== null && !prior.over && compareStamps(prior.epoch, own) <= 0) this.#over(clientId, prior.epoch)
  }

  /** Another box may have said something of this session; looked at when this turn is over. */
  look(clientId: ClientId): void {
    this.#settling.look(clientId)
  }

  /** This box leaves: what it keeps going for boxes that are away is its own from now on. */
  leave(): void {
    this.#settling.leave()
  }

  /** `backup` holds the copy of the session from now on. */
  backedUpBy(session: SessionView, backup: NodeId | null): void {
    const entry = this.#directory.get(session.clientId)
    if (entry === null || entry.owner !== this.#membership.self || entry.over || entry.backup === backup) return
    this.#directory.set(session.clientId, { ...entry, backup })
  }

  /** Cluster time was moved: what was given by a clock that was wrong, and is known everywhere, is said anew. */
  timeMoved(byMs: number, sinceMs: number): void {
    const local = this.#home.local()
    const step = { byMs, sinceMs, nowMs: this.#stamps.timeMs, node: this.#membership.self }
    this.#settling.cleanStarts.timeMoved(step)
    for (const session of local?.all() ?? []) {
      const { clientId, epoch, connection, place } = session
      const moved = epoch === null ? null : movedEpoch(epoch, step)
      if (moved === null) continue
      this.#world.meter.count('sessions.restamped')
      local!.restamp(session, moved)
      if (connection !== null) this.clients.connected(clientId, moved)
      const entry = place.at === 'standing-in' ? null : this.#directory.get(clientId)
      if (entry === null || entry.owner !== step.node || compareStamps(entry.epoch, epoch!) !== 0) continue
      this.#directory.set(clientId, { ...entry, epoch: moved, base: movedEpoch(entry.base, step) ?? entry.base })
    }
  }

  #claim(claim: Claim, done: (claimed: Claimed) => void, tries: number): void {
    const epoch = this.#stamps.next()
    const { clientId, cleanStart } = claim
    const local = this.#home.local()
    if (!cleanStart && this.#begins()) return this.#again(claim, done, tries)
    if (local === null || this.#members.size === 0) return done(epoch)
    const coming = this.#takeover.stateOf(clientId)
    const session = local.get(clientId)
    if (coming === 'asked' || session?.place.at === 'departing') {
      if (session?.place.at === 'departing' && this.#stays(session.place.to, tries)) {
        this.#handovers.reclaim(clientId)
        this.#owned(clientId, epoch, null)
        return done(epoch)
      }
      if (tries >= TRIES_MAX) return done('busy')
      if (tries === HURRY_TRIES) this.#handovers.hurry(clientId)
      return this.#again(claim, done, tries)
    }
    if (cleanStart || coming === 'coming') return done(epoch)
    if (tries < TRIES_FOR_NEWS && !this.#directory.isUpToDate) return this.#again(claim, done, tries)
    const entry = this.#directory.get(clientId)
    if (entry === null || entry.over) return done(epoch)
    const { self } = this.#membership
    if (session === undefined) {
      const from = [entry.owner, ...(entry.backup === null ? [] : [entry.backup])]
      return this.#takeover.bring(claim, epoch, entry.owner === self ? from.slice(1) : from, done, tries * AGAIN_MS)
    }
    if (session.place.at === 'standing-in') {
      const others = this.#better(session, entry)
      if (others.length > 0) return this.#takeover.bring(claim, epoch, [...others, self], done, tries * AGAIN_MS)
      this.#owned(clientId, epoch, null)
    }
    done(epoch)
  }

  #again(claim: Claim, done: (claimed: Claimed) => void, tries: number): void {
    this.#world.clock.after(AGAIN_MS, 'sessions.claim', () => this.#claim(claim, done, tries + 1))
  }

  /** This box has just been started: who has the session may be about to link. */
  #begins(): boolean {
    const nowMs = this.#world.clock.now()
    this.#firstMs ??= nowMs
    return nowMs < this.#firstMs + BEGINS_MS && !this.#hearsAll()
  }

  /** A session on its way to a box that has not been heard for two heartbeats, with its client back here: this is its copy. */
  #stays(to: NodeId, tries: number): boolean {
    const member = this.#membership.member(to)
    const heard = member?.linked === true && member.state === 'alive'
    return !heard && tries * AGAIN_MS >= Math.min(OWNER_MS_MAX, 2 * this.#home.heartbeatMs())
  }

  /** Boxes that may have the session as it was later than the one that is kept going here. */
  #better(session: SessionView, { epoch, owner, backup }: DirectoryEntry): readonly NodeId[] {
    const { self } = this.#membership
    const isCopy = compareStamps(session.epoch ?? noEpoch(self), epoch) >= 0
    if (isCopy) return owner !== self && this.#membership.member(owner)?.linked === true ? [owner] : []
    // What is here is of an older connection, and owed to a later owner: only if nobody has anything of that.
    return [owner, backup].filter((box) => box !== null && box !== self) as NodeId[]
  }

  // What members say

  #linked(peer: NodeId): void {
    this.#takeover.linked(peer)
    this.#handovers.linked(peer)
    this.#settling.lookAtAll()
  }

  #memberChanged({ id, state, linked }: MemberView): void {
    if (state === 'left' && !linked) this.#members.delete(id)
    else this.#members.add(id)
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeSession(bytes)
    if (message === null) return this.#world.meter.count('sessions.unknown')
    switch (message.kind) {
      case 'claim':
        return this.#claimed(peer, message)
      case 'none':
      case 'passed':
      case 'waits':
        return this.#takeover.received(peer, message)
      case 'records':
        if (message.side === 'claim') return this.#takeover.received(peer, message)
        return this.#handovers.received(peer, message)
      default:
        return this.#handovers.received(peer, message)
    }
  }

  #claimed(peer: NodeId, claim: SessionClaim, tries = 0): void {
    const { number, clientId, epoch, account } = claim
    this.#stamps.observe(epoch)
    const local = this.#home.local()
    const none = (elsewhere: NodeId | null = null) =>
      void this.#channel.send(peer, encodeSession({ kind: 'none', number, elsewhere }))
    if (local === null) return none()
    let session = local.get(clientId)
    if (session === undefined && this.#home.copies.restore(clientId)) session = local.get(clientId)
    if (session === undefined || session.kept === null) {
      if (session !== undefined) local.disconnect(session)
      return none()
    }
    // It was claimed by a later CONNECT already.
    if (session.epoch !== null && compareStamps(session.epoch, epoch) >= 0) return none()
    const { place } = session
    if (place.at === 'departing') return none(place.to)
    if (place.at === 'arriving' || this.#handovers.isBusy(clientId)) {
      if (tries === 0) this.#channel.send(peer, encodeSession({ kind: 'waits', number }))
      if (tries === HURRY_TRIES) this.#takeover.hurry(clientId)
      return void this.#world.clock.after(AGAIN_MS, 'sessions.claimed', () => {
        if (this.#membership.member(peer)?.linked === true) {
          this.#claimed(peer, claim, tries + 1)
        }
      })
    }
    local.disconnect(session)
    // It was to end with its connection.
    if (local.get(clientId) !== session) return none()
    if (!local.belongsTo(session, account)) {
      local.over(session)
      return none()
    }
    this.#world.meter.count('sessions.departed')
    this.#handovers.depart(peer, number, session)
  }

  // What follows

  #fromCopy(clientId: ClientId, account: string | null): boolean {
    const { copies } = this.#home
    const local = this.#home.local()
    const session = copies.restore(clientId) ? local?.get(clientId) : undefined
    if (session === undefined || local!.belongsTo(session, account)) return session !== undefined
    local!.over(session)
    return false
  }

  #owned(clientId: ClientId, epoch: Stamp, from: NodeId | null): void {
    const local = this.#home.local()!
    const session = local.get(clientId)
    if (session === undefined) throw new PeerError('session: a head without a session')
    local.own(session, epoch)
    const prior = this.#directory.get(clientId)
    const base = prior === null ? { base: epoch, fresh: false } : { base: prior.base, fresh: prior.fresh }
    this.#set(session, { ...base, epoch }, from === null || prior === null ? prior : { ...prior, backup: from })
  }

  #set(
    session: SessionView,
    which: Pick<DirectoryEntry, 'epoch' | 'base' | 'fresh'>,
    prior: DirectoryEntry | null,
  ): void {
    const { self } = this.#membership
    const { clientId } = session
    const before = prior === null ? null : prior.owner === self ? prior.backup : prior.owner
    const backup = this.#home.copies.backupFor(clientId, before)
    this.#directory.set(clientId, { ...which, over: false, owner: self, backup })
    this.#home.copies.keep(session, backup)
  }

  #over(clientId: ClientId, epoch: Stamp): void {
    const { self } = this.#membership
    this.#directory.set(clientId, { over: true, fresh: true, epoch, base: epoch, owner: self, backup: null })
  }

  #wants(clientId: ClientId, epoch: Stamp | null): Want {
    const entry = this.#directory.get(clientId)
    const { self } = this.#membership
    if (this.#settling.cleanStarts.after(clientId, epoch ?? noEpoch(self)) !== null) return 'nothing'
    // Who offers it to one that has handed it on has yet to hear where it is now.
    if (entry === null || (!entry.over && entry.owner !== self)) return 'later'
    if (entry.over) return 'nothing'
    if (this.#takeover.stateOf(clientId) !== 'none' || this.#handovers.isBusy(clientId)) return 'later'
    const session = this.#home.local()?.get(clientId)
    const order = compareStamps(epoch ?? noEpoch(self), entry.base)
    if (session === undefined) return order >= 0 ? 'all' : 'nothing'
    if (session.place.at !== 'here') return 'later'
    return order < 0 && entry.fresh ? 'nothing' : 'new'
  }
}
