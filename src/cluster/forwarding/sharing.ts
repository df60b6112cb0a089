// Messages on their way to the consumers of share groups on other boxes: which member gets them, named in the item; and
// what becomes of them when that member is gone before it has them.

import type { NodeId } from '../../base/ids.ts'
import type { LocalDelivery } from '../../broker/ports.ts'
import { BatchReader, encodeText, expiryOffset, itemBytes, writeItem } from '../../wire/link/forward.ts'
import { encodeTargets, TARGETS_BYTES_MAX, withdrawTargets } from '../../wire/link/sharetargets.ts'
import type { Message } from '../../wire/message.ts'
import type { Outgoing } from './outgoing.ts'
import type { SharedGroup, Shares } from './shares.ts'
import { Unplaced, type UnplacedWorld } from './unplaced.ts'

export interface SharingHome {
  member(peer: NodeId): Outgoing
  /** The broker; null: not there yet. */
  readonly local: () => LocalDelivery | null
  /** Something was put in the member's batch, which was empty before. */
  dirty(member: Outgoing): void
}

/** What one member is to get of a message: the groups it is for there. */
export interface Pick {
  readonly groups: Buffer[]
  bytes: number
  /** Some persistent session is in one of them. */
  durable: boolean
}

export class Sharing {
  readonly #shares: Shares
  readonly #home: SharingHome
  readonly #world: UnplacedWorld
  readonly #reader = new BatchReader()
  readonly #unplaced: Unplaced

  constructor(shares: Shares, world: UnplacedWorld, home: SharingHome) {
    this.#shares = shares
    this.#world = world
    this.#home = home
    this.#unplaced = new Unplaced(world, {
      isThere: (key) => shares.isThere(key),
      mayCome: (key) => shares.mayCome(key),
      place: (message, key, hops) => home.local()?.deliverFromPeer(message, false, { groups: [key], only: true, hops }),
    })
  }

  stop(): void {
    this.#unplaced.stop()
  }

  /** Chooses a member for each group that was not served `here`; null: none is needed. */
  pick(groups: readonly SharedGroup[], here: readonly string[], message: Message): Map<Outgoing, Pick> | null {
    let picks: Map<Outgoing, Pick> | null = null
    for (let index = 0; index < groups.length; index++) {
      const group = groups[index]!
      if (here.includes(group.key)) continue
      // What nobody keeps is for somebody who is there.
      const held = this.#shares.choose(group, message.qos === 0)
      if (held === null) {
        if (!this.#unplaced.keep(message, group.key, 0)) this.#world.meter.count('shares.nobody')
        continue
      }
      picks ??= new Map()
      const member = this.#home.member(held.peer)
      let pick = picks.get(member)
      if (pick === undefined) {
        pick = { groups: [], bytes: 0, durable: false }
        picks.set(member, pick)
      }
      pick.groups.push(group.bytes)
      pick.bytes += group.bytes.length
      if (held.durable) pick.durable = true
    }
    return picks
  }

  /** Sends it to those picked; `awaited`: members whose plain subscribers are awaited as well. How many have taken it. */
  sendAll(
    message: Message,
    topic: Buffer,
    publisher: Buffer,
    picks: ReadonlyMap<Outgoing, Pick>,
    awaited: readonly Outgoing[],
  ): number {
    let count = 0
    for (const [member, pick] of picks) {
      const waits = message.qos > 0 && (pick.durable || awaited.includes(member))
      if (this.#send(member, message, topic, publisher, pick, waits)) count++
    }
    return count
  }

  /** To a member, for these groups and whoever else wants it there. False: it was dropped. */
  #send(member: Outgoing, message: Message, topic: Buffer, publisher: Buffer, pick: Pick, awaited: boolean): boolean {
    if (pick.bytes <= TARGETS_BYTES_MAX) {
      return this.#put(member, message, topic, publisher, encodeTargets(pick.groups, false, 0), awaited)
    }
    let taken = false
    let [rest, bytes] = [[] as Buffer[], 0]
    const put = (only: boolean) => {
      taken = this.#put(member, message, topic, publisher, encodeTargets(rest, only, 0), awaited) || taken
      ;[rest, bytes] = [[], 0]
    }
    let first = true
    for (const group of pick.groups) {
      if (rest.length > 0 && bytes + group.length > TARGETS_BYTES_MAX) {
        put(!first)
        first = false
      }
      rest.push(group)
      bytes += group.length
    }
    put(!first)
    return taken
  }

  /** Brings a message of one group to a consumer on a member, and to nobody else there. False: there is none. */
  handOn(message: Message, key: string, hops: number, connected: boolean): boolean {
    const group = this.#shares.get(key)
    const held = group === undefined ? null : this.#shares.choose(group, connected || message.qos === 0)
    // Where nobody here wants it either, somebody may have to be waited for.
    if (held === null) return !connected && this.#unplaced.keep(message, key, Math.max(0, hops - 1))
    const targets = encodeTargets([group!.bytes], true, hops)
    this.#world.meter.count('shares.handed-on')
    const texts = [encodeText(message.topic), encodeText(message.publisher)] as const
    this.#put(this.#home.member(held.peer), message, ...texts, targets, message.qos > 0 && held.durable)
    return true
  }

  /**
   * The member is gone: what it may not have of the groups goes to others, where somebody is connected. What is left to
   * it is for who stands in for it, or for itself when it is back. QoS 2 that it may have begun is.
   */
  gone(member: Outgoing): void {
    for (const [bytes, start, end, sent] of member.held()) {
      this.#each(bytes, start, end, (message, groups, hops, at) => {
        if (message.qos === 0 || (message.qos === 2 && sent)) return
        if (!groups.every((key) => this.#shares.connected(key) > 0)) return
        withdrawTargets(bytes, at)
        // To those here first: they hand on what they cannot take.
        this.#home.local()?.deliverFromPeer(message, false, { groups, only: true, hops })
        this.#world.meter.count('shares.chosen-again', groups.length)
      })
    }
  }

  /** What was left to the member has gone to one that stands in for it: nobody else is to serve the groups. */
  withdraw(member: Outgoing): void {
    for (const [bytes, start, end] of member.held()) {
      this.#each(bytes, start, end, (_message, _groups, _hops, at) => withdrawTargets(bytes, at))
    }
  }

  #each(
    bytes: Buffer,
    start: number,
    end: number,
    visit: (message: Message, groups: readonly string[], hops: number, at: number) => void,
  ): void {
    const reader = this.#reader
    const nowMs = this.#world.clock.now()
    reader.openItems(bytes, start, end)
    for (let message = reader.next(nowMs); message !== null; message = reader.next(nowMs)) {
      const { targets, targetsAt } = reader
      if (targets.groups.length > 0) visit(message, targets.groups, targets.hops, targetsAt)
    }
  }

  #put(
    member: Outgoing,
    message: Message,
    topic: Buffer,
    publisher: Buffer,
    targets: Buffer,
    awaited: boolean,
  ): boolean {
    const { expiresAt, qos } = message
    const expires = expiresAt !== Number.POSITIVE_INFINITY
    const item = Buffer.allocUnsafe(itemBytes(message, topic, publisher, targets))
    writeItem(item, 0, message, topic, publisher, expires ? expiresAt - this.#world.clock.now() : 0, targets)
    const clean = !member.isDirty
    const expiryAt = expires ? expiryOffset(topic, publisher) : 0
    const taken = member.take(item, 0, item.length, qos, awaited, expiresAt, expiryAt)
    if (clean && member.isDirty) this.#home.dirty(member)
    return taken
  }
}
