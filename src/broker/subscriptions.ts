// All subscriptions of this node, by filter for matching; each session holds its own by text. Keeps the cache of
// receivers and the node's interest in step.

import type { Stamp } from '../base/stamps.ts'
import type { TopicFilter } from '../topic/filter.ts'
import { FilterTrie } from '../topic/trie.ts'
import type { QoS } from '../wire/message.ts'
import { NO_IDS } from './delivery.ts'
import type { Interest } from './interest.ts'
import type { Keeping } from './keeping.ts'
import type { Kept } from './ports.ts'
import type { Session } from './session.ts'
import { ShareGroup } from './shared.ts'
import type { Said } from './unsubscribed.ts'

export interface SubscriptionOptions {
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** The subscription identifier; null: none. */
  readonly identifier: number | null
}

export class Subscription {
  readonly session: Session
  readonly filter: TopicFilter
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** Its identifier, as messages carry it; empty when it has none. */
  readonly ids: readonly number[]
  /** Its session outlives its connections. */
  readonly durable: boolean
  /** Its record in the store; null: it ends with the connection. */
  kept: Kept | null = null
  /** It is older than this run, or came along with its session from another box. */
  brought = false
  /** The store's position that makes it safe. */
  safeAt = 0
  /** When its client has said so last: the stamp of its CONNECT, and what it had said there before. */
  since: Stamp | null = null
  order = 0
  /** Its share group counts it as connected. */
  counted = false

  constructor(session: Session, filter: TopicFilter, options: SubscriptionOptions) {
    this.session = session
    this.filter = filter
    this.qos = options.qos
    this.noLocal = options.noLocal
    this.retainAsPublished = options.retainAsPublished
    this.ids = options.identifier === null ? NO_IDS : [options.identifier]
    this.durable = session.expirySec > 0
  }
}

/** Whether the one says just what the other says. */
export const sameSubscription = (a: Subscription, b: Subscription): boolean =>
  a.session === b.session &&
  a.filter.text === b.filter.text &&
  a.qos === b.qos &&
  a.noLocal === b.noLocal &&
  a.retainAsPublished === b.retainAsPublished &&
  a.ids[0] === b.ids[0]

/** Who must hear of changes, so that nothing is delivered by what no longer holds. */
export interface SubscriptionWatcher {
  subscriptionsChanged(filter: TopicFilter): void
}

export class Subscriptions {
  readonly #own = new FilterTrie<Subscription>()
  readonly #shared = new FilterTrie<ShareGroup>()
  readonly #interest: Interest
  readonly #watcher: SubscriptionWatcher
  readonly #keeping: Keeping
  #count = 0
  #sharedCount = 0
  /** What clients have said of filters, counted: under one CONNECT all of it is said here. */
  #said = 0

  constructor(interest: Interest, watcher: SubscriptionWatcher, keeping: Keeping) {
    this.#keeping = keeping
    this.#interest = interest
    this.#watcher = watcher
  }

  get count(): number {
    return this.#count
  }

  /** How many of them are shared ones. */
  get sharedCount(): number {
    return this.#sharedCount
  }

  /** [MQTT-3.8.4-3] A subscription to the same filter is replaced. Returns whether this one is new. */
  add(subscription: Subscription): boolean {
    return this.put(subscription, this.#saidNow(subscription.session))
  }

  /** The same for what its client has said then, here or elsewhere. */
  put(subscription: Subscription, { since, order }: Said): boolean {
    subscription.since = since
    subscription.order = order
    const replaced = subscription.session.subscriptions.get(subscription.filter.text)
    this.#keeping.subscribed(subscription, replaced)
    return this.restore(subscription)
  }

  /** One of an earlier run, or one that is kept already. */
  restore(subscription: Subscription): boolean {
    const { session, filter } = subscription
    const replaced = session.subscriptions.get(filter.text)
    session.subscriptions.set(filter.text, subscription)
    if (filter.share === null) {
      this.#own.insert(filter.filter, session.clientId, subscription)
    } else {
      let group = this.#shared.get(filter.filter, filter.share)
      if (group === undefined) {
        group = new ShareGroup(filter.share, filter.filter)
        this.#shared.insert(filter.filter, filter.share, group)
      }
      group.put(subscription)
      this.#interest.grouped(group)
    }
    this.#watcher.subscriptionsChanged(filter)
    if (filter.share === null) this.#interest.add(filter.filter, subscription.durable)
    if (replaced !== undefined) {
      if (filter.share === null) this.#interest.remove(filter.filter, replaced.durable)
      return false
    }
    this.#count++
    if (filter.share !== null) this.#sharedCount++
    return true
  }

  /** Its client wants it no more; returns whether it had it. [MQTT-3.10.4-1] */
  unsubscribe(session: Session, text: string, said: Said = this.#saidNow(session)): boolean {
    if (!this.remove(session, text)) return false
    if (session.kept !== null) this.#keeping.unsubscribed.add(session.kept, text, said)
    return true
  }

  #saidNow({ epoch }: Session): Said {
    return { since: epoch, order: ++this.#said }
  }

  /** Returns whether the session had a subscription to the filter. */
  remove(session: Session, text: string): boolean {
    const subscription = session.subscriptions.get(text)
    if (subscription === undefined) return false
    session.subscriptions.delete(text)
    this.#keeping.forgetSubscription(subscription)
    session.unfeed(text)
    const { filter } = subscription
    if (filter.share === null) {
      this.#own.remove(filter.filter, session.clientId)
    } else {
      const group = this.#shared.get(filter.filter, filter.share)
      if (group !== undefined) {
        group.remove(subscription)
        if (group.size === 0) this.#shared.remove(filter.filter, filter.share)
        this.#interest.grouped(group)
      }
    }
    this.#watcher.subscriptionsChanged(filter)
    this.#count--
    if (filter.share !== null) this.#sharedCount--
    else this.#interest.remove(filter.filter, subscription.durable)
    return true
  }

  /** The client of the session has come, or gone. */
  attended(session: Session): void {
    if (this.#sharedCount === 0) return
    for (const subscription of session.subscriptions.values()) {
      const { filter, share } = subscription.filter
      const group = share === null ? undefined : this.#shared.get(filter, share)
      if (group?.look(subscription)) this.#interest.grouped(group)
    }
  }

  removeAll(session: Session): void {
    for (const text of [...session.subscriptions.keys()]) this.remove(session, text)
  }

  /** The group as it is now: one that was emptied and filled again is another. */
  shareGroup({ filter, share }: ShareGroup): ShareGroup | undefined {
    return this.#shared.get(filter, share)
  }

  match(topic: string, own: (subscription: Subscription) => void, shared: (group: ShareGroup) => void): void {
    this.#own.match(topic, own)
    this.#shared.match(topic, shared)
  }
}
