// The messages that a session was given lately by members: one that comes again another way (out of a parking place, from
// a member that stands in, after a crash) is not given twice. Memory is bounded: the oldest are forgotten.
//
// What it was given as a member of a shared subscription is known apart from what its own subscriptions brought: it may
// be owed both. [MQTT-4.8.2-4]

import type { Origin, QoS } from '../wire/message.ts'
import type { Session } from './session.ts'

const IDS_MAX = 1024

interface MessageId {
  readonly origin: Origin
  readonly counter: number
}

export const sameOrigin = (a: Origin, b: Origin): boolean =>
  a === b || (a.incarnation === b.incarnation && a.node === b.node)

export class RecentIds {
  readonly #origins: Origin[] = []
  /** Below zero: by a shared subscription. */
  readonly #counters: number[] = []
  /** Where the next one goes, in the place of the oldest. */
  #next = 0
  /** So many more, and what came another way is forgotten; 0: nothing did. */
  #anotherLeft = 0

  get size(): number {
    return this.#counters.length
  }

  /** Some came through another box: their own senders may yet bring them. */
  get another(): boolean {
    return this.#anotherLeft > 0
  }

  /** `origin` is held on to: one object for many messages. */
  add(origin: Origin, counter: number, shared = false, another = false): void {
    if (another) this.#anotherLeft = IDS_MAX
    else if (this.#anotherLeft > 0) this.#anotherLeft--
    this.#origins[this.#next] = origin
    this.#counters[this.#next] = shared ? -counter : counter
    this.#next = this.#next + 1 === IDS_MAX ? 0 : this.#next + 1
  }

  has(origin: Origin, counter: number, shared = false): boolean {
    const counters = this.#counters
    const sought = shared ? -counter : counter
    for (let index = 0; index < counters.length; index++) {
      if (counters[index] === sought && sameOrigin(this.#origins[index]!, origin)) return true
    }
    return false
  }
}

/** Whether the session was given the message lately; `shared`: by a shared subscription. */
export const hasHad = ({ queue }: Session, { origin, counter }: MessageId, shared: boolean): boolean =>
  queue.recent?.has(origin, counter, shared) ?? false

/**
 * The session was given the message by a member; `another`: by one that did not publish it. One that ends with its
 * connection need not know of QoS 1.
 */
export function remember(
  { expirySec, queue }: Session,
  { origin, counter }: MessageId,
  qos: QoS,
  shared: boolean,
  another = false,
): void {
  if (expirySec === 0 && qos < 2) return
  queue.recent ??= new RecentIds()
  queue.recent.add(origin, counter, shared, another)
}

/**
 * Whether a message that comes from its own node has been here. A box that died while it passed on a QoS 2 message does so
 * again (CLUSTER 6); what stood in for this session may have brought any that is still on its way here. Most sessions
 * are spared the search.
 */
export const hadBefore = (session: Session, id: MessageId, qos: QoS, shared: boolean): boolean =>
  (qos === 2 || session.queue.recent?.another === true) && hasHad(session, id, shared)

/**
 * Whether this node published the message itself while the session was here, so that it went round to it then. `since`:
 * the node's last message before the session came here; null: it has always been here.
 */
export function wentRound(since: number | null, origin: Origin, counter: number, own: Origin): boolean {
  if (origin.node !== own.node) return false
  return since === null || (origin.incarnation === own.incarnation && counter > since)
}
