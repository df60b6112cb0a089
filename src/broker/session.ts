// An MQTT session: subscriptions, what waits for the client, what is under way to it and from it. Outlives connections.
//
//   take -> sent at once, or -> queue -> window (packet id given) -> acknowledged
//                               ^ pump: after each acknowledgement, when output has drained, when a client is back

import { Deque } from '../base/deque.ts'
import type { ClientId } from '../base/ids.ts'
import { Reason } from '../base/reasons.ts'
import type { Stamp } from '../base/stamps.ts'
import type { QoS } from '../wire/message.ts'
import type { WillPacket } from '../wire/mqtt/packets.ts'
import { Access } from './authorize.ts'
import type { Deadline } from './deadlines.ts'
import type { Awaiting, Delivery } from './delivery.ts'
import { Inbound } from './inbound.ts'
import { Inflight, type Outgoing } from './inflight.ts'
import { HERE, type Place } from './place.ts'
import { type Kept, NoRules } from './ports.ts'
import type { Publication } from './publication.ts'
import { SessionQueue } from './queue.ts'
import type { Receiver } from './receivers.ts'
import { type RetainedFeed, RetainedFeeds } from './retained-feed.ts'
import type { Sender } from './sender.ts'
import type { Acknowledged, SessionConnection, SessionHome } from './session-home.ts'
import type { ShareGroup } from './shared.ts'
import type { Subscription } from './subscriptions.ts'

/** Until a client has opened it. */
const NOBODY_ELSE = new NoRules()

export class Session {
  readonly clientId: ClientId
  readonly subscriptions = new Map<string, Subscription>()
  readonly queue = new SessionQueue()
  readonly inflight = new Inflight()
  readonly inbound = new Inbound()
  readonly #home: SessionHome
  /** The rights of the client that has or had it. */
  access: Access
  /** Seconds that it lasts without a connection. */
  expirySec = 0
  /** The stamp of its last CONNECT; null: without a cluster. */
  epoch: Stamp | null = null
  place: Place = HERE
  /** Its record in the store; null: it ends with its connection. */
  kept: Kept | null = null
  /** Null while the client is away. */
  connection: SessionConnection | null = null
  will: WillPacket | null = null
  /** When the will is to be published, while the client is away; Infinity: not by time. */
  willAt = Number.POSITIVE_INFINITY
  /** When it ends, while the client is away. */
  endsAt = Number.POSITIVE_INFINITY
  /** For whichever of the two comes first; made when the client first goes away. */
  deadline: Deadline | null = null
  /** It has been given messages of shared subscriptions. */
  heldShared = false
  /** Scratch of a match in progress. */
  matching: Receiver | null = null
  /** QoS 1 and 2 messages that may be under way to the client at once. */
  #window = 0
  /** What is to be sent again to a client that is back, and how far that has got. */
  #resend: Outgoing[] | null = null
  #resent = 0
  /** How many in flight are still to be sent again: the client's window began anew with its connection. */
  #unsent = 0
  #feeds: RetainedFeeds | null = null
  /** QoS 2 messages with packet ids that must be on disk before the client gets to know them. */
  #held: Deque<Outgoing> | null = null
  #waitsForSafety = false
  #pumping = false

  constructor(clientId: ClientId, home: SessionHome) {
    this.clientId = clientId
    this.access = new Access(null, clientId, NOBODY_ELSE)
    this.#home = home
  }

  /** For shared subscriptions. 2: takes messages now; 1: connected, but slow; 0: away. */
  get readiness(): 0 | 1 | 2 {
    const { connection } = this
    if (connection === null) return 0
    return this.queue.length > 0 || connection.sender.congested ? 1 : 2
  }

  attach(connection: SessionConnection, window: number): void {
    this.connection = connection
    this.#window = window
    // [MQTT-4.4.0-1] Everything that is not acknowledged goes out again: same ids, same order.
    this.#resend = this.inflight.size === 0 ? null : this.inflight.inOrder()
    this.#resent = 0
    this.#unsent = this.inflight.size
    this.#held = null
    this.pump()
  }

  detach(): void {
    // What was not said yet is not said any more: the client asks again.
    if (this.connection !== null) this.connection.sender.held = null
    this.connection = null
    this.#held = null
    this.#resend = null
  }

  /** Takes a message that matched, for now or for later. `share`: for the others of that group too. [MQTT-4.5.0-1] */
  take(
    publication: Publication,
    qos: QoS,
    retain: boolean,
    ids: readonly number[],
    share: ShareGroup | null = null,
  ): void {
    const { connection } = this
    if (share !== null) this.heldShared = true
    if (qos === 0) {
      if (connection === null) {
        if (this.#home.queueSettings.qos0) this.#enqueueQoS0(publication.delivery(qos, retain, ids, share))
        else this.#home.tally.drop('away')
      } else if (this.queue.holdsQoS0) {
        this.#enqueueQoS0(publication.delivery(qos, retain, ids, share))
      } else if (connection.sender.congested) {
        this.#home.tally.drop('slow-reader')
      } else {
        connection.sender.publication(publication, qos, retain, ids, 0)
      }
      return
    }
    const delivery = this.#home.keeping.delivery(this, publication.delivery(qos, retain, ids, share))
    if (this.#keepsBack(delivery)) return
    if (connection === null || !this.#mayBegin() || this.queue.length > 0) return void this.#enqueue(delivery)
    const outgoing = this.#admit(delivery)
    if (!this.#mayBeSaid(outgoing)) (this.#held ??= new Deque()).push(outgoing)
    else if (!connection.sender.publication(publication, qos, retain, ids, outgoing.packetId)) this.#drop(outgoing)
  }

  /**
   * Offers what it holds of shared subscriptions: unacknowledged QoS 1, and what was not begun. What is taken, it lets
   * go of. [MQTT-4.8.2-4] QoS 2 once begun is not offered.
   */
  offerShared(taken: (delivery: Delivery) => boolean): void {
    if (!this.heldShared) return
    for (const outgoing of this.inflight.inOrder()) {
      const { delivery, awaiting } = outgoing
      if (delivery.share !== null && awaiting === 'puback' && taken(delivery)) this.#drop(outgoing, true)
    }
    this.queue.filter((delivery) => {
      if (delivery.share === null || !taken(delivery)) return true
      delivery.forget(true)
      return false
    })
  }

  /** QoS 0 messages that passed while the client was away, or too slow to get them. */
  missed(count: number): void {
    this.#home.tally.drop(this.connection === null ? 'away' : 'slow-reader', count)
  }

  /** Sends retained messages of a new subscription as the client takes them. */
  feed(feed: RetainedFeed): void {
    ;(this.#feeds ??= new RetainedFeeds()).add(feed)
    this.pump()
  }

  /** The subscription to the filter is gone, or is served anew. */
  unfeed(filter: string): void {
    this.#feeds?.remove(filter)
  }

  /** [MQTT-4.3.2-3] */
  puback(packetId: number): Acknowledged {
    const outgoing = this.inflight.find(packetId)
    if (outgoing === null) return 'unknown'
    if (outgoing.awaiting !== 'puback') return 'out-of-turn'
    this.#release(outgoing)
    return 'done'
  }

  /** [MQTT-4.3.3-4] The caller answers with PUBREL when `done` or `unknown`. */
  pubrec(packetId: number, reason: number): Acknowledged {
    const outgoing = this.inflight.find(packetId)
    if (outgoing === null) return 'unknown'
    if (outgoing.awaiting === 'puback') return 'out-of-turn'
    // [MQTT-4.4.0-2] Refused: it is done, and never sent again.
    if (reason >= Reason.unspecifiedError) this.#release(outgoing)
    else this.#awaits(outgoing, 'pubcomp')
    return 'done'
  }

  pubcomp(packetId: number): Acknowledged {
    const outgoing = this.inflight.find(packetId)
    if (outgoing === null) return 'unknown'
    if (outgoing.awaiting !== 'pubcomp') return 'out-of-turn'
    this.#release(outgoing)
    return 'done'
  }

  /** Sends what waits, as far as window and output allow. */
  pump(): void {
    const { connection } = this
    if (connection === null || this.#pumping) return
    this.#pumping = true
    const { sender } = connection
    if (this.#pumpResend(sender) && this.#pumpHeld(sender) && this.#pumpQueue(sender)) this.#pumpFeeds(sender)
    this.#pumping = false
  }

  /** The session is over, or (not `counted`) goes on in another box: what it held is dropped. */
  clear(counted = true): void {
    const { tally } = this.#home
    if (counted && this.queue.length > 0) tally.drop('session-ended', this.queue.length)
    this.queue.clear()
    for (const { delivery } of this.inflight.inOrder()) delivery.forget()
    this.inflight.clear()
    if (this.place.at === 'arriving') this.place.clear()
    for (const use of this.inbound.clear()) this.#home.keeping.done(use)
    this.#resend = null
    this.#held = null
    this.#feeds = null
  }

  /** [MQTT-3.3.4-9] Whether one more message may be under way. */
  #mayBegin(): boolean {
    return (
      this.#resend === null &&
      this.#held === null &&
      this.inflight.size < this.#window &&
      !this.connection!.sender.congested
    )
  }

  /** More of what was staged is safe. */
  safeMoved(): void {
    this.#waitsForSafety = false
    this.pump()
  }

  #admit(delivery: Delivery): Outgoing {
    const outgoing = this.inflight.admit(delivery)
    this.#awaits(outgoing, outgoing.awaiting)
    return outgoing
  }

  #awaits(outgoing: Outgoing, awaiting: Awaiting): void {
    outgoing.awaiting = awaiting
    const position = outgoing.delivery.moved(awaiting, outgoing.packetId)
    // A QoS 1 message may come twice; of a QoS 2 message the client must not know what we could forget.
    if (awaiting !== 'puback') outgoing.safeAt = position
  }

  #mayBeSaid(outgoing: Outgoing): boolean {
    const { safety } = this.#home
    if (safety.isSafe(outgoing.safeAt)) return true
    if (!this.#waitsForSafety) safety.pumpLater(this)
    this.#waitsForSafety = true
    return false
  }

  /** It is not sent, and will not be. */
  #drop(outgoing: Outgoing, replaced = false): void {
    this.inflight.release(outgoing)
    outgoing.delivery.forget(replaced)
  }

  #release(outgoing: Outgoing): void {
    this.#drop(outgoing)
    const next = this.#resend?.[this.#resent]
    if (next !== undefined && outgoing.order >= next.order) this.#unsent--
    if (this.#resend !== null || this.queue.length > 0 || this.#feeds !== null) this.pump()
  }

  /** Takes a message that matched and comes late: it goes before those that were published after it and still wait. */
  takeLate(publication: Publication, qos: QoS, retain: boolean, ids: readonly number[]): void {
    this.receive(this.#home.keeping.delivery(this, publication.delivery(qos, retain, ids, null)))
  }

  /** Takes a delivery of its own that has come in another way than round the receivers. */
  receive(delivery: Delivery): void {
    if (this.#keepsBack(delivery)) return
    if (this.#enqueue(delivery)) this.queue.putInOrder()
    this.pump()
  }

  /** While it arrives, what comes directly may have to wait: no more of that than its queue holds. */
  #keepsBack(delivery: Delivery): boolean {
    const { place } = this
    if (place.at !== 'arriving' || !place.keepsBack(delivery)) return false
    for (const one of place.overflow()) this.receive(one)
    return true
  }

  #enqueueQoS0(delivery: Delivery): void {
    if (this.#home.memory.tight) this.#home.tally.drop('memory')
    else this.#enqueue(delivery)
  }

  /** False: it was dropped. */
  #enqueue(delivery: Delivery): boolean {
    const { tally, queueSettings } = this.#home
    const pushed = this.queue.push(delivery, queueSettings)
    if (pushed === 'queued') return true
    tally.drop('queue-full', pushed === 'dropped-oldest' ? this.queue.lastDropped : 1)
    if (pushed === 'dropped-oldest') return true
    delivery.forget()
    if (pushed === 'refused') this.connection?.closeSoon(Reason.quotaExceeded, 'queue full')
    return false
  }

  /** True when there is nothing left to be sent again. */
  #pumpResend(sender: Sender): boolean {
    const resend = this.#resend
    if (resend === null) return true
    const nowMs = this.#home.clock.now()
    while (this.#resent < resend.length) {
      const outgoing = resend[this.#resent]!
      if (sender.congested) return false
      if (this.inflight.find(outgoing.packetId) === outgoing) {
        if (!this.#mayBeSaid(outgoing)) return false
        if (outgoing.awaiting === 'pubcomp') {
          sender.ack('pubrel', outgoing.packetId, Reason.success)
        } else {
          if (this.inflight.size - this.#unsent >= this.#window) return false
          const { message, qos, retain, subscriptionIds } = outgoing.delivery
          // [MQTT-3.3.1-1]
          if (!sender.message(message, qos, retain, subscriptionIds, outgoing.packetId, true, nowMs)) {
            this.#drop(outgoing)
          }
        }
        this.#unsent--
      }
      this.#resent++
    }
    this.#resend = null
    return true
  }

  /** True when nothing is held back any more. */
  #pumpHeld(sender: Sender): boolean {
    const held = this.#held
    if (held === null) return true
    const nowMs = this.#home.clock.now()
    for (let outgoing = held.peek(); outgoing !== undefined; outgoing = held.peek()) {
      if (sender.congested || !this.#mayBeSaid(outgoing)) return false
      held.shift()
      if (this.inflight.find(outgoing.packetId) === outgoing) this.#send(sender, outgoing, nowMs)
    }
    this.#held = null
    return true
  }

  #send(sender: Sender, outgoing: Outgoing, nowMs: number): void {
    const { message, qos, retain, subscriptionIds } = outgoing.delivery
    if (!sender.message(message, qos, retain, subscriptionIds, outgoing.packetId, false, nowMs)) this.#drop(outgoing)
  }

  /** True when the queue is empty. */
  #pumpQueue(sender: Sender): boolean {
    const { queue, inflight } = this
    if (queue.length === 0) return true
    const nowMs = this.#home.clock.now()
    for (let delivery = queue.peek(); delivery !== undefined; delivery = queue.peek()) {
      const { message, qos } = delivery
      // [MQTT-3.3.2-5]
      if (message.expiresAt <= nowMs) {
        queue.shift()
        delivery.forget()
        this.#home.tally.drop('expired')
        continue
      }
      if (sender.congested || (qos > 0 && inflight.size >= this.#window)) return false
      queue.shift()
      this.#begin(sender, delivery, nowMs)
    }
    return true
  }

  #begin(sender: Sender, delivery: Delivery, nowMs: number): void {
    if (delivery.qos === 0) {
      sender.message(delivery.message, 0, delivery.retain, delivery.subscriptionIds, 0, false, nowMs)
      return
    }
    const outgoing = this.#admit(delivery)
    if (this.#held === null && this.#mayBeSaid(outgoing)) this.#send(sender, outgoing, nowMs)
    else (this.#held ??= new Deque()).push(outgoing)
  }

  #pumpFeeds(sender: Sender): void {
    const feeds = this.#feeds
    if (feeds === null) return
    const { clock, keeping } = this.#home
    const nowMs = clock.now()
    const told = feeds.pump(nowMs, (delivery) => {
      if (sender.congested || (delivery.qos > 0 && this.inflight.size >= this.#window)) return false
      this.#begin(sender, keeping.delivery(this, delivery), nowMs)
      return true
    })
    if (told === 'all') this.#feeds = null
    else if (told === 'a turn') clock.soon(() => this.pump())
  }
}
