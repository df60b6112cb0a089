// Messages to and from the other members: each goes once to every member with a matching route, encoded once for all
// of them, and what a member sent goes to this node's subscribers only, never on. A retained message goes to all.
//
// What a publisher is told waits for the members in which a persistent session wants the message (CLUSTER 6).

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { LocalDelivery } from '../../broker/ports.ts'
import { encodeText, expiryOffset, isBatch, itemBytes, writeItem } from '../../wire/link/forward.ts'
import { decodeMark } from '../../wire/link/marks.ts'
import { decodeTaken, RUN_BYTES } from '../../wire/link/taken.ts'
import type { Message, QoS } from '../../wire/message.ts'
import { RecordKind } from '../../wire/record/batch.ts'
import { LEFT_MS } from '../members/memberstate.ts'
import type { Channel, Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'
import type { ClusterSettings } from '../settings.ts'
import type { MemberQueue } from '../status.ts'
import { Arrivals } from './arrivals.ts'
import { Barriers } from './barriers.ts'
import { GoingOn } from './goingon.ts'
import { Incoming } from './incoming.ts'
import { type DropReason, Outgoing, type OutgoingWorld } from './outgoing.ts'
import { ParkedCopies } from './parkedcopies.ts'
import { Parking, type Safekeeping } from './parking.ts'
import { Publishers } from './publishers.ts'
import type { Routes } from './routes.ts'
import type { SharedGroup, Shares } from './shares.ts'
import { Sharing } from './sharing.ts'
import { Unheard } from './unheard.ts'

/**
 * What the channel keeps for a member by itself; more waits in the member's own queue, message by message, whose bound is
 * configured. As much as a window, or a burst that fits both ends would go through that queue, at ten times the cost.
 */
const QUEUE_BYTES = limits.channelWindowBytes
/** Topics whose bytes and receivers are remembered. */
const TOPICS_MAX = 32_768

/** Who gets messages of a topic, as of one generation of the routes. */
interface Receivers {
  generation: number
  /** Those in which a persistent session wants it come first. */
  members: readonly Outgoing[]
  durable: number
  /** Share groups with consumers on members. */
  groups: readonly SharedGroup[]
  /** As it stands in an item; null until the first message goes. */
  bytes: Buffer | null
}

/** What forwarding asks of its node. */
export interface ForwardingNode {
  readonly shares: Shares
  /** Of the queue for each member. */
  readonly bounds: ClusterSettings['linkQueue']
  /** The broker, for what members send; null: not there yet. */
  readonly local: () => LocalDelivery | null
  readonly keeping: Safekeeping
  /** On how many boxes things are to be, this one included; without it, on one. */
  readonly copies?: () => number
}

export class Forwarding {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #routes: Routes
  readonly #shares: Shares
  readonly #sharing: Sharing
  readonly #bounds: ClusterSettings['linkQueue']
  readonly #channel: Channel
  readonly #outgoing = new Map<NodeId, Outgoing>()
  readonly #outgoingWorld: OutgoingWorld
  readonly #arrivals: Arrivals
  readonly #incoming: Incoming
  readonly parking: Parking
  readonly parkedCopies: ParkedCopies
  readonly #goingOn: GoingOn
  readonly barriers: Barriers
  readonly #unheard: Unheard
  readonly #receivers = new Map<string, Receivers>()
  readonly #publishers = new Publishers()
  #lastTopic = ''
  #last: Receivers = NO_RECEIVERS
  #dirty: Outgoing[] = []
  #flushArmed = false
  /** Messages that did not reach a member: each reason has a counter of its own. */
  dropped = 0

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    routes: Routes,
    { shares, bounds, local, keeping, copies }: ForwardingNode,
  ) {
    this.#clock = world.clock
    this.#meter = world.meter
    this.#routes = routes
    this.#unheard = new Unheard(world.clock, routes)
    this.#shares = shares
    this.#sharing = new Sharing(shares, world, {
      member: (peer) => this.#member(peer),
      dirty: (member) => this.#enlist(member),
      local,
    })
    this.#bounds = bounds
    this.parking = new Parking(keeping)
    keeping.takers.set(RecordKind.parked, (record, found) => {
      const parked = this.parking.found(record, found)
      if (parked !== null) this.#member(parked.member).restore(parked)
    })
    // One life of this node's numbers, and of what it remembers of others'.
    const run = world.random.bytes(RUN_BYTES).toString('hex')
    this.#outgoingWorld = {
      run,
      parking: this.parking,
      now: () => world.clock.now(),
      dropped: (reason, qos, count) => this.#drop(reason, qos, count),
      count: (name) => world.meter.count(name),
    }
    const { positions } = keeping
    this.#arrivals = new Arrivals(run, world, keeping, () => this.#channel)
    this.#incoming = new Incoming({ ...world, positions, arrivals: this.#arrivals, local })
    this.#channel = channels.open(
      'forward',
      { priority: 'normal', queueBytes: QUEUE_BYTES },
      {
        linked: (peer) => {
          this.#arrivals.linked(peer)
          this.#member(peer).link()
          this.barriers.linked(peer)
        },
        unlinked: (peer) => {
          this.#arrivals.unlinked(peer)
          this.#outgoing.get(peer)?.unlink()
          this.barriers.unlinked(peer)
        },
        received: (peer, bytes) => this.#received(peer, bytes),
        room: (peer) => {
          this.#arrivals.room(peer)
          this.#outgoing.get(peer)?.room()
          this.barriers.room(peer)
        },
      },
    )
    this.barriers = new Barriers(world, membership, {
      send: (peer, bytes) => this.#channel.send(peer, bytes) === 'sent',
      behind: (peer, bytes) => this.#member(peer).behind(bytes),
      knows: (member) => routes.isCurrent(member),
    })
    const home = { clock: world.clock, meter: world.meter, membership, parking: this.parking, local }
    this.#goingOn = new GoingOn({ ...home, wanted: copies ?? (() => 1), member: (peer) => this.#member(peer) })
    this.parkedCopies = new ParkedCopies(world, channels, membership, this.#goingOn)
    membership.onChange((member) => {
      this.#memberChanged(member)
      if (member.state !== 'left' || member.linked) return
      // What waits for it is for whoever goes on with its sessions.
      this.#clock.after(LEFT_MS, 'forward.left', () => {
        if (membership.member(member.id)?.state === 'left') this.forget(member.id)
      })
    })
    positions.watch(() => {
      for (const member of this.#outgoing.values()) member.safeMoved()
    })
  }

  /** Looks, several times in a heartbeat, for members that have kept a publisher waiting for `longestMs`. */
  look(nowMs: number, longestMs: number): void {
    for (const member of this.#outgoing.values()) member.look(nowMs, longestMs)
    this.parkedCopies.look(nowMs, longestMs)
  }

  stop(): void {
    this.#arrivals.stop()
    this.#sharing.stop()
    this.barriers.stop()
    this.parkedCopies.stop()
    for (const member of this.#outgoing.values()) member.unlink()
  }

  /** This node begins; it was linked with these before. */
  expect(peers: Iterable<NodeId>): void {
    this.#unheard.expect(peers)
  }

  /** Changes whenever `interested` may answer otherwise. */
  get generation(): number {
    return this.#routes.generation + this.#shares.generation + this.#unheard.changes
  }

  /** Whether any member has a route that matches `topic`, or may have. */
  interested(topic: string): boolean {
    if (this.#unheard.size > 0) return true
    const { members, groups } = this.#find(topic)
    return members.length > 0 || groups.length > 0
  }

  /**
   * Sends a message of this node's own clients on; returns how many members with a match it is on its way to. `here`: the
   * share groups that were served on this node.
   */
  forward(message: Message, here: readonly string[] = NO_GROUPS): number {
    if (this.#unheard.size > 0 && message.qos > 0) this.#toUnheard(message)
    const receivers = this.#find(message.topic)
    // Every member has the map of retained messages.
    let members = message.stamp === null ? receivers.members : this.#everybody(receivers.members, message.qos)
    const picks = receivers.groups.length === 0 ? null : this.#sharing.pick(receivers.groups, here, message)
    if (members.length === 0 && picks === null) return 0
    const expires = message.expiresAt !== Number.POSITIVE_INFINITY
    const leftMs = expires ? message.expiresAt - this.#clock.now() : 0
    if (expires && leftMs <= 0) {
      this.#drop('expired', message.qos, Math.max(1, members.length))
      return 0
    }
    receivers.bytes ??= encodeText(message.topic)
    const topic = receivers.bytes
    const publisher = this.#publishers.bytesOf(message.publisher)
    const length = itemBytes(message, topic, publisher)
    let matching = receivers.members.length
    let awaited = message.qos === 0 ? 0 : message.stamp === null ? receivers.durable : Math.max(1, receivers.durable)
    let source: Buffer | null = null
    let sourceAt = 0
    let count = 0
    if (picks !== null) {
      count = this.#sharing.sendAll(message, topic, publisher, picks, members.slice(0, awaited))
      const left = (end: number) => members.slice(0, end).filter((member) => !picks.has(member)).length
      ;[matching, awaited] = [left(matching), left(awaited)]
      members = members.filter((member) => !picks.has(member))
    }
    for (let index = 0; index < members.length; index++) {
      const member = members[index]!
      const clean = !member.isDirty
      if (source === null) {
        // The first member's batch is the one that the others copy from.
        const batch = member.reserve(length)
        source = batch ?? Buffer.allocUnsafe(length)
        sourceAt = batch === null ? 0 : member.at
        writeItem(source, sourceAt, message, topic, publisher, leftMs)
        if (batch !== null) {
          member.wrote(length, index < awaited, expires)
          if (index < matching) count++
          if (clean) this.#enlist(member)
          continue
        }
      }
      const expiryAt = expires ? expiryOffset(topic, publisher) : 0
      const taken = member.take(source, sourceAt, length, message.qos, index < awaited, message.expiresAt, expiryAt)
      if (taken && index < matching) count++
      if (clean && member.isDirty) this.#enlist(member)
    }
    return count
  }

  /** As `Peers` has it. */
  handOn(message: Message, group: string, hops: number, connected: boolean): boolean {
    return this.#sharing.handOn(message, group, hops, connected)
  }

  /** `to` keeps sessions of `from` going: what `from` may not have is for it, too, which knows what it has had. */
  handOver(from: NodeId, to: NodeId): void {
    const gone = this.#outgoing.get(from)
    if (gone === undefined) return
    const found = gone.undelivered()
    // First: what nobody who stands in can take may come to wait for that member once more.
    this.#sharing.withdraw(gone)
    this.#goingOn.handOver(found, to)
  }

  #toUnheard(message: Message): void {
    const nowMs = this.#clock.now()
    for (const peer of this.#unheard.left(nowMs)) {
      const member = this.#member(peer)
      if (this.#find(message.topic).members.includes(member)) continue
      const [topic, publisher] = [encodeText(message.topic), encodeText(message.publisher)]
      const item = Buffer.allocUnsafe(itemBytes(message, topic, publisher))
      writeItem(item, 0, message, topic, publisher, message.expiresAt - nowMs)
      const clean = !member.isDirty
      member.take(item, 0, item.length, message.qos, true, message.expiresAt, expiryOffset(topic, publisher))
      if (clean && member.isDirty) this.#enlist(member)
    }
  }

  /** What there is for the member that it does not have. */
  queue(peer: NodeId): MemberQueue {
    const { waiting = 0, dropped = 0 } = this.#outgoing.get(peer) ?? {}
    return { queued: waiting, dropped, parked: this.parking.of(peer) }
  }

  #find(topic: string): Receivers {
    const generation = this.#routes.generation + this.#shares.generation
    if (topic === this.#lastTopic && this.#last.generation === generation) return this.#last
    let receivers = this.#receivers.get(topic)
    if (receivers === undefined) {
      if (this.#receivers.size >= TOPICS_MAX) this.#receivers.clear()
      receivers = { generation: -1, members: NOBODY, durable: 0, groups: [], bytes: null }
      this.#receivers.set(topic, receivers)
    }
    if (receivers.generation !== generation) {
      const peers: NodeId[] = []
      receivers.durable = this.#routes.collect(topic, peers)
      receivers.members = peers.length === 0 ? NOBODY : peers.map((peer) => this.#member(peer))
      receivers.groups = this.#shares.collect(topic)
      receivers.generation = generation
    }
    this.#lastTopic = topic
    this.#last = receivers
    return receivers
  }

  /** Those with a match first, then all others that live; one that is heard comes before those that are not. */
  #everybody(matching: readonly Outgoing[], qos: QoS): readonly Outgoing[] {
    const others: Outgoing[] = []
    for (const member of this.#outgoing.values()) {
      // Those that may want everything of that QoS were just sent it.
      const hasIt = matching.includes(member) || (qos > 0 && this.#unheard.has(member.peer))
      if (!member.isGone && !hasIt) others.push(member)
    }
    const flowing = others.filter(({ flows }) => flows)
    return [...matching, ...flowing, ...others.filter(({ flows }) => !flows)]
  }

  #member(peer: NodeId): Outgoing {
    let member = this.#outgoing.get(peer)
    if (member === undefined) {
      member = new Outgoing(peer, this.#channel, this.#bounds, this.#outgoingWorld)
      this.#outgoing.set(peer, member)
    }
    return member
  }

  #memberChanged({ id, state }: MemberView): void {
    const member = this.#outgoing.get(id)
    member?.is(state)
    if (member?.isGone) this.#sharing.gone(member)
  }

  /** Nothing is for any of them any more. */
  forgetAll(): void {
    for (const peer of [...this.#outgoing.keys()]) this.forget(peer)
  }

  /** It is no member any more. */
  forget(peer: NodeId): void {
    this.#arrivals.forget(peer)
    this.#unheard.forget(peer)
    const member = this.#outgoing.get(peer)
    if (member === undefined) return
    member.leave()
    this.#outgoing.delete(peer)
    // Receivers found before its routes went may still name it.
    this.#receivers.clear()
    this.#lastTopic = ''
    this.#last = NO_RECEIVERS
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
    if (isBatch(bytes)) return this.#incoming.batch(peer, bytes)
    const mark = decodeMark(bytes)
    if (mark !== null) return this.barriers.received(peer, mark)
    const message = decodeTaken(bytes)
    switch (message?.kind) {
      case 'here':
        return this.#member(peer).here(message)
      case 'begin':
        return this.#arrivals.begin(peer, message)
      case 'taken':
        return this.#member(peer).taken(message)
      default:
        // Of a kind that a newer version speaks.
        this.#meter.count('forward.unknown')
    }
  }

  #drop(reason: DropReason, qos: QoS, count: number): void {
    this.dropped += count
    this.#meter.count('forward.dropped', count)
    this.#meter.count(qos === 0 ? `forward.dropped.${reason}.qos0` : `forward.dropped.${reason}.qos12`, count)
  }
}

const NOBODY: readonly Outgoing[] = []
const NO_GROUPS: readonly string[] = []
const NO_RECEIVERS: Receivers = { generation: -1, members: NOBODY, durable: 0, groups: [], bytes: null }
