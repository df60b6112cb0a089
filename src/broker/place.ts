// Where a session stands between the boxes of a cluster.
//
//   here ---- its client connected to another box ----> departing ---- the other has all of it ----> (gone)
//    ^                                                      |
//    |<---- all of it is here ---- arriving                 '---- the other box is gone ----> standing-in
//    |
//    '<---- its client connects here ---- standing-in <---- its owner is dead, or has another claim (from a copy)

import type { NodeId } from '../base/ids.ts'
import { type Message, messageIdText } from '../wire/message.ts'
import type { Delivery } from './delivery.ts'
import type { SessionPlace } from './ports.ts'

/**
 * here: this box owns it. arriving: it does, and what the former owner still has is on its way. departing: the box that
 * its client is at gets all of it, with what still comes here until the others know. standing-in: another box owns it;
 * this one keeps it going, and what has come since is in records with ids above `after`.
 */
export type Place = Exclude<SessionPlace, { at: 'arriving' }> | Arrival

export const HERE: Place = { at: 'here' }

/**
 * What comes here directly waits behind what comes through the former owner, so that a message never overtakes an
 * older one; what comes both ways is taken once, by its id.
 */
export class Arrival {
  readonly at = 'arriving'
  readonly from: NodeId
  readonly #passed = new Set<string>()
  #held: Delivery[] = []

  constructor(from: NodeId) {
    this.from = from
  }

  hold(delivery: Delivery): void {
    this.#held.push(delivery)
  }

  /** It came through the former owner; false: it did so before. */
  pass(message: Message): boolean {
    const id = messageIdText(message)
    if (this.#passed.has(id)) return false
    this.#passed.add(id)
    return true
  }

  /** All of it is here: what came directly alone, in order. The others are forgotten. */
  settle(): readonly Delivery[] {
    const [only, twice]: [Delivery[], Delivery[]] = [[], []]
    for (const delivery of this.#held) (this.pass(delivery.message) ? only : twice).push(delivery)
    this.#held = []
    for (const delivery of twice) delivery.forget()
    return only
  }

  /** The session ends before all of it came. */
  clear(): void {
    for (const delivery of this.#held) delivery.forget()
    this.#held = []
  }
}
