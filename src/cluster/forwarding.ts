// Messages to and from the other members: each goes once to every member with a matching route, encoded once for all
// of them, and what a member sent goes to this node's subscribers only, never on.

import type { NodeId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { LocalDelivery, Peers } from '../broker/ports.ts'
import { BatchReader, encodeText, expiryOffset, itemBytes, writeItem } from '../wire/link/forward.ts'
import type { Message, QoS } from '../wire/message.ts'
import { type DropReason, Outgoing, type OutgoingWorld } from './outgoing.ts'
import type { Channel, Channels, FeatureWorld, Membership } from './ports.ts'
import type { Routes } from './routes.ts'
import type { ClusterSettings } from './settings.ts'

/** What the channel keeps for a member by itself; more waits in the member's own queue, whose bound is configured. */
const QUEUE_BYTES = 256 * 1024
/** Topics and client ids whose bytes and receivers are remembered. */
const TOPICS_MAX = 32_768
const PUBLISHERS_MAX = 32_768

/** Who gets messages of a topic, as of one generation of the routes. */
interface Receivers {
  generation: number
  members: readonly Outgoing[]
  /** As it stands in an item; null until the first message goes. */
  bytes: Buffer | null
}

export class Forwarding {
  readonly #clock: Clock
  readonly #log: Log
  readonly #meter: Meter
  readonly #routes: Routes
  readonly #bounds: ClusterSettings['linkQueue']
  readonly #local: () => LocalDelivery | null
  readonly #channel: Channel
  readonly #outgoing = new Map<NodeId, Outgoing>()
  readonly #outgoingWorld: OutgoingWorld
  readonly #reader = new BatchReader()
  /** The number expected next from each linked member. */
  readonly #expected = new Map<NodeId, number>()
  readonly #receivers = new Map<string, Receivers>()
  readonly #publishers = new Map<string, Buffer>()
  #lastTopic = ''
  #last: Receivers = { generation: -1, members: [], bytes: null }
  #lastPublisher = ''
  #lastPublisherBytes = encodeText('')
  #dirty: Outgoing[] = []
  #flushArmed = false
  /** Messages that did not reach a member: each reason has a counter of its own. */
  dropped = 0

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    routes: Routes,
    bounds: ClusterSettings['linkQueue'],
    local: () => LocalDelivery | null,
  ) {
    this.#clock = world.clock
    this.#log = world.log
    this.#meter = world.meter
    this.#routes = routes
    this.#bounds = bounds
    this.#local = local
    this.#outgoingWorld = {
      now: () => world.clock.now(),
      dropped: (reason, qos, count) => this.#drop(reason, qos, count),
    }
    this.#channel = channels.open(
      'forward',
      { priority: 'normal', queueBytes: QUEUE_BYTES },
      {
        linked: (peer) => {
          this.#expected.set(peer, 1)
          this.#member(peer).link()
        },
        unlinked: (peer) => {
          this.#expected.delete(peer)
          this.#outgoing.get(peer)?.unlink()
        },
        received: (peer, bytes) => this.#received(peer, bytes),
        room: (peer) => this.#outgoing.get(peer)?.room(),
      },
    )
    membership.onChange((member) => {
      if (member.state === 'left' && !member.linked) this.#forget(member.id)
    })
  }

  /** Whether any member has a route that matches `topic`. */
  interested(topic: string): boolean {
    return this.#find(topic).members.length > 0
  }

  /** Sends a message of this node's own clients on; returns how many members with a match it is on its way to. */
  forward(message: Message): number {
    const receivers = this.#find(message.topic)
    // Every member has the map of retained messages.
    const members = message.stamp === null ? receivers.members : this.#everybody(receivers.members)
    if (members.length === 0) return 0
    const expires = message.expiresAt !== Number.POSITIVE_INFINITY
    const leftMs = expires ? message.expiresAt - this.#clock.now() : 0
    if (expires && leftMs <= 0) {
      this.#drop('expired', message.qos, members.length)
      return 0
    }
    receivers.bytes ??= encodeText(message.topic)
    const topic = receivers.bytes
    const publisher = message.publisher === this.#lastPublisher ? this.#lastPublisherBytes : this.#publisher(message)
    const length = itemBytes(message, topic, publisher)
    const matching = receivers.members.length
    let source: Buffer | null = null
    let sourceAt = 0
    let count = 0
    for (let index = 0; index < members.length; index++) {
      const member = members[index]!
      if (!member.linked) {
        this.#drop('unlinked', message.qos, 1)
        continue
      }
      const clean = !member.isDirty
      if (source === null) {
        // The first member's batch is the one that the others copy from.
        const batch = member.reserve(length)
        source = batch ?? Buffer.allocUnsafe(length)
        sourceAt = batch === null ? 0 : member.at
        writeItem(source, sourceAt, message, topic, publisher, leftMs)
        if (batch !== null) {
          member.wrote(length, message.qos)
          if (index < matching) count++
          if (clean) this.#enlist(member)
          continue
        }
      }
      const expiryAt = expires ? expiryOffset(topic, publisher) : 0
      const taken = member.take(source, sourceAt, length, message.qos, message.expiresAt, expiryAt)
      if (taken && index < matching) count++
      if (clean && member.isDirty) this.#enlist(member)
    }
    return count
  }

  /** The member's messages that wait for room on its link. */
  waiting(peer: NodeId): number {
    return this.#outgoing.get(peer)?.waiting ?? 0
  }

  #find(topic: string): Receivers {
    const { generation } = this.#routes
    if (topic === this.#lastTopic && this.#last.generation === generation) return this.#last
    let receivers = this.#receivers.get(topic)
    if (receivers === undefined) {
      if (this.#receivers.size >= TOPICS_MAX) this.#receivers.clear()
      receivers = { generation: -1, members: [], bytes: null }
      this.#receivers.set(topic, receivers)
    }
    if (receivers.generation !== generation) {
      const peers: NodeId[] = []
      this.#routes.collect(topic, peers)
      receivers.members = peers.length === 0 ? NOBODY : peers.map((peer) => this.#member(peer))
      receivers.generation = generation
    }
    this.#lastTopic = topic
    this.#last = receivers
    return receivers
  }

  /** Those with a match first, then all others that are linked. */
  #everybody(matching: readonly Outgoing[]): readonly Outgoing[] {
    const all = [...matching]
    for (const member of this.#outgoing.values()) if (member.linked && !matching.includes(member)) all.push(member)
    return all
  }

  #publisher(message: Message): Buffer {
    let bytes = this.#publishers.get(message.publisher)
    if (bytes === undefined) {
      if (this.#publishers.size >= PUBLISHERS_MAX) this.#publishers.clear()
      bytes = encodeText(message.publisher)
      this.#publishers.set(message.publisher, bytes)
    }
    this.#lastPublisher = message.publisher
    this.#lastPublisherBytes = bytes
    return bytes
  }

  #member(peer: NodeId): Outgoing {
    let member = this.#outgoing.get(peer)
    if (member === undefined) {
      member = new Outgoing(peer, this.#channel, this.#bounds, this.#outgoingWorld)
      this.#outgoing.set(peer, member)
    }
    return member
  }

  #forget(peer: NodeId): void {
    const member = this.#outgoing.get(peer)
    if (member === undefined) return
    member.unlink()
    this.#outgoing.delete(peer)
    // Receivers found before its routes went may still name it.
    this.#receivers.clear()
    this.#lastTopic = ''
    this.#last = { generation: -1, members: NOBODY, bytes: null }
  }

  #enlist(member: Outgoing): void {
    this.#dirty.push(member)
    if (this.#flushArmed) return
    this.#flushArmed = true
    this.#clock.soon(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushArmed = false
    const dirty = this.#dirty
    for (let index = 0; index < dirty.length; index++) dirty[index]!.flush()
    dirty.length = 0
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const reader = this.#reader
    if (!reader.open(bytes)) return this.#meter.count('forward.unknown')
    const expected = this.#expected.get(peer)
    if (expected !== undefined && reader.sequence !== expected) {
      this.#meter.count('forward.gap')
      this.#log.error({ peer, expected, sequence: reader.sequence }, 'messages from a member are missing or came twice')
    }
    const local = this.#local()
    const nowMs = this.#clock.now()
    let next = reader.sequence
    for (let message = reader.next(nowMs); message !== null; message = reader.next(nowMs)) {
      next++
      local?.deliverFromPeer(message)
    }
    this.#expected.set(peer, next)
    this.#meter.count('forward.in', next - reader.sequence)
  }

  #drop(reason: DropReason, qos: QoS, count: number): void {
    this.dropped += count
    this.#meter.count('forward.dropped', count)
    this.#meter.count(qos === 0 ? `forward.dropped.${reason}.qos0` : `forward.dropped.${reason}.qos12`, count)
  }
}

const NOBODY: readonly Outgoing[] = []

/** The cluster as the broker sees it. */
export class ClusterPeers implements Peers {
  readonly #routes: Routes
  readonly #forwarding: Forwarding

  constructor(routes: Routes, forwarding: Forwarding) {
    this.#routes = routes
    this.#forwarding = forwarding
  }

  get generation(): number {
    return this.#routes.generation
  }

  wanted(filter: string, taken: () => void): void {
    this.#routes.wanted(filter, taken)
  }

  unwanted(filter: string): void {
    this.#routes.unwanted(filter)
  }

  forward(message: Message): number {
    return this.#forwarding.forward(message)
  }

  interested(topic: string): boolean {
    return this.#forwarding.interested(topic)
  }
}
