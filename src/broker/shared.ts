// A shared subscription on this node: each message goes to one of its members (MQTT 4.8.2).

import type { Subscription } from './subscriptions.ts'

export class ShareGroup {
  readonly share: string
  readonly filter: string
  readonly #members: Subscription[] = []
  #next = 0

  constructor(share: string, filter: string) {
    this.share = share
    this.filter = filter
  }

  get size(): number {
    return this.#members.length
  }

  /** Puts the subscription in, in the place of its session's earlier one if there is one. */
  put(subscription: Subscription): void {
    const at = this.#members.findIndex((member) => member.session === subscription.session)
    if (at < 0) this.#members.push(subscription)
    else this.#members[at] = subscription
  }

  remove(subscription: Subscription): void {
    const at = this.#members.indexOf(subscription)
    if (at < 0) return
    this.#members.splice(at, 1)
    if (this.#next > at) this.#next--
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
