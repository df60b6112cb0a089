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

const NONE: readonly Delivery[] = []

/**
 * What comes here directly waits behind what comes through the former owner, until all that its sender had sent there has
 * come, so that a message never overtakes an older one; what comes both ways is taken once, by its id.
 */
export class Arrival {
  readonly at = 'arriving'
  readonly from: NodeId
  readonly #heldMax: number
  readonly #full: () => void
  readonly #taken = new Set<string>()
  /** Members whose messages to the former owner have all come. */
  readonly #passed = new Set<NodeId>()
  /** Nobody's messages wait any more. */
  #open = false
  #held: Delivery[] = []

  /** At most so many wait; `full` is called when that is reached. */
  constructor(from: NodeId, heldMax: number, full: () => void) {
    this.from = from
    this.#heldMax = heldMax
    this.#full = full
  }

  /** One that comes directly waits, or is forgotten because it has come through the former owner; false: it is taken. */
  keepsBack(delivery: Delivery): boolean {
    if (!this.#open && !this.#passed.has(delivery.message.origin.node)) {
      this.#held.push(delivery)
      return true
    }
    if (this.take(delivery.message, delivery.share !== null)) return false
    delivery.forget()
    return true
  }

  /** It comes through the former owner; false: it is here already. */
  take(message: Message, shared: boolean): boolean {
    const id = `${messageIdText(message)}${shared ? ' shared' : ''}`
    if (this.#taken.has(id)) return false
    this.#taken.add(id)
    return true
  }

  /** All that the member had sent to the former owner has come: returns what of it waits, in order, to be given again. */
  passed(member: NodeId): readonly Delivery[] {
    this.#passed.add(member)
    const held = this.#held
    this.#held = held.filter(({ message }) => message.origin.node !== member)
    return held.filter(({ message }) => message.origin.node === member)
  }

  /** When more wait than may: all of them, in order, to be given again; from then on none waits. */
  overflow(): readonly Delivery[] {
    if (this.#held.length < this.#heldMax) return NONE
    const held = this.#held
    this.#open = true
    this.#held = []
    this.#full()
    return held
  }

  /** All of it is here: what came directly alone, in order. The others are forgotten. */
  settle(): readonly Delivery[] {
    const [only, twice]: [Delivery[], Delivery[]] = [[], []]
    for (const delivery of this.#held)
      (this.take(delivery.message, delivery.share !== null) ? only : twice).push(delivery)
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
