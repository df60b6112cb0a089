// A shared subscription on this node: a message that is for its members here goes to one of them (MQTT 4.8.2). Whether it
// is for those here or on another node is for the publisher's node to say (Peers).

import type { ShareCount } from '../wire/link/shares.ts'
import type { Subscription } from './subscriptions.ts'

export class ShareGroup {
  readonly share: string
  readonly filter: string
  /** What it is called between nodes. */
  readonly key: string
  readonly #members: Subscription[] = []
  #next = 0
  #connected = 0
  #durable = 0

  constructor(share: string, filter: string) {
    this.share = share
    this.filter = filter
    this.key = `${share}/${filter}`
  }

  get size(): number {
    return this.#members.length
  }

  get count(): ShareCount {
    return { consumers: this.size, connected: this.#connected, durable: this.#durable > 0 }
  }

  /** Puts the subscription in, in the place of its session's earlier one if there is one. */
  put(subscription: Subscription): void {
    const at = this.#members.findIndex((member) => member.session === subscription.session)
    if (at < 0) {
      this.#members.push(subscription)
    } else {
      this.#uncount(this.#members[at]!)
      this.#members[at] = subscription
    }
    if (subscription.durable) this.#durable++
    this.look(subscription)
  }

  /** Counts one of its members as connected, or not any more; returns whether that has changed. */
  look(member: Subscription): boolean {
    const connected = member.session.connection !== null
    if (connected === member.counted) return false
    member.counted = connected
    this.#connected += connected ? 1 : -1
    return true
  }

  remove(subscription: Subscription): void {
    const at = this.#members.indexOf(subscription)
    if (at < 0) return
    this.#members.splice(at, 1)
    if (this.#next > at) this.#next--
    this.#uncount(subscription)
  }

  #uncount(member: Subscription): void {
    if (member.durable) this.#durable--
    if (member.counted) this.#connected--
    member.counted = false
  }

  /** Whether it is so of any of its members. */
  some(isSo: (member: Subscription) => boolean): boolean {
    return this.#members.some(isSo)
  }

  /** Whose turn it is, of those that may have it: takes messages now, else is connected, else is away. */
  pick(topic: string): Subscription | null {
    const members = this.#members
    const count = members.length
    let best: Subscription | null = null
    let bestRank = -1
    let bestAt = 0
    for (let step = 0; step < count; step++) {
      const at = (this.#next + step) % count
      const member = members[at]!
      const rank = member.session.readiness
      if (rank <= bestRank || !member.session.access.mayReceive(topic)) continue
      best = member
      bestRank = rank
      bestAt = at
      if (rank === 2) break
    }
    if (best !== null) this.#next = (bestAt + 1) % count
    return best
  }
}
