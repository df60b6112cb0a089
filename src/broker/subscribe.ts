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
import { Subscription, type Subscriptions } from './subscriptions.ts'
import type { Sys } from './sys.ts'

/** What became of a SUBSCRIBE, once its SUBACK may go out. */
export interface Subscribed {
  readonly packetId: number
  readonly reasons: readonly number[]
  /** Subscriptions whose retained messages follow the SUBACK. */
  readonly wantRetained: readonly Subscription[]
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
    const wantRetained: Subscription[] = []
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
      const isNew = this.#subscriptions.add(subscription)
      if (sendsRetained(entry, filter, isNew)) wantRetained.push(subscription)
      reasons.push(qos)
      missing++
      this.#interest.whenTaken(filter.filter, taken)
    }
    // A session that outlives this run promises its subscriptions only when they do, too.
    this.#safety.when(session.kept === null ? 0 : this.#safety.position, taken)
    return null
  }

  /** Returns one reason for each filter. [MQTT-3.10.4-5] [MQTT-3.11.3-1] */
  unsubscribe(session: Session, packet: UnsubscribePacket): number[] {
    return packet.filters.map((text) =>
      this.#subscriptions.remove(session, text) ? Reason.success : Reason.noSubscriptionExisted,
    )
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
