// A member of a shared subscription that goes away leaves messages behind: QoS 1 that it has not acknowledged, and
// what was not begun yet, go to another member, on this node or another. QoS 2 once begun stays with the session
// (MQTT 4.8.2).

import type { Clock } from '../base/ports/clock.ts'
import type { Delivery } from './delivery.ts'
import type { Peers } from './ports.ts'
import type { Publisher } from './publish.ts'
import type { Session } from './session.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Tally } from './tally.ts'

export class Handover {
  readonly #clock: Clock
  readonly #tally: Tally
  readonly #subscriptions: Subscriptions
  readonly #publisher: Publisher
  readonly #peers: Peers

  constructor(clock: Clock, tally: Tally, subscriptions: Subscriptions, publisher: Publisher, peers: Peers) {
    this.#clock = clock
    this.#tally = tally
    this.#subscriptions = subscriptions
    this.#publisher = publisher
    this.#peers = peers
  }

  /** Its client is gone, the session goes on: to members that are connected, else it keeps them until it is back. */
  away(session: Session): void {
    session.offerShared((delivery) => this.#handOver(delivery, false))
  }

  /** The session is over, its subscriptions too: to whichever member there is. */
  ended(session: Session): void {
    session.offerShared((delivery) => this.#handOver(delivery, true))
  }

  /**
   * It keeps going here what another node owned, while that is dead, or only cut off: QoS 2 that was not begun when the
   * copy was made may have been begun since.
   */
  stoodIn(session: Session): void {
    session.offerShared((delivery) => delivery.qos < 2 && this.#handOver(delivery, false))
  }

  #handOver(delivery: Delivery, toAnyone: boolean): boolean {
    const { message } = delivery
    const share = delivery.share!
    const group = this.#subscriptions.shareGroup(share)
    const member = group?.pick(message.topic) ?? null
    const here = member !== null && member.session.connection !== null
    // [MQTT-3.3.2-5]
    if (message.expiresAt <= this.#clock.now() && (member !== null || toAnyone)) {
      this.#tally.drop('expired')
    } else if (!here && this.#peers.handOn(message, share.key, 0, true)) {
      delivery.handedOn()
    } else if (member !== null && (here || toAnyone)) {
      this.#publisher.toMember(message, group!, member)
    } else if (toAnyone && this.#peers.handOn(message, share.key, 0, false)) {
      delivery.handedOn()
    } else {
      return false
    }
    this.#tally.count('mqtt.shared.handed-over')
    return true
  }
}
