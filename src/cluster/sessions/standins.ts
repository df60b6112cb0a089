// The backup's half of the copies: what this box holds of the sessions of others. When a box is dead, its sessions that
// have their copies here become sessions of this box, which take what is published and count expiry down; the directory
// still says that they are the dead one's.

import type { ClientId, NodeId } from '../../base/ids.ts'
import { MiB } from '../../base/limits.ts'
import { compareStamps } from '../../base/stamps.ts'
import type { LocalSessions } from '../../broker/ports.ts'
import { type CopyMessage, encodeCopies } from '../../wire/link/copies.ts'
import type { Channel, FeatureWorld } from '../ports.ts'
import type { Directory } from './directory.ts'
import { HeldCopies, type HeldSession } from './heldcopies.ts'

export interface StandInsHome {
  local(): LocalSessions | null
  readonly directory: Directory
  /** The session stands in here for a box: it may be owed to it. */
  stoodIn(clientId: ClientId): void
  /** `by` keeps sessions of `owner` going: what was sent to `owner` and has not come there is for it, too. */
  stands(owner: NodeId, by: NodeId): void
}

/** What was sent to a box so long before its link broke has come there. */
const COME_MS = 30_000
/** Sessions that are made of copies in one turn. */
const PER_TURN = 32
/** Bytes of all copies held here: beyond that, owners are told that this box has no room. */
const HELD_BYTES_MAX = 512 * MiB

interface Waiting {
  readonly owner: NodeId
  readonly held: HeldCopies
  readonly session: HeldSession
}

const isLater = (a: HeldSession, b: HeldSession): boolean =>
  a.epoch !== null && (b.epoch === null || compareStamps(a.epoch, b.epoch) > 0)

export class StandIns {
  readonly #world: FeatureWorld
  readonly #self: NodeId
  readonly #channel: Channel
  readonly #home: StandInsHome
  /** Something is to be said to owners at the end of this turn. */
  readonly #speakSoon: () => void
  readonly #held = new Map<NodeId, HeldCopies>()
  /** Copies of a feed that has begun afresh, until that is whole. */
  readonly #former = new Map<NodeId, HeldCopies>()
  readonly #toAck = new Set<NodeId>()
  /** Boxes whose sessions were made sessions of this one, and the others have not been told. */
  readonly #stood = new Set<NodeId>()
  /** For whom this box has stood in, with the boxes that were told, and when: what they have for those is for it, too. */
  readonly #told = new Map<NodeId, Map<NodeId, number>>()
  readonly #waiting: Waiting[] = []

  constructor(world: FeatureWorld, self: NodeId, channel: Channel, home: StandInsHome, speakSoon: () => void) {
    this.#world = world
    this.#self = self
    this.#channel = channel
    this.#home = home
    this.#speakSoon = speakSoon
  }

  /** Tells a box what is held of its sessions, and for whom this one has stood in while it was away. */
  linked(peer: NodeId): void {
    const { feed, sequence } = this.#held.get(peer) ?? { feed: 0, sequence: 0 }
    this.#channel.send(peer, encodeCopies({ kind: 'have', feed, sequence }))
    for (const [owner, told] of this.#told) if (!told.has(peer)) this.#tell(owner, peer)
  }

  unlinked(peer: NodeId): void {
    const sinceMs = this.#world.clock.now() - COME_MS
    for (const told of this.#told.values()) if ((told.get(peer) ?? sinceMs) > sinceMs) told.delete(peer)
  }

  /** From an owner; throws PeerError. */
  received(owner: NodeId, message: CopyMessage & { kind: 'begin' | 'batch' | 'whole' }): void {
    switch (message.kind) {
      case 'begin':
        return this.#begun(owner, message.feed)
      case 'batch':
        return this.#batch(owner, message)
      case 'whole':
        return this.#whole(owner)
    }
  }

  /** Says how far each owner's copies have come. */
  acknowledge(): void {
    for (const owner of this.#toAck) {
      const held = this.#held.get(owner)
      if (held === undefined) continue
      this.#channel.send(owner, encodeCopies({ kind: 'took', feed: held.feed, sequence: held.sequence }))
    }
    this.#toAck.clear()
    for (const owner of this.#stood) {
      if (this.#waiting.some((waiting) => waiting.owner === owner)) continue
      this.#stood.delete(owner)
      this.#told.set(owner, new Map())
      for (const peer of this.#channel.peers()) this.#tell(owner, peer)
      this.#home.stands(owner, this.#self)
    }
  }

  #tell(owner: NodeId, peer: NodeId): void {
    if (peer === owner || this.#channel.send(peer, encodeCopies({ kind: 'stood', owner })) !== 'sent') return
    this.#told.get(owner)?.set(peer, this.#world.clock.now())
  }

  standInFor(owner: NodeId): void {
    const held = this.#held.get(owner)
    if (held === undefined) return
    for (const session of held.sessions) if (!session.taken) this.#waiting.push({ owner, held, session })
    this.#standIn()
  }

  /** Makes a session of this box of the copy of the client's; false: there is none. */
  restore(clientId: ClientId): boolean {
    const known = this.#home.local()?.get(clientId)
    if (known !== undefined) return known.place.at === 'standing-in'
    // A box that it has left may not have said so yet.
    let latest: Waiting | null = null
    for (const [owner, held] of this.#held) {
      const session = held.get(clientId)
      if (session === undefined || session.taken) continue
      if (latest === null || isLater(session, latest.session)) latest = { owner, held, session }
    }
    return latest !== null && this.#take(latest)
  }

  /** The owner has back what this box took for it, and went on copying meanwhile: its copy here is one again. */
  returned(clientId: ClientId, owner: NodeId): void {
    const session = this.#held.get(owner)?.get(clientId)
    if (session !== undefined) session.taken = false
  }

  #begun(owner: NodeId, feed: number): void {
    const before = this.#held.get(owner)
    if (before !== undefined && before.size > 0 && !this.#former.has(owner)) this.#former.set(owner, before)
    const held = new HeldCopies()
    held.feed = feed
    this.#held.set(owner, held)
  }

  #batch(owner: NodeId, { sequence, items }: CopyMessage & { kind: 'batch' }): void {
    const held = this.#held.get(owner)
    if (held === undefined || sequence <= held.sequence) return
    if (this.#bytes > HELD_BYTES_MAX) return this.#refuse(owner)
    // What is broken by a batch that makes no sense is not held any more: the owner begins again.
    this.#held.delete(owner)
    held.apply(items, this.#world.clock.now())
    this.#held.set(owner, held)
    held.sequence = sequence
    this.#toAck.add(owner)
    this.#speakSoon()
  }

  get #bytes(): number {
    let bytes = 0
    for (const held of this.#held.values()) bytes += held.bytes
    return bytes
  }

  /** There is no room for what the box wants held here. */
  #refuse(owner: NodeId): void {
    this.#world.meter.count('copies.refused')
    this.#held.delete(owner)
    this.#toAck.delete(owner)
    this.#channel.send(owner, encodeCopies({ kind: 'full' }))
  }

  /** What was held of a box before, and that has not itself any more, was lost there: it is given back. */
  #whole(owner: NodeId): void {
    const former = this.#former.get(owner)
    this.#former.delete(owner)
    if (former === undefined) return
    const there = new Set([...(this.#held.get(owner)?.sessions ?? [])].map(({ clientId }) => clientId))
    for (const session of former.sessions) {
      if (!session.taken && !there.has(session.clientId)) this.#waiting.push({ owner, held: former, session })
    }
    this.#standIn()
  }

  readonly #standIn = (): void => {
    for (let left = PER_TURN; left > 0; left--) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      const { owner, session } = next
      if (session.taken || this.#home.local()?.get(session.clientId) !== undefined) continue
      const entry = this.#home.directory.get(session.clientId)
      if (entry === null || entry.over || entry.owner !== owner || entry.backup !== this.#self) continue
      if (session.epoch !== null && compareStamps(entry.epoch, session.epoch) !== 0) continue
      this.#take(next)
    }
    this.#speakSoon()
    if (this.#waiting.length > 0) this.#world.clock.soon(this.#standIn)
  }

  #take({ owner, held, session }: Waiting): boolean {
    const taking = this.#home.local()!.take(owner, 'standing-in')
    taking.add(held.itemsOf(session))
    taking.end()
    session.taken = true
    if (taking.session === null) return false
    this.#world.meter.count('copies.stood-in')
    // One that lives, and only somebody else did not reach, hears of it before another record of his is acknowledged.
    this.#channel.send(owner, encodeCopies({ kind: 'stood', owner }))
    this.#home.stoodIn(session.clientId)
    this.#stood.add(owner)
    this.#speakSoon()
    return true
  }
}
