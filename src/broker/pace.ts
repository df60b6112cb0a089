// How fast one client may be read: messages and bytes per second, each with a second's worth in hand. A client that is
// faster is not read for a while; nothing of it is dropped (`limits.messages_per_second`, `limits.bytes_per_second`).

import type { BrokerSettings } from './settings.ts'

type Limits = Pick<BrokerSettings['limits'], 'messagesPerSecond' | 'bytesPerSecond'>

/** What may be taken at once, in milliseconds of the rate. */
const IN_HAND_MS = 1000
/** A pause is at least as long: so a client at its limit costs some timers in a second, not one for each message. */
const PAUSE_MIN_MS = 50

export class Pace {
  readonly #messageMs: number
  readonly #byteMs: number
  /** Until when what was taken is paid for, by the monotonic clock. */
  #messagesUntil = 0
  #bytesUntil = 0

  constructor(limits: Limits) {
    this.#messageMs = limits.messagesPerSecond === null ? 0 : 1000 / limits.messagesPerSecond
    this.#byteMs = limits.bytesPerSecond === null ? 0 : 1000 / limits.bytesPerSecond
  }

  /** Takes a packet of `bytes` that carries `messages` into account; returns how long nothing more is to be read. */
  took(nowMs: number, messages: number, bytes: number): number {
    this.#messagesUntil = Math.max(this.#messagesUntil, nowMs) + messages * this.#messageMs
    this.#bytesUntil = Math.max(this.#bytesUntil, nowMs) + bytes * this.#byteMs
    const aheadMs = Math.max(this.#messagesUntil, this.#bytesUntil) - nowMs - IN_HAND_MS
    return aheadMs <= 0 ? 0 : Math.max(PAUSE_MIN_MS, aheadMs)
  }
}

/** Null when there is no such limit: it then costs nothing. */
export const paceFor = (limits: Limits): Pace | null =>
  limits.messagesPerSecond === null && limits.bytesPerSecond === null ? null : new Pace(limits)
