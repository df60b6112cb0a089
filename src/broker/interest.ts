// Which filters this node wants from the others: counted, so that the cluster hears of the first subscription to a
// filter and of the end of the last, and every SUBACK waits until the others have taken the route.

import type { Peers } from './ports.ts'
import { isSys } from './sys-topic.ts'

interface Wanted {
  count: number
  /** Who waits for the others to take the route; null: they have. */
  waiting: (() => void)[] | null
}

export class Interest {
  readonly #peers: Peers
  readonly #wanted = new Map<string, Wanted>()

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** One more subscription to the filter (without `$share/group/`). */
  add(filter: string): void {
    const known = this.#wanted.get(filter)
    if (known !== undefined) {
      known.count++
      return
    }
    const wanted: Wanted = { count: 1, waiting: isSys(filter) ? null : [] }
    this.#wanted.set(filter, wanted)
    // Each node says it of itself.
    if (isSys(filter)) return
    this.#peers.wanted(filter, () => {
      const waiting = wanted.waiting
      wanted.waiting = null
      if (waiting !== null) for (const taken of waiting) taken()
    })
  }

  remove(filter: string): void {
    const known = this.#wanted.get(filter)
    if (known === undefined || --known.count > 0) return
    this.#wanted.delete(filter)
    if (!isSys(filter)) this.#peers.unwanted(filter)
  }

  /** Calls `taken` when the others have the route: at once when they do, or when nobody here wants the filter. */
  whenTaken(filter: string, taken: () => void): void {
    const waiting = this.#wanted.get(filter)?.waiting ?? null
    if (waiting === null) taken()
    else waiting.push(taken)
  }
}
