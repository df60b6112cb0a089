// The box that gets the key of a CA that was just made here, before anybody else stands on that CA: one whose key is on a
// single box is lost with that box, and whoever stands on it already could have nothing signed any more.

import type { NodeId } from '../../base/ids.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'

/** So long it may take to stand on the new CA before the others are offered it. */
const HEIR_MS = 3000

export interface Heirs {
  /** Somebody who is there; null: nobody is. */
  choose(): NodeId | null
  linked(id: NodeId): boolean
  hasKey(id: NodeId, authority: string): boolean
  /** Another box is the one, or there is none any more: whoever may be offered the CA now is. */
  changed(): void
}

export class Heir {
  readonly #clock: Clock
  readonly #heirs: Heirs
  #state: { readonly id: NodeId; readonly authority: string; readonly timer: Timer } | null = null

  constructor(clock: Clock, heirs: Heirs) {
    this.#clock = clock
    this.#heirs = heirs
  }

  /** Null: everybody may be offered the CA. */
  get id(): NodeId | null {
    return this.#state?.id ?? null
  }

  /** `authority`: the fingerprint of the CA that is being made. */
  begin(authority: string): void {
    this.stop()
    const id = this.#heirs.choose()
    if (id === null) return
    this.#state = { id, authority, timer: this.#clock.after(HEIR_MS, 'trust.heir', () => this.#end()) }
  }

  /** A member is linked, went, or has said what it stands on. */
  look(): void {
    if (this.#state === null) return
    const { id, authority } = this.#state
    if (this.#heirs.hasKey(id, authority)) return this.#end()
    if (this.#heirs.linked(id)) return
    // It went before it had the key: another gets it, while the first one's time lasts.
    const next = this.#heirs.choose()
    if (next === null) return this.#end()
    this.#state = { ...this.#state, id: next }
    this.#heirs.changed()
  }

  stop(): void {
    this.#state?.timer.cancel()
    this.#state = null
  }

  #end(): void {
    this.stop()
    this.#heirs.changed()
  }
}
