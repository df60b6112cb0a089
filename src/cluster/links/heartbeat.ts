// Life signs: every link is asked once in a heartbeat, and looked at four times in one, so that a death is told in time
// and not a heartbeat late.

import { type Clock, every, type Timer } from '../../base/ports/clock.ts'
import type { Link } from './link.ts'

export interface HeartbeatSettings {
  readonly heartbeatMs: number
  readonly deadAfterMs: number
}

export type Pulse = 'alive' | 'suspect' | 'dead'

const LOOKS = 4

/** What `silentMs` without a byte means. `marginMs`: death is rather told that much early than late. */
export function pulse(silentMs: number, settings: HeartbeatSettings, marginMs = 0): Pulse {
  if (silentMs >= settings.deadAfterMs - marginMs) return 'dead'
  return silentMs > 2 * settings.heartbeatMs ? 'suspect' : 'alive'
}

export class Heartbeat {
  readonly #clock: Clock
  readonly #links: () => Iterable<Link>
  readonly #looked: (nowMs: number, marginMs: number) => void
  #settings: HeartbeatSettings
  #timer: Timer | null = null
  #lastMs = 0
  #looks = 0

  /** `looked` is called at each look, after silent links have been closed. */
  constructor(
    clock: Clock,
    settings: HeartbeatSettings,
    links: () => Iterable<Link>,
    looked: (nowMs: number, marginMs: number) => void,
  ) {
    this.#clock = clock
    this.#settings = settings
    this.#links = links
    this.#looked = looked
  }

  start(): void {
    this.#lastMs = this.#clock.now()
    this.#timer = every(this.#clock, this.#settings.heartbeatMs / LOOKS, 'cluster.heartbeat', () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  configure(settings: HeartbeatSettings): void {
    this.#settings = settings
    if (this.#timer === null) return
    this.stop()
    this.start()
  }

  #look(): void {
    const nowMs = this.#clock.now()
    const stepMs = this.#settings.heartbeatMs / LOOKS
    const lateMs = nowMs - this.#lastMs - stepMs
    this.#lastMs = nowMs
    const asks = this.#looks++ % LOOKS === 0
    for (const link of [...this.#links()]) {
      // This process was stopped or busy: what the peers said meanwhile lies unread in the sockets.
      if (lateMs > stepMs) link.forgive(lateMs)
      if (pulse(nowMs - link.heardMs, this.#settings, stepMs) === 'dead') link.close('silent', 'silent')
      else if (asks) link.ping()
    }
    this.#looked(nowMs, stepMs)
  }
}
