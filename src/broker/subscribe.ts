// SUBSCRIBE and UNSUBSCRIBE: takes effect at once, in the order of the connection's packets; only the SUBACK waits until
// the rest of the cluster has taken the routes, and retained messages come behind it.

import { ProtocolError } from '../base/errors.ts'
import { Reason } from '../base/reasons.ts'
import { parseTopicFilter, type TopicFilter } from '../topic/filter.ts'
import type { QoS } from '../wire/message.ts'
import type { SubscribeEntry, SubscribePacket, UnsubscribePacket } from '../wire/mqtt/packets.ts'
import type { Interest } from './interest.ts'
import type { RetainedMessages } from './retained.ts'
import { RetainedFeed } from './retained-feed.ts'
import type { Safety } from './safety.ts'
import type { Session } from './session.ts'
import type { BrokerSettings } from './settings.ts'
import { Subscription, type Subscriptions, sameSubscription } from './subscriptions.ts'
import type { Sys } from './sys.ts'

/** What became of a SUBSCRIBE, once its SUBACK may go out. */
export interface Subscribed {
  readonly packetId: number
  readonly reasons: readonly number[]
  /** Subscriptions whose retained messages follow the SUBACK. */
  readonly wantRetained: readonly Subscription[]
}

/** One of a SUBSCRIBE that was granted. */
interface Granted {
  readonly index: number
  readonly subscription: Subscription
  readonly isNew: boolean
}

export class Subscriber {
  readonly #subscriptions: Subscriptions
  readonly #interest: Interest
  readonly #retained: RetainedMessages
  readonly #sys: Sys
  readonly #safety: Safety

  constructor(subscriptions: Subscriptions, interest: Interest, retained: RetainedMessages, sys: Sys, safety: Safety) {
    this.#safety = safety
    this.#subscriptions = subscriptions
    this.#interest = interest
    this.#retained = retained
    this.#sys = sys
  }

  /**
   * `done` is called once, now or later, when the SUBACK may go out. `bridge`: a bridge of mosquitto's kind, which gets
   * nothing back of what it sent and keeps the RETAIN flag.
   */
  subscribe(
    session: Session,
    packet: SubscribePacket,
    bridge: boolean,
    settings: BrokerSettings,
    done: (subscribed: Subscribed) => void,
  ): ProtocolError | null {
    const filters: (TopicFilter | ProtocolError)[] = []
    for (const entry of packet.entries) {
      const filter = parseTopicFilter(entry.filter, settings.limits.maxTopicLevels)
      // [MQTT-3.8.3-4]
      if (entry.noLocal && !(filter instanceof ProtocolError) && filter.share !== null) {
        return new ProtocolError(Reason.protocolError, 'No Local on a shared subscription')
      }
      filters.push(filter)
    }
    const reasons: number[] = []
    const granted: Granted[] = []
    let wantRetained: Subscription[] = []
    let missing = 1
    const taken = () => {
      if (--missing === 0) done({ packetId: packet.packetId, reasons, wantRetained })
    }
    for (const [index, entry] of packet.entries.entries()) {
      const filter = filters[index]!
      if (filter instanceof ProtocolError) {
        reasons.push(filter.reason)
        continue
      }
      if (!session.access.maySubscribe(filter.filter)) {
        reasons.push(Reason.notAuthorized)
        continue
      }
      // [MQTT-3.2.2-10] Any QoS is accepted, and granted as far as we have it.
      const qos = Math.min(entry.qos, settings.limits.maxQoS) as QoS
      const subscription = new Subscription(session, filter, {
        qos,
        noLocal: entry.noLocal || (bridge && filter.share === null),
        retainAsPublished: entry.retainAsPublished || bridge,
        identifier: packet.subscriptionId,
      })
      if (!this.#canKeep(session, subscription)) {
        reasons.push(Reason.quotaExceeded)
        continue
      }
      const isNew = this.#subscriptions.add(subscription)
      granted.push({ index, subscription, isNew })
      if (sendsRetained(entry, filter, isNew)) wantRetained.push(subscription)
      reasons.push(qos)
      missing++
      this.#interest.whenTaken(filter, taken)
    }
    // A session that outlives this run promises its subscriptions only when they do, too.
    const position = Math.max(0, ...granted.map(({ subscription }) => subscription.safeAt))
    this.#safety.when(position, taken, () => {
      const lost = this.#takeBack(granted, reasons)
      wantRetained = wantRetained.filter((subscription) => !lost.has(subscription))
      taken()
    })
    return null
  }

  /** On a full disk, a session that outlives this run gets what it has already. */
  #canKeep(session: Session, subscription: Subscription): boolean {
    if (session.kept === null || !this.#safety.full) return true
    const there = session.subscriptions.get(subscription.filter.text)
    return there !== undefined && sameSubscription(there, subscription) && this.#safety.isSafe(there.safeAt)
  }

  /** The disk has filled up meanwhile. What had replaced an earlier one stays: the client has lost nothing by asking. */
  #takeBack(granted: readonly Granted[], reasons: number[]): ReadonlySet<Subscription> {
    const lost = new Set<Subscription>()
    for (const { index, subscription, isNew } of granted) {
      if (this.#safety.isSafe(subscription.safeAt)) continue
      const { session, filter } = subscription
      reasons[index] = Reason.quotaExceeded
      lost.add(subscription)
      if (isNew && session.subscriptions.get(filter.text) === subscription) {
        this.#subscriptions.remove(session, filter.text)
      }
    }
    return lost
  }

  /** `done` gets one reason for each filter, when the UNSUBACK may go out. [MQTT-3.10.4-5] [MQTT-3.11.3-1] */
  unsubscribe(session: Session, { filters }: UnsubscribePacket, done: (reasons: readonly number[]) => void): void {
    const reasons = filters.map((text) =>
      this.#subscriptions.unsubscribe(session, text) ? Reason.success : Reason.noSubscriptionExisted,
    )
    // On a full disk at once: what was unsubscribed brings nothing more, and a no would not be true.
    this.#safety.when(session.kept === null ? 0 : this.#safety.position, () => done(reasons))
  }

  /** The retained messages of the subscriptions, each as often as it matches. */
  sendRetained(wanted: readonly Subscription[]): void {
    for (const subscription of wanted) {
      const { filter } = subscription.filter
      const retained = this.#sys.match(filter) ?? this.#retained.match(filter)
      if (retained.length > 0) subscription.session.feed(new RetainedFeed(subscription, retained))
    }
  }
}

/** [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] A shared subscription gets none (MQTT 4.8.2). */
function sendsRetained(entry: SubscribeEntry, filter: TopicFilter, isNew: boolean): boolean {
  if (filter.share !== null) return false
  return entry.retainHandling === 0 || (entry.retainHandling === 1 && isNew)
}
