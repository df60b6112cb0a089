// Sessions that have ended and would be there again if this node died now: whoever begins anew is told so only when the end
// of the one before is safe.

import type { ClientId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import { bounds } from './bounds.ts'
import type { Safety } from './safety.ts'

export class Endings {
  readonly #safety: Pick<Safety, 'position' | 'isSafe'>
  readonly #meter: Pick<Meter, 'count'>
  /** Client -> the position that makes the end of its session safe; in the order of these. */
  readonly #unsafe = new Map<ClientId, number>()

  constructor(safety: Pick<Safety, 'position' | 'isSafe'>, meter: Pick<Meter, 'count'>) {
    this.#safety = safety
    this.#meter = meter
  }

  /** The end of the client's session was staged. */
  add(clientId: ClientId): void {
    this.#forget()
    this.#unsafe.delete(clientId)
    this.#unsafe.set(clientId, this.#safety.position)
    if (this.#unsafe.size <= bounds.endingsRemembered) return
    // Only while the disk takes nothing: then nobody waits anyway.
    for (const [oldest] of this.#unsafe) {
      this.#unsafe.delete(oldest)
      return this.#meter.count('mqtt.endings.forgotten')
    }
  }

  /** The position at which no earlier session of the client can come back. */
  safeAt(clientId: ClientId): number {
    this.#forget()
    return this.#unsafe.get(clientId) ?? 0
  }

  #forget(): void {
    for (const [clientId, position] of this.#unsafe) {
      if (!this.#safety.isSafe(position)) return
      this.#unsafe.delete(clientId)
    }
  }
}
