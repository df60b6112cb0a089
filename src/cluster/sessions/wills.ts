// Wills of clients whose box has died (CLUSTER 7). Each box keeps the wills of its clients in its part; when a box is
// dead, has left, or has begun anew without them, the others wait for `will_after`, and the one that the client's id falls
// to publishes them, unless the client has connected anywhere.
//
//   standing --its box is gone--> pending --due, and it is ours--> published, and said so
//                                    '--client or box is back, or another says that it has published it--> forgotten

import type { ClientId, NodeId } from '../../base/ids.ts'
import { limits, MiB } from '../../base/limits.ts'
import type { Timer } from '../../base/ports/clock.ts'
import { compareStamps, type Stamp, type StampClock } from '../../base/stamps.ts'
import type { LocalSessions, SessionView, WillWatch } from '../../broker/ports.ts'
import {
  checkWill,
  decodePublished,
  decodeStanding,
  encodePublished,
  encodeStanding,
  publishedKey,
  readKey,
  type StandingWill,
  standingKey,
  WILL_BYTES_MAX,
} from '../../wire/link/wills.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import { dueMs, isBack, publisherOf } from './willchoice.ts'

export interface WillsHome {
  local(): LocalSessions | null
  afterMs(): number
  /** The stamp of the last CONNECT of the client that is known; null: of none. */
  lastConnect(clientId: ClientId): Stamp | null
}

/** Bytes of the wills of this box's own clients that the others are given. */
const OWN_BYTES_MAX = 32 * MiB
const PENDING_MAX = 100_000
/** Wills published in one turn. */
const PER_TURN = 128
/** So long a box remembers what it, or somebody, has published: longer than boxes differ about who is dead. */
const REMEMBERED_MS = 10 * 60_000

interface Pending extends StandingWill {
  readonly owner: NodeId
  readonly clientId: ClientId
  readonly dueMs: number
}

export class Wills implements WillWatch {
  readonly #world: FeatureWorld
  readonly #self: NodeId
  readonly #home: WillsHome
  readonly #map: OwnedMap
  /** Members that are not dead, and have not left. */
  readonly #living = new Set<NodeId>()
  readonly #pending = new Map<ClientId, Pending>()
  /** What this box has published, and when: told to the others for a while. */
  readonly #published = new Map<ClientId, number>()
  #ownBytes = 0
  #timer: Timer | null = null
  #timerMs = Number.POSITIVE_INFINITY

  constructor(world: FeatureWorld, channels: Channels, membership: Membership, stamps: StampClock, home: WillsHome) {
    this.#world = world
    this.#self = membership.self
    this.#home = home
    this.#map = new OwnedMap(
      { name: 'wills', valueBytesMax: WILL_BYTES_MAX, entriesMax: limits.partEntries, check: checkWill },
      world,
      channels,
      membership,
      stamps,
      {
        changed: (owner, key, value, before) => this.#changed(owner, key, value, before),
        partHidden: (owner) => this.#gone(owner, this.#map.part(owner)?.entries() ?? []),
        partShown: (owner) => this.#back(owner),
        partDropped: (owner, part) => this.#gone(owner, part.entries()),
      },
    )
    membership.onChange((member) => this.#memberChanged(member))
  }

  /** Wills that wait for their time, or for another box to publish them. */
  get pending(): number {
    return this.#pending.size
  }

  stop(): void {
    this.#timer?.cancel()
    this.#map.stop()
  }

  // Of this box's own clients

  willChanged({ clientId, will, epoch, access: { account, listener } }: SessionView): void {
    const key = standingKey(clientId)
    const before = this.#map.own.get(key)
    this.#ownBytes -= before?.length ?? 0
    const value = will === null || epoch === null ? null : encodeStanding({ epoch, account, listener, will })
    const fits = value !== null && value.length <= WILL_BYTES_MAX && this.#ownBytes + value.length <= OWN_BYTES_MAX
    if (value !== null && !fits) this.#world.meter.count('wills.not-shared')
    const taken = fits && this.#map.set(key, value) !== null
    if (taken) this.#ownBytes += value.length
    else if (before !== undefined) this.#map.set(key, null)
  }

  /** A client has connected, here or elsewhere. */
  connected(clientId: ClientId, epoch: Stamp): void {
    const pending = this.#pending.get(clientId)
    if (pending === undefined || !isBack(pending.epoch, epoch)) return
    this.#pending.delete(clientId)
    this.#world.meter.count('wills.client-back')
  }

  // Of the clients of others

  #changed(owner: NodeId, key: string, value: Buffer | null, before: Buffer | null): void {
    const about = readKey(key)
    if (about === null) return
    if (value === null) {
      const restarted = this.#map.part(owner)?.restarted ?? false
      // Its box does not know of it any more, and the client has not said goodbye.
      if (about.kind === 'standing' && restarted && before !== null) this.#wait(owner, about.clientId, before)
    } else if (about.kind === 'published') {
      const epoch = decodePublished(value)
      const pending = this.#pending.get(about.clientId)
      if (pending !== undefined && compareStamps(epoch, pending.epoch) >= 0) this.#pending.delete(about.clientId)
      // It was our own client's, while we were away.
      this.#home.local()?.willPublished(about.clientId, epoch)
    }
  }

  #gone(owner: NodeId, entries: Iterable<readonly [key: string, value: Buffer]>): void {
    for (const [key, value] of entries) {
      const about = readKey(key)
      if (about?.kind === 'standing') this.#wait(owner, about.clientId, value)
    }
  }

  #wait(owner: NodeId, clientId: ClientId, value: Buffer): void {
    const known = this.#pending.get(clientId)
    const standing = decodeStanding(value)
    if (known !== undefined && compareStamps(known.epoch, standing.epoch) >= 0) return
    if (this.#isPublished(clientId, standing.epoch)) return
    if (known === undefined && this.#pending.size >= PENDING_MAX) return this.#world.meter.count('wills.pending-full')
    const due = dueMs(this.#world.clock.now(), this.#home.afterMs(), standing.will.delaySec)
    this.#pending.set(clientId, { ...standing, owner, clientId, dueMs: due })
    this.#wake(due)
  }

  /** Somebody has published it, or one of a later CONNECT: a box that dies twice has clients that died once. */
  #isPublished(clientId: ClientId, epoch: Stamp): boolean {
    const key = publishedKey(clientId)
    const isOf = (value: Buffer | undefined) => value !== undefined && compareStamps(decodePublished(value), epoch) >= 0
    if (isOf(this.#map.own.get(key))) return true
    for (const member of this.#living) if (isOf(this.#map.part(member)?.get(key))) return true
    return false
  }

  /** Its clients may be connected as before; of those that are not, it knows itself. */
  #back(owner: NodeId): void {
    for (const [clientId, pending] of this.#pending) if (pending.owner === owner) this.#pending.delete(clientId)
  }

  #memberChanged({ id, state }: MemberView): void {
    const lives = state !== 'dead' && state !== 'left'
    if (lives === this.#living.has(id)) return
    if (lives) this.#living.add(id)
    else this.#living.delete(id)
    // What fell to one that is gone may be ours now.
    if (!lives) this.#wake(this.#world.clock.now())
  }

  #wake(atMs: number): void {
    if (atMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = atMs
    this.#timer = this.#world.clock.after(Math.max(0, atMs - this.#world.clock.now()), 'cluster.wills', this.#due)
  }

  readonly #due = (): void => {
    this.#timerMs = Number.POSITIVE_INFINITY
    const nowMs = this.#world.clock.now()
    let next = this.#forget(nowMs)
    let left = PER_TURN
    for (const pending of this.#pending.values()) {
      if (left <= 0) next = nowMs
      else if (pending.dueMs > nowMs) next = Math.min(next, pending.dueMs)
      else if (this.#settle(pending, nowMs)) left--
      else next = Math.min(next, pending.dueMs + REMEMBERED_MS)
    }
    if (next < Number.POSITIVE_INFINITY) this.#wake(Math.max(next, nowMs + 1))
  }

  /** True when nothing more is to be done about it here. */
  #settle(pending: Pending, nowMs: number): boolean {
    const { clientId, epoch, owner, dueMs } = pending
    const last = this.#home.lastConnect(clientId)
    const back = last !== null && isBack(epoch, last)
    const ours =
      publisherOf(
        clientId,
        [this.#self, ...this.#living].filter((id) => id !== owner),
      ) === this.#self
    // Another's, which says so when it is done; if it dies before, it is ours or a third one's.
    if (!back && !ours && nowMs < dueMs + REMEMBERED_MS) return false
    this.#pending.delete(clientId)
    const local = this.#home.local()
    if (back || !ours || local === null) {
      if (back) this.#world.meter.count('wills.client-back')
      return true
    }
    this.#world.meter.count('wills.published')
    this.#world.log.debug({ client: clientId, box: owner }, 'the will of a client whose box is gone')
    local.publishWill(clientId, pending)
    this.#map.set(publishedKey(clientId), encodePublished(epoch))
    this.#published.set(clientId, nowMs)
    return true
  }

  /** Of what was published long ago nobody needs to be told; returns when to look again. */
  #forget(nowMs: number): number {
    for (const [clientId, atMs] of this.#published) {
      if (atMs + REMEMBERED_MS > nowMs) return atMs + REMEMBERED_MS
      this.#published.delete(clientId)
      this.#map.set(publishedKey(clientId), null)
    }
    return Number.POSITIVE_INFINITY
  }
}
