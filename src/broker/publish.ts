// What becomes of a message that was accepted: kept if retained, delivered here, forwarded to those members that want
// it. Also gives every QoS 1 and 2 message its id.

import type { ClientId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Stamp } from '../base/stamps.ts'
import { NO_TARGETS, type ShareTargets } from '../wire/link/sharetargets.ts'
import { EMPTY, type Late, type Message, type Origin } from '../wire/message.ts'
import type { WillPacket } from '../wire/mqtt/packets.ts'
import type { PublishView } from '../wire/mqtt/publish.ts'
import { deliver, deliverToMember } from './deliver.ts'
import { deliverLate } from './late.ts'
import type { Peers } from './ports.ts'
import { Publication, type WireVersion } from './publication.ts'
import type { Receivers, ReceiversCache } from './receivers.ts'
import type { RetainedMessages } from './retained.ts'
import type { ShareGroup } from './shared.ts'
import type { Subscription } from './subscriptions.ts'
import { willId } from './will.ts'

export class Publisher {
  readonly #clock: Clock
  readonly #peers: Peers
  readonly #origin: Origin
  readonly #receivers: ReceiversCache
  readonly #retained: RetainedMessages
  /** The one in hand: messages go round one after the other, never one within another. */
  readonly #publication = new Publication()
  #counter = 0

  constructor(clock: Clock, peers: Peers, origin: Origin, receivers: ReceiversCache, retained: RetainedMessages) {
    this.#clock = clock
    this.#peers = peers
    this.#origin = origin
    this.#receivers = receivers
    this.#retained = retained
  }

  /** The counter of the last message of this node's own clients. */
  get counter(): number {
    return this.#counter
  }

  /** A QoS 0 or 1 message as the client sent it; returns how many sessions and members it reached. */
  packet(
    view: PublishView,
    buffer: Buffer,
    start: number,
    end: number,
    wire: WireVersion,
    receivers: Receivers,
    publisher: ClientId,
  ): number {
    if (receivers.nobody && !view.retain) return 0
    const publication = this.#take(view, buffer, start, end, wire, receivers, publisher)
    const reached = this.#route(publication, receivers, true)
    publication.done()
    return reached
  }

  /** A QoS 2 message as the client sent it, to be kept until it is released. */
  kept(
    view: PublishView,
    buffer: Buffer,
    start: number,
    end: number,
    wire: WireVersion,
    receivers: Receivers,
    publisher: ClientId,
  ): Message {
    const publication = this.#take(view, buffer, start, end, wire, receivers, publisher)
    const message = publication.keep()
    publication.done()
    return message
  }

  /** A message that is whole and has bytes of its own: released by PUBREL. */
  message(message: Message): number {
    return this.#message(message, true, true)
  }

  /**
   * A message that was released before, and perhaps did not come to all: an earlier run of this node gave it to its own
   * sessions then; another box gave it to this one at best.
   */
  again(message: Message): void {
    if (message.origin.node !== this.#origin.node) return void this.#message(message, true, true)
    const { forwards, groups } = this.#receivers.of(message.topic)
    if (!forwards) return
    // A group with consumers here had it from them.
    const here = groups.map(({ key }) => key)
    this.#peers.forward(message, here)
  }

  /** An empty message, which removes what is retained under the topic. */
  empty(topic: string, publisher: ClientId): void {
    this.will(publisher, {
      topic,
      qos: 1,
      retain: true,
      payload: EMPTY,
      properties: EMPTY,
      delaySec: 0,
      expirySec: null,
    })
  }

  will(clientId: ClientId, will: WillPacket): void {
    const id = { origin: this.#origin, counter: will.qos === 0 ? 0 : ++this.#counter }
    this.#message({ ...id, ...this.#ofWill(clientId, will) }, true, true)
  }

  /** The will of a client whose box is gone; `epoch`: of the CONNECT that brought it. */
  orphanedWill(clientId: ClientId, will: WillPacket, epoch: Stamp): void {
    const { origin, counter } = willId(clientId, epoch)
    const id = { origin, counter: will.qos === 0 ? 0 : counter, willOf: epoch }
    this.#message({ ...id, ...this.#ofWill(clientId, will) }, true, true)
  }

  /** What stood there before the will of a client was published that had not died: it counts as written now. */
  putBack(topic: string, before: Message | null, clientId: ClientId): void {
    if (before === null) return this.empty(topic, clientId)
    const { willOf: _, ...message } = before
    const id = { origin: this.#origin, counter: before.qos === 0 ? 0 : ++this.#counter }
    this.#message({ ...message, ...id, retain: true, stamp: null }, true, true)
  }

  #ofWill(publisher: ClientId, { topic, qos, retain, payload, properties, expirySec }: WillPacket) {
    const expiresAt = expirySec === null ? Number.POSITIVE_INFINITY : this.#clock.now() + expirySec * 1000
    return { topic, qos, retain, payload, properties, expiresAt, publisher, stamp: null }
  }

  /**
   * A message from a member, with bytes that are borrowed: to this node's subscribers, and the share groups that it was
   * sent for. `late`: it may have come before.
   */
  fromPeer(message: Message, late: Late, targets: ShareTargets = NO_TARGETS): number {
    const publication = this.#publication
    const nowMs = message.expiresAt === Number.POSITIVE_INFINITY ? 0 : this.#clock.now()
    publication.fromMessage(message, false, nowMs, true)
    publication.targets = targets
    if (publication.retain) this.#retained.hear(publication)
    const receivers = this.#receivers.of(message.topic)
    const reached = late
      ? deliverLate(publication, receivers, this.#origin, late === 'handed', this.#peers)
      : deliver(publication, receivers, this.#peers)
    publication.done()
    return reached
  }

  /** A message that another member of the group has left behind. */
  toMember(message: Message, group: ShareGroup, member: Subscription): void {
    this.#publication.fromMessage(message, true, this.#clock.now())
    deliverToMember(this.#publication, group, member)
    this.#publication.done()
  }

  /** The broker's own word: to this node's subscribers only. Its bytes may be kept. */
  sys(message: Message): void {
    this.#message(message, true, false)
  }

  #take(
    view: PublishView,
    buffer: Buffer,
    start: number,
    end: number,
    wire: WireVersion,
    receivers: Receivers,
    publisher: ClientId,
  ): Publication {
    const publication = this.#publication
    const counter = view.qos === 0 ? 0 : ++this.#counter
    // Only what expires needs the time.
    const nowMs = view.expirySec < 0 ? 0 : this.#clock.now()
    publication.fromPacket(view, buffer, start, end, wire, receivers.topic, publisher, this.#origin, counter, nowMs)
    return publication
  }

  #message(message: Message, kept: boolean, own: boolean): number {
    const publication = this.#publication
    // Only what expires needs the time.
    const nowMs = message.expiresAt === Number.POSITIVE_INFINITY ? 0 : this.#clock.now()
    // One of an earlier run, or begun at another box, may have come here before.
    publication.fromMessage(message, kept, nowMs, message.origin !== this.#origin)
    const reached = this.#route(publication, this.#receivers.of(message.topic), own)
    publication.done()
    return reached
  }

  /** `own`: from this node's own client, so the other members have not seen it. */
  #route(publication: Publication, receivers: Receivers, own: boolean): number {
    if (own && publication.retain) this.#retained.accept(publication)
    let reached = deliver(publication, receivers, this.#peers)
    // Every member has the map of retained messages.
    if (own && (receivers.forwards || publication.stamp !== null)) {
      reached += this.#peers.forward(publication.passing(), publication.here)
    }
    return reached
  }
}
