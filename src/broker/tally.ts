// The broker's own figures: cumulative, so that whoever shows rates takes differences.

import type { Meter } from '../base/meter.ts'

export type DropReason =
  | 'queue-full'
  | 'slow-reader'
  | 'away'
  | 'expired'
  | 'too-large'
  | 'session-ended'
  | 'not-authorized'
  | 'memory'

export class Tally {
  readonly #meter: Meter
  messagesIn = 0
  messagesOut = 0
  dropped = 0

  constructor(meter: Meter) {
    this.#meter = meter
  }

  drop(reason: DropReason, by = 1): void {
    this.dropped += by
    this.#meter.count(`mqtt.dropped.${reason}`, by)
  }

  count(name: string): void {
    this.#meter.count(name)
  }
}
