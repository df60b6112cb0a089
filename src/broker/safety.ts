// Promises wait until what they promise is safe: acknowledgements in a ring per connection, in the order of what they
// acknowledge, and now and then something else that has to wait. Nothing waits for what costs the store nothing.
//
// PUBACK and PUBCOMP say that a message is safe wherever it was sent. All else says something of a session of this node,
// and waits for this node and its copies only (CLUSTER 6).
//
// A disk that is full may be so for hours: then nobody is kept waiting for a yes. What an MQTT 5 client can be refused is
// refused (0x97); what cannot waits for room, and what comes behind it passes by.

import { Deque } from '../base/deque.ts'
import { Reason } from '../base/reasons.ts'
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
  readonly refused: () => void
}

const kindOf = (ack: number): AckKind => KINDS[ack >> 24]!
const reasonOf = (ack: number): number => (ack >> 16) & 0xff
const packetIdOf = (ack: number): number => ack & 0xffff

export class Safety {
  readonly #keeper: Keeper
  #senders: Sender[] = []
  readonly #waiting = new Deque<Waiting>()
  /** Sessions with something to send that is not safe yet. */
  #pumps: { safeMoved(): void }[] = []

  constructor(keeper: Keeper) {
    this.#keeper = keeper
    keeper.watch(
      () => this.#moved(),
      () => this.#refuse(),
    )
  }

  /** Of what was staged last: take it before and after, and see whether anything was. */
  get position(): number {
    return this.#keeper.position
  }

  /** Of what was staged last that members have to say is safe. */
  get asked(): number {
    return this.#keeper.asked
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
    const free = sender.held === null || sender.held.ring.length === 0
    if (free && position <= this.#until(kind)) return sender.ack(kind, packetId, reason)
    if (sender.held === null) {
      sender.held = new HeldAcks()
      this.#senders.push(sender)
    }
    sender.held.ring.push(position)
    sender.held.ring.push((KINDS.indexOf(kind) << 24) | (reason << 16) | packetId)
    if (this.#keeper.full) this.#releaseByKind(sender, sender.held.ring)
  }

  /**
   * Runs `run` when everything staged here up to `position` is safe, or `refused` when the disk takes nothing more; not for
   * what happens with every message.
   */
  when(position: number, run: () => void, refused = run): void {
    if (position <= this.#keeper.ours) run()
    else if (this.#keeper.full) refused()
    else this.#waiting.push({ position, run, refused })
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
      const kind = kindOf(ack)
      if (position > this.#until(kind)) return false
      ring.shift()
      ring.shift()
      sender.ack(kind, packetIdOf(ack), reasonOf(ack))
    }
    sender.held = null
    return true
  }

  /** The disk is full: what waits for it and can be refused is. */
  #refuse(): void {
    const { ours } = this.#keeper
    const refused: Waiting[] = []
    for (let left = this.#waiting.length; left > 0; left--) {
      const waiting = this.#waiting.shift()!
      if (waiting.position > ours) refused.push(waiting)
      else this.#waiting.push(waiting)
    }
    for (const waiting of refused) waiting.refused()
    for (const sender of this.#senders) {
      if (sender.held === null) continue
      if (sender.version === 5) refuseAcks(sender, sender.held.ring, ours)
      this.#releaseByKind(sender, sender.held.ring)
    }
  }

  /** Sends what may be sent; only what is of one kind keeps its order. [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] */
  #releaseByKind(sender: Sender, ring: Deque<number>): void {
    let stopped = 0
    for (let left = ring.length; left > 0; left -= 2) {
      const position = ring.shift()!
      const ack = ring.shift()!
      const kind = kindOf(ack)
      if ((stopped & (1 << (ack >> 24))) === 0 && position <= this.#until(kind)) {
        sender.ack(kind, packetIdOf(ack), reasonOf(ack))
        continue
      }
      stopped |= 1 << (ack >> 24)
      ring.push(position)
      ring.push(ack)
    }
  }

  /** How far everything is safe that an acknowledgement of this kind speaks of. */
  #until(kind: AckKind): number {
    return kind === 'puback' || kind === 'pubcomp' ? this.#keeper.safe : this.#keeper.ours
  }
}

/**
 * A message that was only begun (QoS 2) is taken back; one of QoS 1 may have gone to some already, and comes again when
 * the client tries again. PUBREL and PUBCOMP have no word for no.
 */
function refuseAcks(sender: Sender, ring: Deque<number>, safe: number): void {
  for (let left = ring.length; left > 0; left -= 2) {
    let position = ring.shift()!
    let ack = ring.shift()!
    const kind = kindOf(ack)
    if (position > safe && (kind === 'puback' || kind === 'pubrec') && reasonOf(ack) < Reason.unspecifiedError) {
      if (kind === 'pubrec') sender.takeBack(packetIdOf(ack))
      position = 0
      ack = (KINDS.indexOf(kind) << 24) | (Reason.quotaExceeded << 16) | packetIdOf(ack)
    }
    ring.push(position)
    ring.push(ack)
  }
}
