// A member of a shared subscription that goes away leaves messages behind: QoS 1 that it has not acknowledged, and
// what was not begun yet, go to another member. QoS 2 once begun stays with the session (MQTT 4.8.2).

import type { Clock } from '../base/ports/clock.ts'
import type { Publisher } from './publish.ts'
import type { Session } from './session.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Tally } from './tally.ts'

export class Handover {
  readonly #clock: Clock
  readonly #tally: Tally
  readonly #subscriptions: Subscriptions
  readonly #publisher: Publisher

  constructor(clock: Clock, tally: Tally, subscriptions: Subscriptions, publisher: Publisher) {
    this.#clock = clock
    this.#tally = tally
    this.#subscriptions = subscriptions
    this.#publisher = publisher
  }

  /** Its client is gone, the session goes on: to members that are connected, else it keeps them until it is back. */
  away(session: Session): void {
    this.#handOver(session, false)
  }

  /** The session is over, its subscriptions too: to whichever member there is. */
  ended(session: Session): void {
    this.#handOver(session, true)
  }

  #handOver(from: Session, toAnyone: boolean): void {
    from.offerShared(({ message, share }) => {
      const group = this.#subscriptions.shareGroup(share!)
      const member = group?.pick(message.topic) ?? null
      if (member === null || (!toAnyone && member.session.connection === null)) return false
      // [MQTT-3.3.2-5]
      if (message.expiresAt <= this.#clock.now()) this.#tally.drop('expired')
      else this.#publisher.toMember(message, group!, member)
      this.#tally.count('mqtt.shared.handed-over')
      return true
    })
  }
}
