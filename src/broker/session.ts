// An MQTT session: subscriptions, what waits for the client, what is under way to it and from it. Outlives connections.
//
//   take -> sent at once, or -> queue -> window (packet id given) -> acknowledged
//                               ^ pump: after each acknowledgement, when output has drained, when a client is back

import type { ClientId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Endpoint } from '../base/ports/streams.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import type { QoS } from '../wire/message.ts'
import type { WillPacket } from '../wire/mqtt/packets.ts'
import { Access } from './authorize.ts'
import { bounds } from './bounds.ts'
import type { Deadline } from './deadlines.ts'
import type { Delivery } from './delivery.ts'
import { Inbound } from './inbound.ts'
import { Inflight, type Outgoing } from './inflight.ts'
import type { MemoryGuard } from './memory-guard.ts'
import { NoRules } from './ports.ts'
import type { Publication } from './publication.ts'
import { type QueueSettings, SessionQueue } from './queue.ts'
import type { Receiver } from './receivers.ts'
import type { RetainedFeed } from './retained-feed.ts'
import type { Sender } from './sender.ts'
import type { ShareGroup } from './shared.ts'
import type { Subscription } from './subscriptions.ts'
import type { Tally } from './tally.ts'

/** Until a client has opened it. */
const NOBODY_ELSE = new NoRules()

/** What a session sees of its connection. */
export interface SessionConnection {
  readonly sender: Sender
  /** Where the client is. */
  readonly remote: Endpoint
  /** Closes at once; not while a message goes round its receivers. */
  close(reason: ReasonCode, why: string): void
  /** Closes at the end of this turn: for use while a message goes round its receivers. */
  closeSoon(reason: ReasonCode, why: string): void
}

/** What all sessions of a broker share. */
export interface SessionHome {
  readonly clock: Clock
  readonly tally: Tally
  readonly memory: MemoryGuard
  readonly queueSettings: QueueSettings
}

/** What became of an acknowledgement from the client. */
export type Acknowledged = 'done' | 'unknown' | 'out-of-turn'

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
  /** Null while the client is away. */
  connection: SessionConnection | null = null
  will: WillPacket | null = null
  /** When the will is to be published, while the client is away; Infinity: not by time. */
  willAt = Number.POSITIVE_INFINITY
  /** When it ends, while the client is away. */
  endsAt = Number.POSITIVE_INFINITY
  /** For whichever of the two comes first; made when the client first goes away. */
  deadline: Deadline | null = null
  /** Scratch of a match in progress. */
  matching: Receiver | null = null
  /** QoS 1 and 2 messages that may be under way to the client at once. */
  #window = 0
  /** What is to be sent again to a client that is back, and how far that has got. */
  #resend: Outgoing[] | null = null
  #resent = 0
  /** How many in flight are still to be sent again: the client's window began anew with its connection. */
  #unsent = 0
  #feeds: RetainedFeed[] | null = null
  #pumping = false
  /** It has been given messages of shared subscriptions. */
  #heldShared = false

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
    this.pump()
  }

  detach(): void {
    this.connection = null
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
    if (share !== null) this.#heldShared = true
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
    const delivery = publication.delivery(qos, retain, ids, share)
    if (connection === null || !this.#mayBegin() || this.queue.length > 0) return this.#enqueue(delivery)
    const outgoing = this.inflight.admit(delivery)
    if (!connection.sender.publication(publication, qos, retain, ids, outgoing.packetId)) {
      this.inflight.release(outgoing)
    }
  }

  /**
   * Offers what it holds of shared subscriptions: unacknowledged QoS 1, and what was not begun. What is taken, it lets
   * go of. [MQTT-4.8.2-4] QoS 2 once begun is not offered.
   */
  offerShared(taken: (delivery: Delivery) => boolean): void {
    if (!this.#heldShared) return
    for (const outgoing of this.inflight.inOrder()) {
      const { delivery, awaiting } = outgoing
      if (delivery.share !== null && awaiting === 'puback' && taken(delivery)) this.inflight.release(outgoing)
    }
    this.queue.filter((delivery) => delivery.share === null || !taken(delivery))
  }

  /** QoS 0 messages that passed while the client was away, or too slow to get them. */
  missed(count: number): void {
    this.#home.tally.drop(this.connection === null ? 'away' : 'slow-reader', count)
  }

  /** Sends retained messages of a new subscription as the client takes them. */
  feed(feed: RetainedFeed): void {
    this.unfeed(feed.filter)
    ;(this.#feeds ??= []).push(feed)
    this.pump()
  }

  /** The subscription to the filter is gone, or is served anew. */
  unfeed(filter: string): void {
    const feeds = this.#feeds?.filter((feed) => feed.filter !== filter) ?? []
    this.#feeds = feeds.length === 0 ? null : feeds
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
    else outgoing.awaiting = 'pubcomp'
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
    if (this.#pumpResend(sender) && this.#pumpQueue(sender)) this.#pumpFeeds(sender)
    this.#pumping = false
  }

  /** The session is over: what it held is dropped. */
  clear(): void {
    const { tally } = this.#home
    if (this.queue.length > 0) tally.drop('session-ended', this.queue.length)
    this.queue.clear()
    this.inflight.clear()
    this.inbound.clear()
    this.#resend = null
    this.#feeds = null
  }

  /** [MQTT-3.3.4-9] Whether one more message may be under way. */
  #mayBegin(): boolean {
    return this.#resend === null && this.inflight.size < this.#window && !this.connection!.sender.congested
  }

  #release(outgoing: Outgoing): void {
    this.inflight.release(outgoing)
    const next = this.#resend?.[this.#resent]
    if (next !== undefined && outgoing.order >= next.order) this.#unsent--
    if (this.#resend !== null || this.queue.length > 0 || this.#feeds !== null) this.pump()
  }

  #enqueueQoS0(delivery: Delivery): void {
    if (this.#home.memory.tight) this.#home.tally.drop('memory')
    else this.#enqueue(delivery)
  }

  #enqueue(delivery: Delivery): void {
    const { tally, queueSettings } = this.#home
    switch (this.queue.push(delivery, queueSettings)) {
      case 'queued':
        return
      case 'dropped-oldest':
        return tally.drop('queue-full', this.queue.lastDropped)
      case 'dropped-newest':
        return tally.drop('queue-full')
      case 'refused':
        tally.drop('queue-full')
        this.connection?.closeSoon(Reason.quotaExceeded, 'queue full')
    }
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
        if (outgoing.awaiting === 'pubcomp') {
          sender.ack('pubrel', outgoing.packetId, Reason.success)
        } else {
          if (this.inflight.size - this.#unsent >= this.#window) return false
          const { message, qos, retain, subscriptionIds } = outgoing.delivery
          // [MQTT-3.3.1-1]
          if (!sender.message(message, qos, retain, subscriptionIds, outgoing.packetId, true, nowMs)) {
            this.inflight.release(outgoing)
          }
        }
        this.#unsent--
      }
      this.#resent++
    }
    this.#resend = null
    return true
  }

  /** True when the queue is empty. */
  #pumpQueue(sender: Sender): boolean {
    const { queue, inflight } = this
    if (queue.length === 0) return true
    const nowMs = this.#home.clock.now()
    for (let delivery = queue.peek(); delivery !== undefined; delivery = queue.peek()) {
      const { message, qos, retain, subscriptionIds } = delivery
      // [MQTT-3.3.2-5]
      if (message.expiresAt <= nowMs) {
        queue.shift()
        this.#home.tally.drop('expired')
        continue
      }
      if (sender.congested || (qos > 0 && inflight.size >= this.#window)) return false
      queue.shift()
      this.#begin(sender, delivery, message, qos, retain, subscriptionIds, nowMs)
    }
    return true
  }

  #begin(
    sender: Sender,
    delivery: Delivery,
    message: Delivery['message'],
    qos: QoS,
    retain: boolean,
    ids: readonly number[],
    nowMs: number,
  ): void {
    if (qos === 0) {
      sender.message(message, qos, retain, ids, 0, false, nowMs)
      return
    }
    const outgoing = this.inflight.admit(delivery)
    if (!sender.message(message, qos, retain, ids, outgoing.packetId, false, nowMs)) this.inflight.release(outgoing)
  }

  #pumpFeeds(sender: Sender): void {
    const feeds = this.#feeds
    if (feeds === null) return
    const { clock } = this.#home
    const nowMs = clock.now()
    let turn: number = bounds.retainedPerTurn
    for (let feed = feeds[0]; feed !== undefined; feed = feeds[0]) {
      for (let delivery = feed.next(nowMs); delivery !== null; delivery = feed.next(nowMs)) {
        const { message, qos, retain, subscriptionIds } = delivery
        if (sender.congested || (qos > 0 && this.inflight.size >= this.#window)) return feed.back()
        this.#begin(sender, delivery, message, qos, retain, subscriptionIds, nowMs)
        if (--turn <= 0) return clock.soon(() => this.pump())
      }
      feeds.shift()
    }
    this.#feeds = null
  }
}
