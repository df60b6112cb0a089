// The broker's own figures: cumulative, so that whoever shows rates takes differences.

import type { Meter } from '../base/meter.ts'
import type { Turn } from '../base/outbox.ts'

export type DropReason =
  | 'queue-full'
  | 'slow-reader'
  | 'away'
  | 'expired'
  | 'too-large'
  | 'session-ended'
  /** QoS 0 that waited where its session was, before it went to another box. */
  | 'moved'
  | 'not-authorized'
  /** Another box had taken it for a session that no longer wants it. */
  | 'unsubscribed'
  | 'memory'
  | 'disk'

export class Tally {
  readonly #meter: Meter
  messagesIn = 0
  messagesOut = 0
  dropped = 0
  /** All packets received, PUBLISH too; and all sent but PUBLISH. */
  packetsIn = 0
  answersOut = 0
  bytesIn = 0
  /** Connections accepted, those that became clients, and the most clients at once. */
  sockets = 0
  connects = 0
  clientsMaximum = 0
  /** Sessions that ended because their time was over. */
  expired = 0
  readonly #turn: Turn

  constructor(meter: Meter, turn: Turn) {
    this.#meter = meter
    this.#turn = turn
  }

  bytesOut(): number {
    return this.#turn.bytesOut
  }

  drop(reason: DropReason, by = 1): void {
    this.dropped += by
    this.#meter.count(`mqtt.dropped.${reason}`, by)
  }

  count(name: string): void {
    this.#meter.count(name)
  }
}
