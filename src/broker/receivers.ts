// Who gets the messages of a topic, worked out once and remembered by topic until subscriptions change.
//
// A change to a filter without wildcards touches one topic and is looked up; a change to one with wildcards makes every
// entry out of date by a number, not by clearing. Entries are brought up to date in place, so that connections and
// aliases can hold on to the ones they use. The cache has two halves: when the young one is full it becomes the old one,
// and what was in the old one and not used since is forgotten.

import { ProtocolError } from '../base/errors.ts'
import type { TopicFilter } from '../topic/filter.ts'
import { parseTopicName } from '../topic/name.ts'
import type { QoS } from '../wire/message.ts'
import { bounds } from './bounds.ts'
import { NO_IDS } from './delivery.ts'
import type { Peers } from './ports.ts'
import type { Session } from './session.ts'
import type { ShareGroup } from './shared.ts'
import type { Subscription, Subscriptions, SubscriptionWatcher } from './subscriptions.ts'

/** A session that gets a topic's messages once, whatever number of its subscriptions match. */
export class Receiver {
  readonly session: Session
  /** [MQTT-3.3.4-2] The highest of the matching subscriptions. */
  qos: QoS = 0
  retainAsPublished = false
  /** [MQTT-3.3.4-4] All identifiers of the matching subscriptions. */
  ids: readonly number[] = NO_IDS
  /**
   * What it gets of its own messages: itself, or what is left without the No Local subscriptions, or null when nothing
   * is. [MQTT-3.8.3-3]
   */
  echo: Receiver | null = null

  constructor(session: Session) {
    this.session = session
  }

  merge(subscription: Subscription): void {
    if (subscription.qos > this.qos) this.qos = subscription.qos
    if (subscription.retainAsPublished) this.retainAsPublished = true
    if (subscription.ids.length > 0) {
      this.ids = this.ids.length === 0 ? subscription.ids : [...this.ids, ...subscription.ids]
    }
  }
}

const NOBODY: Receiver[] = []
const NO_GROUPS: ShareGroup[] = []
const STALE = -1

export class Receivers {
  readonly topic: string
  entries: Receiver[] = NOBODY
  groups: ShareGroup[] = NO_GROUPS
  /** Whether a member of the cluster wants it. */
  forwards = false
  generation = STALE
  peersGeneration = STALE
  /** The half of the cache it was last seen in. */
  half = 0

  constructor(topic: string) {
    this.topic = topic
  }

  get nobody(): boolean {
    return this.entries.length === 0 && this.groups.length === 0 && !this.forwards
  }
}

export class ReceiversCache implements SubscriptionWatcher {
  readonly #peers: Peers
  #subscriptions: Subscriptions | null = null
  #young = new Map<string, Receivers>()
  #old = new Map<string, Receivers>()
  #half = 1
  #generation = 1
  /** Where a match in progress gathers; one match runs at a time. */
  #entries: Receiver[] = NOBODY
  #groups: ShareGroup[] = NO_GROUPS
  #noLocal: Subscription[] | null = null
  #topic = ''

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** The subscriptions it matches against; they in turn report changes here. */
  attach(subscriptions: Subscriptions): void {
    this.#subscriptions = subscriptions
  }

  subscriptionsChanged(filter: TopicFilter): void {
    if (filter.wildcard) {
      this.#generation++
      return
    }
    const receivers = this.#young.get(filter.filter) ?? this.#old.get(filter.filter)
    if (receivers !== undefined) receivers.generation = STALE
  }

  /** Who may receive what has changed, so that nothing known holds. */
  rulesChanged(): void {
    this.#generation++
  }

  /** Up to date and known to the cache: it may be used without asking. */
  isCurrent(receivers: Receivers): boolean {
    return (
      receivers.generation === this.#generation &&
      receivers.half === this.#half &&
      receivers.peersGeneration === this.#peers.generation
    )
  }

  /** The receivers of what a client sent as topic, up to date; an error when it is none. */
  ofText(text: string, maxLevels: number): Receivers | ProtocolError {
    const receivers = this.#young.get(text)
    // What is known was checked before.
    if (receivers !== undefined) return this.#upToDate(receivers)
    if (!this.#old.has(text)) {
      const topic = parseTopicName(text, maxLevels)
      if (topic instanceof ProtocolError) return topic
    }
    return this.of(text)
  }

  /** The receivers of a valid topic name, up to date. */
  of(topic: string): Receivers {
    let receivers = this.#young.get(topic)
    if (receivers === undefined) {
      receivers = this.#old.get(topic) ?? new Receivers(topic)
      this.#keep(receivers)
    }
    return this.#upToDate(receivers)
  }

  #upToDate(receivers: Receivers): Receivers {
    if (receivers.generation !== this.#generation) this.#match(receivers)
    if (receivers.peersGeneration !== this.#peers.generation) {
      receivers.peersGeneration = this.#peers.generation
      receivers.forwards = this.#peers.interested(receivers.topic)
    }
    return receivers
  }

  #keep(receivers: Receivers): void {
    if (this.#young.size >= bounds.receiversCached) {
      this.#old = this.#young
      this.#young = new Map()
      this.#half++
    }
    receivers.half = this.#half
    this.#young.set(receivers.topic, receivers)
  }

  #match(receivers: Receivers): void {
    receivers.generation = this.#generation
    this.#entries = []
    this.#groups = []
    this.#noLocal = null
    this.#topic = receivers.topic
    this.#subscriptions!.match(receivers.topic, this.#own, this.#shared)
    receivers.entries = this.#entries.length === 0 ? NOBODY : this.#entries
    receivers.groups = this.#groups.length === 0 ? NO_GROUPS : this.#groups
    const noLocal = this.#noLocal as Subscription[] | null
    if (noLocal !== null) this.#withoutEcho(receivers, noLocal)
    for (const receiver of receivers.entries) receiver.session.matching = null
    this.#entries = NOBODY
    this.#groups = NO_GROUPS
    this.#noLocal = null
  }

  readonly #own = (subscription: Subscription): void => {
    const session = subscription.session
    if (!session.access.mayReceive(this.#topic)) return
    let receiver = session.matching
    if (receiver === null) {
      receiver = new Receiver(session)
      receiver.echo = receiver
      session.matching = receiver
      this.#entries.push(receiver)
    }
    receiver.merge(subscription)
    if (subscription.noLocal) (this.#noLocal ??= []).push(subscription)
  }

  readonly #shared = (group: ShareGroup): void => {
    this.#groups.push(group)
  }

  /** For sessions with a No Local subscription: once more, with the others only. Rare, so it may match again. */
  #withoutEcho(receivers: Receivers, noLocal: readonly Subscription[]): void {
    const sessions = new Map<Session, Receiver>()
    for (const { session } of noLocal) {
      const receiver = receivers.entries.find((entry) => entry.session === session)!
      receiver.echo = null
      sessions.set(session, receiver)
    }
    this.#subscriptions!.match(
      receivers.topic,
      (subscription) => {
        const receiver = sessions.get(subscription.session)
        if (receiver === undefined || subscription.noLocal) return
        receiver.echo ??= new Receiver(subscription.session)
        receiver.echo.merge(subscription)
      },
      () => {},
    )
  }
}
