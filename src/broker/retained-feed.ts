// The retained messages of one new subscription on their way to its session. Each is read when it is its turn, so that a
// client never gets an older retained message after a newer live one.

import type { Message, QoS } from '../wire/message.ts'
import { bounds } from './bounds.ts'
import { Delivery } from './delivery.ts'
import type { Session } from './session.ts'
import type { Subscription } from './subscriptions.ts'

/** The place of a topic's retained message; whoever is about to send it reads it then, so it is never outdated. */
export interface RetainedPlace {
  /** Null: removed, or expired. */
  message: Message | null
}

/** The feeds of one session, one after the other. */
export class RetainedFeeds {
  #feeds: RetainedFeed[] = []

  add(feed: RetainedFeed): void {
    this.remove(feed.filter)
    this.#feeds.push(feed)
  }

  remove(filter: string): void {
    this.#feeds = this.#feeds.filter((feed) => feed.filter !== filter)
  }

  /** Sends as many as are for one turn, as long as `send` takes them. */
  pump(nowMs: number, send: (delivery: Delivery) => boolean): 'all' | 'a turn' | 'full' {
    let left: number = bounds.retainedPerTurn
    for (let feed = this.#feeds[0]; feed !== undefined; feed = this.#feeds[0]) {
      for (let delivery = feed.next(nowMs); delivery !== null; delivery = feed.next(nowMs)) {
        if (!send(delivery)) {
          feed.back()
          return 'full'
        }
        if (--left <= 0) return 'a turn'
      }
      this.#feeds.shift()
    }
    return 'all'
  }
}

export class RetainedFeed {
  readonly filter: string
  readonly #session: Session
  readonly #retained: readonly RetainedPlace[]
  #at = 0

  constructor(subscription: Subscription, retained: readonly RetainedPlace[]) {
    this.filter = subscription.filter.text
    this.#session = subscription.session
    this.#retained = retained
  }

  /** The next one to be sent; null: no more. */
  next(nowMs: number): Delivery | null {
    // As it is now: the client may have changed it meanwhile.
    const subscription = this.#session.subscriptions.get(this.filter)
    if (subscription === undefined) return null
    const { qos, ids } = subscription
    while (this.#at < this.#retained.length) {
      const { message } = this.#retained[this.#at++]!
      if (message === null || message.expiresAt <= nowMs) continue
      if (!this.#session.access.mayReceive(message.topic)) continue
      // [MQTT3-3.3.1-8] What comes from the store has RETAIN set.
      return new Delivery(message, Math.min(message.qos, qos) as QoS, true, ids)
    }
    return null
  }

  /** The one that `next` gave could not be sent yet. */
  back(): void {
    this.#at--
  }
}
