// The follower's half of an OwnedMap: one member's part, asked for, applied, acknowledged, compared and mended.

import type { NodeId } from '../base/ids.ts'
import type { Timer } from '../base/ports/clock.ts'
import { encodeOwned, type OwnedMessage } from '../wire/link/owned.ts'
import { type PartBounds, type PartChanged, PeerPart } from './peerpart.ts'
import type { FeatureWorld } from './ports.ts'

/** Removed entries swept per turn after a snapshot. */
const SWEEP_ENTRIES = 2000
/** A part that came out wrong twice within this time is asked for again only after it. */
const REPAIR_PAUSE_MS = 10_000

export class PartFollowing {
  readonly part: PeerPart
  /** Whether its entries count; changed by the map. */
  visible = true
  readonly #name: string
  readonly #world: FeatureWorld
  readonly #send: (peer: NodeId, bytes: Buffer) => boolean
  #followDue = false
  #takenDue = false
  #moreDue = 0
  #sweeping = false
  #repairedAt = Number.NEGATIVE_INFINITY
  #repair: Timer | null = null

  /** `send` answers false when the message found no room or no link; `answer` is then called when there is room. */
  constructor(
    name: string,
    owner: NodeId,
    bounds: PartBounds,
    world: FeatureWorld,
    send: (peer: NodeId, bytes: Buffer) => boolean,
    changed: PartChanged,
  ) {
    this.part = new PeerPart(owner, bounds, changed)
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
    if (this.#takenDue && part.state !== 'asked') {
      const { sequence } = part.position
      const taken = encodeOwned({ kind: 'taken', whole: part.state === 'current', sequence })
      this.#takenDue = !this.#send(part.owner, taken)
    }
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
  }
}

const MORE = encodeOwned({ kind: 'more' })
