// Which filters this node wants from the others: counted, so that the cluster hears of the first subscription to a
// filter and of the end of the last, of the first and last of a persistent session too; and what it has of each share
// group. Every SUBACK waits until the others have taken it.

import type { TopicFilter } from '../topic/filter.ts'
import type { ShareCount } from '../wire/link/shares.ts'
import type { Peers } from './ports.ts'
import type { ShareGroup } from './shared.ts'
import { isSys } from './sys-topic.ts'

/** Something that the others are told. */
class Announced {
  /** Announcements that the others have not all taken yet, and who waits for that. */
  underway = 0
  waiting: (() => void)[] = []

  readonly taken = (): void => {
    if (--this.underway > 0) return
    const { waiting } = this
    this.waiting = []
    for (const taken of waiting) taken()
  }

  whenTaken(taken: () => void): void {
    if (this.underway === 0) taken()
    else this.waiting.push(taken)
  }
}

class Wanted extends Announced {
  readonly filter: string
  count = 0
  /** Those of persistent sessions. */
  durable = 0

  constructor(filter: string) {
    super()
    this.filter = filter
  }
}

class Grouped extends Announced {
  /** As the others know it. */
  count: ShareCount = { consumers: 0, connected: 0, durable: false }
}

export class Interest {
  readonly #peers: Peers
  readonly #wanted = new Map<string, Wanted>()
  readonly #groups = new Map<string, Grouped>()

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** One more subscription to the filter; `durable`: of a session that outlives connections. */
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

  /** What there is of the group has changed. */
  grouped(group: ShareGroup): void {
    const { key, count } = group
    if (isSys(group.filter)) return
    let known = this.#groups.get(key)
    if (known === undefined) {
      if (count.consumers === 0) return
      known = new Grouped()
      this.#groups.set(key, known)
    }
    if (sameCount(known.count, count)) return
    known.count = count
    known.underway++
    if (count.consumers === 0) this.#groups.delete(key)
    this.#peers.grouped(key, count.consumers === 0 ? null : count, known.taken)
  }

  /** Calls `taken` when the others have the route: at once when they do, or when nobody here wants the filter. */
  whenTaken({ filter, share }: TopicFilter, taken: () => void): void {
    const known = share === null ? this.#wanted.get(filter) : this.#groups.get(`${share}/${filter}`)
    if (known === undefined) taken()
    else known.whenTaken(taken)
  }

  /** Each node says of itself what it wants under `$SYS`. */
  #announce(wanted: Wanted): void {
    if (isSys(wanted.filter)) return
    wanted.underway++
    this.#peers.wanted(wanted.filter, wanted.durable > 0, wanted.taken)
  }
}

const sameCount = (a: ShareCount, b: ShareCount): boolean =>
  a.consumers === b.consumers && a.connected === b.connected && a.durable === b.durable
