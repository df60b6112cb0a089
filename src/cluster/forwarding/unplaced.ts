// Messages of share groups for which there is nobody just now, though there may be soon: this box has begun only lately and
// not heard yet what the others have, or a box with a session of the group is dead, and nobody has stood in for it yet. They
// wait here for a while, and no longer than that.

import type { Timer } from '../../base/ports/clock.ts'
import type { Message } from '../../wire/message.ts'
import type { FeatureWorld } from '../ports.ts'

const LOOK_MS = 250
/** Longer than it takes to stand in for a dead box, or to hear from those that live. */
const WAITS_MS = 30_000
const MESSAGES_MAX = 10_000
const BYTES_MAX = 8 * 1024 * 1024

export type UnplacedWorld = Pick<FeatureWorld, 'clock' | 'meter'>

export interface UnplacedHome {
  /** Whether the group has anybody who could be given a message. */
  isThere(key: string): boolean
  /** Whether somebody of the group may come to be known. */
  mayCome(key: string): boolean
  place(message: Message, key: string, hops: number): void
}

interface Waiting {
  readonly message: Message
  readonly key: string
  readonly hops: number
  readonly untilMs: number
}

export class Unplaced {
  readonly #world: UnplacedWorld
  readonly #home: UnplacedHome
  readonly #begunMs: number
  #waiting: Waiting[] = []
  #bytes = 0
  #timer: Timer | null = null

  constructor(world: UnplacedWorld, home: UnplacedHome) {
    this.#world = world
    this.#home = home
    this.#begunMs = world.clock.now()
  }

  /** Takes a message, whose bytes may be borrowed, until there is somebody. False: there will be nobody, or no room. */
  keep(message: Message, key: string, hops: number): boolean {
    const { clock, meter } = this.#world
    const nowMs = clock.now()
    if (message.qos === 0 || !(nowMs < this.#begunMs + WAITS_MS || this.#home.mayCome(key))) return false
    const bytes = message.payload.length + message.properties.length
    if (this.#waiting.length >= MESSAGES_MAX || this.#bytes + bytes > BYTES_MAX) {
      meter.count('shares.unplaced-full')
      return false
    }
    const own = { ...message, payload: Buffer.from(message.payload), properties: Buffer.from(message.properties) }
    this.#waiting.push({ message: own, key, hops, untilMs: nowMs + WAITS_MS })
    this.#bytes += bytes
    meter.count('shares.unplaced')
    this.#timer ??= clock.after(LOOK_MS, 'shares.unplaced', this.#look)
    return true
  }

  stop(): void {
    this.#timer?.cancel()
    this.#waiting = []
  }

  readonly #look = (): void => {
    this.#timer = null
    const { clock, meter } = this.#world
    const nowMs = clock.now()
    const before = this.#waiting
    this.#waiting = []
    this.#bytes = 0
    for (const one of before) {
      const { message, key, hops, untilMs } = one
      if (this.#home.isThere(key)) {
        this.#home.place(message, key, hops)
      } else if (nowMs < untilMs) {
        this.#waiting.push(one)
        this.#bytes += message.payload.length + message.properties.length
      } else {
        meter.count('shares.nobody')
      }
    }
    if (this.#waiting.length > 0) this.#timer ??= clock.after(LOOK_MS, 'shares.unplaced', this.#look)
  }
}
