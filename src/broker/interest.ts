// Which filters this node wants from the others: counted, so that the cluster hears of the first subscription to a
// filter and of the end of the last, of the first and last of a persistent session too, and every SUBACK waits until the
// others have taken the route.

import type { Peers } from './ports.ts'
import { isSys } from './sys-topic.ts'

class Wanted {
  readonly filter: string
  count = 0
  /** Those of persistent sessions. */
  durable = 0
  /** Announcements that the others have not all taken yet, and who waits for that. */
  underway = 0
  waiting: (() => void)[] = []

  constructor(filter: string) {
    this.filter = filter
  }
}

export class Interest {
  readonly #peers: Peers
  readonly #wanted = new Map<string, Wanted>()

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** One more subscription to the filter (without `$share/group/`); `durable`: of a session that outlives connections. */
  add(filter: string, durable: boolean): void {
    let wanted = this.#wanted.get(filter)
    if (wanted === undefined) {
      wanted = new Wanted(filter)
      this.#wanted.set(filter, wanted)
    }
    wanted.count++
    if (durable) wanted.durable++
    if (wanted.count === 1 || (durable && wanted.durable === 1)) this.#announce(wanted)
  }

  remove(filter: string, durable: boolean): void {
    const wanted = this.#wanted.get(filter)
    if (wanted === undefined) return
    wanted.count--
    if (durable) wanted.durable--
    if (wanted.count === 0) {
      this.#wanted.delete(filter)
      if (!isSys(filter)) this.#peers.unwanted(filter)
    } else if (durable && wanted.durable === 0) {
      this.#announce(wanted)
    }
  }

  /** Calls `taken` when the others have the route: at once when they do, or when nobody here wants the filter. */
  whenTaken(filter: string, taken: () => void): void {
    const wanted = this.#wanted.get(filter)
    if (wanted === undefined || wanted.underway === 0) taken()
    else wanted.waiting.push(taken)
  }

  /** Each node says of itself what it wants under `$SYS`. */
  #announce(wanted: Wanted): void {
    if (isSys(wanted.filter)) return
    wanted.underway++
    this.#peers.wanted(wanted.filter, wanted.durable > 0, () => {
      if (--wanted.underway > 0) return
      const { waiting } = wanted
      wanted.waiting = []
      for (const taken of waiting) taken()
    })
  }
}
