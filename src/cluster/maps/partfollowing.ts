// The follower's half of an OwnedMap: one member's part, asked for, applied, acknowledged, compared and mended.

import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import { encodeOwned, type OwnedMessage } from '../../wire/link/owned.ts'
import type { FeatureWorld } from '../ports.ts'
import { type PartBounds, type PartChanged, PeerPart } from './peerpart.ts'

/** Removed entries swept per turn after a snapshot. */
const SWEEP_ENTRIES = 2000
/** A part that came out wrong twice within this time is asked for again only after it. */
const REPAIR_PAUSE_MS = 10_000

/** What of a part is kept for a later run: the owner is told that it was taken when that is so. */
export interface PartKeeping {
  /** Of what was staged last. */
  readonly position: number
  isSafe(position: number): boolean
}

const NOTHING_KEPT: PartKeeping = { position: 0, isSafe: () => true }

export class PartFollowing {
  readonly part: PeerPart
  /** Whether its entries count; changed by the map. */
  visible = true
  readonly #name: string
  readonly #world: FeatureWorld
  readonly #send: (peer: NodeId, bytes: Buffer) => boolean
  readonly #keeping: PartKeeping
  #followDue = false
  #takenDue = false
  /** What is said to be taken as soon as the store has it. */
  #telling: { readonly whole: boolean; readonly sequence: number; position: number; readonly sinceMs: number } | null =
    null
  #moreDue = 0
  #sweeping = false
  #repairedAt = Number.NEGATIVE_INFINITY
  #repair: Timer | null = null

  /** `send` answers false when the message found no room or no link; `answer` is then called when there is room. */
  constructor(
    name: string,
    owner: NodeId,
    bounds: PartBounds & { readonly keeping?: PartKeeping },
    world: FeatureWorld,
    send: (peer: NodeId, bytes: Buffer) => boolean,
    changed: PartChanged,
  ) {
    this.part = new PeerPart(owner, bounds, changed)
    this.#keeping = bounds.keeping ?? NOTHING_KEPT
    this.#name = name
    this.#world = world
    this.#send = send
  }

  linked(): void {
    this.#followDue = true
    this.answer()
  }

  unlinked(): void {
    this.part.away()
    this.#followDue = false
    this.#takenDue = false
    this.#telling = null
    this.#moreDue = 0
    this.#sweeping = false
    this.#repair?.cancel()
    this.#repair = null
  }

  /** A message of the owner; throws PeerError. */
  received(message: Exclude<OwnedMessage, { kind: 'follow' | 'more' | 'taken' }>): void {
    const { part } = this
    switch (message.kind) {
      case 'resume':
        return part.resume(message.sequence)
      case 'begin':
        this.#world.meter.count(`${this.#name}.snapshot`)
        this.#sweeping = false
        return part.begin(message.position)
      case 'entries':
        this.#moreDue++
        return part.fill(message.entries)
      case 'end':
        if (!part.end(message.summary)) this.#mismatch()
        else if (part.state === 'sweeping') this.#beginSweep()
        return
      case 'delta':
        switch (part.delta(message.sequence, message.changes)) {
          case 'applied':
            this.#takenDue = true
            return
          case 'gap':
            this.#world.meter.count(`${this.#name}.gap`)
            return this.#askAgain()
          case 'ignored':
            return
        }
        return
      case 'digest':
        if (part.state === 'current' && !part.agrees(message.summary)) this.#mismatch()
        return
    }
  }

  /** Sends what the owner waits for, as far as there is room. */
  answer(): void {
    const { part } = this
    if (this.#followDue) {
      const follow = encodeOwned({ kind: 'follow', whole: part.whole, position: part.position })
      if (!this.#send(part.owner, follow)) return
      this.#followDue = false
      part.asked()
    }
    for (; this.#moreDue > 0; this.#moreDue--) {
      if (!this.#send(part.owner, MORE)) return
    }
    while (part.state !== 'asked' && this.#tell()) {}
  }

  /** The store takes long: the owner is not kept waiting for it. */
  look(nowMs: number, longestMs: number): void {
    const telling = this.#telling
    if (telling === null || nowMs - telling.sinceMs < longestMs || this.#keeping.isSafe(telling.position)) return
    this.#world.meter.count(`${this.#name}.kept-late`)
    telling.position = 0
    this.answer()
  }

  /** Says what was taken; false: there is no more to say, the store does not have it yet, or there is no room. */
  #tell(): boolean {
    const { part } = this
    if (this.#telling === null) {
      if (!this.#takenDue) return false
      this.#takenDue = false
      const { position } = this.#keeping
      const whole = part.state === 'current'
      this.#telling = { whole, sequence: part.position.sequence, position, sinceMs: this.#world.clock.now() }
    }
    const { whole, sequence, position } = this.#telling
    if (!this.#keeping.isSafe(position)) return false
    if (!this.#send(part.owner, encodeOwned({ kind: 'taken', whole, sequence }))) return false
    this.#telling = null
    return true
  }

  #beginSweep(): void {
    this.#sweeping = true
    this.#sweep()
  }

  readonly #sweep = (): void => {
    if (!this.#sweeping) return
    if (!this.part.sweep(SWEEP_ENTRIES)) return this.#world.clock.soon(this.#sweep)
    this.#sweeping = false
    this.#takenDue = true
    this.answer()
  }

  #mismatch(): void {
    const { owner } = this.part
    this.#world.meter.count(`${this.#name}.digest-mismatch`)
    this.#world.log.error({ peer: owner }, 'a member`s part is not what it says it is: asking for all of it')
    const waitMs = this.#repairedAt + REPAIR_PAUSE_MS - this.#world.clock.now()
    if (waitMs <= 0) return this.#askAgain()
    this.part.distrust()
    this.part.asked()
    this.#repair ??= this.#world.clock.after(waitMs, `${this.#name}.repair`, () => {
      this.#repair = null
      this.#askAgain()
      this.answer()
    })
  }

  #askAgain(): void {
    this.#repairedAt = this.#world.clock.now()
    this.part.distrust()
    this.part.asked()
    this.#followDue = true
    this.#takenDue = false
    this.#telling = null
  }
}

const MORE = encodeOwned({ kind: 'more' })
