// A replicated structure in which each node writes its own part and follows everybody else's, each over the owner's
// own link: nothing that one member says of another's part is ever believed. The messages are drawn in
// wire/link/owned.ts; partfeed.ts is the owner's half, partfollowing.ts the follower's.

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { StampClock } from '../../base/stamps.ts'
import { decodeOwned, entryBytes, KEY_BYTES_MAX } from '../../wire/link/owned.ts'
import type { Channel, Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import { DELTA_BYTES } from './ownpart.ts'
import { ENTRIES_BYTES, PartFeed } from './partfeed.ts'
import { PartFollowing, type PartKeeping } from './partfollowing.ts'
import type { PartBounds, PeerPart } from './peerpart.ts'

export interface OwnedMapEvents {
  /** An entry of a member's part appeared, changed or went (null); `before`: what it was, null: it was not there. */
  changed(owner: NodeId, key: string, value: Buffer | null, before: Buffer | null): void
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
  /** What of the parts outlives this run; without it, nothing does. */
  readonly keeping?: PartKeeping
  /** So long the part of a member that has left is hidden before it is dropped; without it, at once. */
  readonly leftMs?: number
}

const QUEUE_BYTES = limits.channelWindowBytes

export class OwnedMap {
  readonly #name: string
  readonly #options: OwnedMapOptions
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #events: OwnedMapEvents
  readonly #channel: Channel
  readonly #feed: PartFeed
  readonly #following = new Map<NodeId, PartFollowing>()
  readonly #send = (peer: NodeId, bytes: Buffer): boolean => this.#channel.send(peer, bytes) === 'sent'
  #turnArmed = false

  constructor(
    options: OwnedMapOptions,
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    events: OwnedMapEvents,
  ) {
    this.#name = `owned.${options.name}`
    this.#options = options
    this.#world = { ...world, log: world.log.child({ map: options.name }) }
    this.#membership = membership
    this.#events = events
    this.#feed = new PartFeed(this.#name, this.#world, membership, stamps, this.#send)
    this.#channel = channels.open(
      this.#name,
      {
        priority: 'normal',
        queueBytes: QUEUE_BYTES,
        messageBytes: ENTRIES_BYTES + DELTA_BYTES + entryBytes(KEY_BYTES_MAX, options.valueBytesMax),
      },
      {
        linked: (peer) => this.#linked(peer),
        unlinked: (peer) => this.#unlinked(peer),
        received: (peer, message) => this.#received(peer, message),
        room: (peer) => {
          this.#following.get(peer)?.answer()
          this.#feed.feed(peer)
        },
      },
    )
    membership.onChange((member) => this.#memberChanged(member))
  }

  /** Stops its timers; the node is about to end. */
  stop(): void {
    this.#feed.stop()
    for (const following of this.#following.values()) following.unlinked()
  }

  /** An entry of a member's part that an earlier run of this node had: hidden until the member is heard of. */
  recall(owner: NodeId, key: string, value: Buffer): void {
    const following = this.#follow(owner)
    if (this.#membership.member(owner) === null) this.#show(following, false)
    following.part.recall(key, value)
  }

  /** The store has more than before: members are told what was taken. */
  keptMoved(): void {
    for (const following of this.#following.values()) following.answer()
  }

  /** Looks for members that were not told for `longestMs` what was taken of them, because the store takes long. */
  look(nowMs: number, longestMs: number): void {
    for (const following of this.#following.values()) following.look(nowMs, longestMs)
  }

  /** This node's own entries. */
  get own(): ReadonlyMap<string, Buffer> {
    return this.#feed.entries
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
   * is full and the entry was not taken. The value must not be changed afterwards.
   */
  set(key: string, value: Buffer | null): number | null {
    const { own } = this
    if (value !== null && own.size >= this.#options.entriesMax && !own.has(key)) {
      this.#world.meter.count(`${this.#name}.full`)
      return null
    }
    const sequence = this.#feed.set(key, value)
    if (this.#feed.isDirty) this.#armTurn()
    return sequence
  }

  /** Calls `done` once every linked, not suspect member has applied that sequence: at once when all have, or none is. */
  whenTaken(sequence: number, done: () => void): void {
    this.#feed.whenTaken(sequence, done)
  }

  #linked(peer: NodeId): void {
    this.#unlinked(peer)
    this.#feed.linked(peer)
    this.#follow(peer).linked()
  }

  #unlinked(peer: NodeId): void {
    this.#following.get(peer)?.unlinked()
    this.#feed.unlinked(peer)
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeOwned(bytes)
    if (message === null) return this.#world.meter.count(`${this.#name}.unknown`)
    switch (message.kind) {
      case 'follow':
      case 'more':
      case 'taken':
        this.#feed.received(peer, message)
        break
      default:
        this.#following.get(peer)?.received(message)
    }
    this.#armTurn()
  }

  #memberChanged(member: MemberView): void {
    if (member.state === 'left') {
      if (!member.linked) this.#left(member.id)
    } else {
      if (member.linked) this.#feed.expect(member.id)
      const following = this.#following.get(member.id)
      if (following !== undefined) this.#show(following, member.state !== 'dead')
    }
    this.#feed.recheck()
  }

  #left(peer: NodeId): void {
    const { leftMs = 0 } = this.#options
    const following = this.#following.get(peer)
    if (leftMs === 0 || following === undefined) return this.forget(peer)
    this.#show(following, false)
    this.#world.clock.after(leftMs, `${this.#name}.left`, () => {
      if (this.#membership.member(peer)?.state === 'left') this.forget(peer)
    })
  }

  #show(following: PartFollowing, visible: boolean): void {
    if (following.visible === visible) return
    following.visible = visible
    if (visible) this.#events.partShown(following.part.owner)
    else this.#events.partHidden(following.part.owner)
  }

  /** It is no member any more. */
  forget(peer: NodeId): void {
    this.#feed.forget(peer)
    const following = this.#following.get(peer)
    if (following === undefined) return
    following.unlinked()
    this.#following.delete(peer)
    this.#events.partDropped(peer, following.part)
  }

  #follow(owner: NodeId): PartFollowing {
    let following = this.#following.get(owner)
    if (following === undefined) {
      const changed = (key: string, value: Buffer | null, before: Buffer | null) =>
        this.#events.changed(owner, key, value, before)
      following = new PartFollowing(this.#name, owner, this.#options, this.#world, this.#send, changed)
      this.#following.set(owner, following)
      this.#show(following, this.#membership.member(owner)?.state !== 'dead')
    }
    return following
  }

  #armTurn(): void {
    if (this.#turnArmed) return
    this.#turnArmed = true
    this.#world.clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#turnArmed = false
    for (const following of this.#following.values()) following.answer()
    this.#feed.turn()
  }
}
