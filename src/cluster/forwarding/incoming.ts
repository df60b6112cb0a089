// What members forward to this node, batch by batch: given to the broker, and accounted for by its arrivals.

import type { NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Positions } from '../../base/positions.ts'
import type { LocalDelivery } from '../../broker/ports.ts'
import { BatchReader } from '../../wire/link/forward.ts'
import type { QoS } from '../../wire/message.ts'
import type { Arrivals } from './arrivals.ts'

export interface IncomingHome {
  readonly clock: Clock
  readonly meter: Meter
  readonly positions: Positions
  readonly arrivals: Arrivals
  /** The broker; null: not there yet. */
  readonly local: () => LocalDelivery | null
}

export class Incoming {
  readonly #home: IncomingHome
  readonly #reader = new BatchReader()

  constructor(home: IncomingHome) {
    this.#home = home
  }

  /** Throws PeerError. */
  batch(peer: NodeId, bytes: Buffer): void {
    const { clock, meter, positions, arrivals } = this.#home
    const reader = this.#reader
    reader.open(bytes)
    const { sequence, late } = reader
    const repeated = arrivals.repeated(peer, sequence)
    const local = this.#home.local()
    const nowMs = clock.now()
    const before = positions.position
    let count = 0
    let most: QoS = 0
    // What came before an item that cannot be read counts, and does not count again over the next link.
    try {
      for (let message = reader.next(nowMs); message !== null; message = reader.next(nowMs)) {
        if (message.qos > most) most = message.qos
        if (count++ >= repeated) local?.deliverFromPeer(message, late, reader.targets)
      }
    } finally {
      arrivals.delivered(peer, sequence + count - 1, before, bytes.length, most)
    }
    meter.count('forward.in', Math.max(0, count - repeated))
    if (repeated > 0) meter.count('forward.repeated', Math.min(count, repeated))
  }
}
