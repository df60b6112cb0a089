// When a member is to be linked with through a third, and through which. Only the member with the lower id of a pair tries,
// so that they do not both.

import type { NodeId } from '../../base/ids.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { ByteStream } from '../../base/ports/streams.ts'
import { rendezvous } from '../rendezvous.ts'
import type { DialOutcome } from './dialling.ts'
import { decides } from './tiebreak.ts'

const PAUSE_MIN_MS = 1000
const PAUSE_MAX_MS = 30_000

/** What is looked at of a member. */
export interface Unreached {
  readonly id: NodeId
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly linked: boolean
  readonly straightMs: number
}

/** Whether it is time to try the way through somebody else. Pure. */
export function needsRelay(self: NodeId, member: Unreached, nowMs: number, afterMs: number): boolean {
  return decides(self, member.id) && !member.linked && member.state !== 'left' && nowMs - member.straightMs >= afterMs
}

export interface RelayedDiallingWays {
  members(): Iterable<Unreached>
  /** Members with a straight link to us and to `member`. */
  vouchers(member: NodeId): readonly NodeId[]
  /** A stream to `member` through `relay`. */
  open(member: NodeId, relay: NodeId): ByteStream | null
  link(stream: ByteStream, relay: NodeId, done: (outcome: DialOutcome) => void): void
}

interface Attempt {
  readonly failures: number
  /** Infinite while one is under way. */
  readonly dueMs: number
}

export class RelayedDialling {
  readonly #clock: Clock
  readonly #self: NodeId
  readonly #ways: RelayedDiallingWays
  readonly #attempts = new Map<NodeId, Attempt>()

  constructor(clock: Clock, self: NodeId, ways: RelayedDiallingWays) {
    this.#clock = clock
    this.#self = self
    this.#ways = ways
  }

  /** Looks, several times in a heartbeat, for members that cannot be reached for `afterMs`. */
  look(nowMs: number, afterMs: number): void {
    for (const member of this.#ways.members()) {
      if (!needsRelay(this.#self, member, nowMs, afterMs)) {
        if (member.linked) this.#attempts.delete(member.id)
        continue
      }
      const { failures, dueMs } = this.#attempts.get(member.id) ?? { failures: 0, dueMs: 0 }
      if (nowMs < dueMs) continue
      // After a failure another one, if there is one: it may be the relay that is bad.
      const vouchers = this.#ways.vouchers(member.id)
      const relay = rendezvous(`${this.#self}${member.id}${failures}`, vouchers)
      const stream = relay === null ? null : this.#ways.open(member.id, relay)
      if (relay === null || stream === null) continue
      this.#attempts.set(member.id, { failures, dueMs: Number.POSITIVE_INFINITY })
      this.#ways.link(stream, relay, (outcome) => this.#ended(member.id, failures, outcome))
    }
  }

  #ended(member: NodeId, before: number, outcome: DialOutcome): void {
    const failures = outcome.at === 'linked' ? 0 : Math.min(before + 1, 16)
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** failures)
    this.#attempts.set(member, { failures, dueMs: this.#clock.now() + pauseMs })
  }
}
