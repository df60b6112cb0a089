// Clean Starts of which no other box was told, because this one did not know that there was anything to end: it had just been
// started, and had not heard yet which sessions others keep for it.

import type { ClientId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import { compareStamps, type Stamp } from '../../base/stamps.ts'
import { movedEpoch, type TimeStep } from './epochs.ts'

/** So many are remembered: the oldest are forgotten. */
export const CLEAN_STARTS_MAX = 10_000

export class CleanStarts {
  readonly #meter: Pick<Meter, 'count'>
  readonly #last = new Map<ClientId, Stamp>()

  constructor(meter: Pick<Meter, 'count'>) {
    this.#meter = meter
  }

  add(clientId: ClientId, epoch: Stamp): void {
    this.#last.delete(clientId)
    this.#last.set(clientId, epoch)
    if (this.#last.size <= CLEAN_STARTS_MAX) return
    this.#last.delete(this.#last.keys().next().value!)
    this.#meter.count('sessions.clean-start-forgotten')
  }

  /** The last one of the client's when it came after that epoch, and so ended what was there by then. */
  after(clientId: ClientId, epoch: Stamp): Stamp | null {
    const last = this.#last.get(clientId)
    return last !== undefined && compareStamps(last, epoch) > 0 ? last : null
  }

  /** Cluster time was moved. */
  timeMoved(step: TimeStep): void {
    for (const [clientId, epoch] of this.#last) {
      const moved = movedEpoch(epoch, step)
      if (moved !== null) this.#last.set(clientId, moved)
    }
  }
}
