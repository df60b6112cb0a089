// Promises wait until what they promise is safe: acknowledgements in a ring per connection, in the order of what they
// acknowledge, and now and then something else that has to wait. Nothing waits for what costs the store nothing.
//
// PUBACK and PUBCOMP say that a message is safe wherever it was sent. All else says something of a session of this node,
// and waits for this node and its copies only (CLUSTER 6).

import { Deque } from '../base/deque.ts'
import type { AckKind } from '../wire/mqtt/acks.ts'
import type { Keeper } from './ports.ts'
import type { Sender } from './sender.ts'

const KINDS: readonly AckKind[] = ['puback', 'pubrec', 'pubrel', 'pubcomp']

/** Of one connection: a position and an acknowledgement in one number, turn by turn. */
export class HeldAcks {
  readonly ring = new Deque<number>()
}

interface Waiting {
  readonly position: number
  readonly run: () => void
}

export class Safety {
  readonly #keeper: Keeper
  #senders: Sender[] = []
  readonly #waiting = new Deque<Waiting>()
  /** Sessions with something to send that is not safe yet. */
  #pumps: { safeMoved(): void }[] = []

  constructor(keeper: Keeper) {
    this.#keeper = keeper
    keeper.watch(() => this.#moved())
  }

  /** Of what was staged last: take it before and after, and see whether anything was. */
  get position(): number {
    return this.#keeper.position
  }

  get full(): boolean {
    return this.#keeper.full
  }

  /** Whether this node may let a client know what was staged at `position`. */
  isSafe(position: number): boolean {
    return position <= this.#keeper.ours
  }

  /** Sends the acknowledgement when `position` is safe, and those before it are sent; 0: it stands on nothing kept. */
  ack(sender: Sender, kind: AckKind, packetId: number, reason: number, position: number): void {
    if (sender.held === null && position <= this.#until(kind)) return sender.ack(kind, packetId, reason)
    if (sender.held === null) {
      sender.held = new HeldAcks()
      this.#senders.push(sender)
    }
    sender.held.ring.push(position)
    sender.held.ring.push((KINDS.indexOf(kind) << 24) | (reason << 16) | packetId)
  }

  /** Runs when everything staged here until now is safe; not for what happens with every message. */
  when(position: number, run: () => void): void {
    if (position <= this.#keeper.ours) run()
    else this.#waiting.push({ position, run })
  }

  /** Pumps the session whenever something more is safe, until it asks no more. */
  pumpLater(session: { safeMoved(): void }): void {
    this.#pumps.push(session)
  }

  #moved(): void {
    const { ours } = this.#keeper
    const senders = this.#senders
    this.#senders = []
    for (const sender of senders) if (!this.#release(sender)) this.#senders.push(sender)
    for (let next = this.#waiting.peek(); next !== undefined && next.position <= ours; next = this.#waiting.peek()) {
      this.#waiting.shift()
      next.run()
    }
    const pumps = this.#pumps
    this.#pumps = []
    for (const session of pumps) session.safeMoved()
  }

  /** True when nothing of the connection waits any more. */
  #release(sender: Sender): boolean {
    const { held } = sender
    if (held === null) return true
    const { ring } = held
    for (let position = ring.peek(); position !== undefined; position = ring.peek()) {
      const ack = ring.at(1)!
      const kind = KINDS[ack >> 24]!
      if (position > this.#until(kind)) return false
      ring.shift()
      ring.shift()
      sender.ack(kind, ack & 0xffff, (ack >> 16) & 0xff)
    }
    sender.held = null
    return true
  }

  /** How far everything is safe that an acknowledgement of this kind speaks of. */
  #until(kind: AckKind): number {
    return kind === 'puback' || kind === 'pubcomp' ? this.#keeper.safe : this.#keeper.ours
  }
}
