// Between the broker's sessions and the cluster, for as long as the node runs; the identity behind it may change.

import type { Positions } from '../base/positions.ts'
import {
  type Claim,
  type Claimed,
  type Claims,
  type LocalSessions,
  NoClaims,
  type SessionView,
  type WillWatch,
} from '../broker/ports.ts'
import type { Replicated } from './maps/replicated.ts'
import type { CopiedRecords } from './sessions/copiedrecords.ts'
import type { CopyMarks } from './sessions/copies.ts'
import { KeptMarks, type NamedValues, PassingMarks } from './sessions/copymarks.ts'
import { Directory } from './sessions/directory.ts'
import type { ClusterTime } from './time/clustertime.ts'

/** What the sessions of a node stand on. */
export interface SessionGround {
  readonly replicated: Replicated
  readonly time: ClusterTime
  /** What is kept of them, with a tap for their copies. */
  readonly records: CopiedRecords
  readonly positions: Positions
  /** Null: nothing outlives this run. */
  readonly named: NamedValues | null
}

/** What takes part in them under one identity. */
interface Presence {
  readonly sessions: Claims & { timeMoved(byMs: number, sinceMs: number): void }
  readonly wills: WillWatch
}

export class SessionSeam implements Claims, WillWatch {
  /** Which box has which session. */
  readonly directory: Directory
  /** The broker's sessions, once there is a broker. */
  local: LocalSessions | null = null
  readonly records: CopiedRecords
  readonly positions: Positions
  readonly marks: CopyMarks
  readonly #present: () => Presence | null
  readonly #alone = new NoClaims()

  /** `present`: under the present identity; null: without a cluster. */
  constructor({ replicated, time, records, positions, named }: SessionGround, present: () => Presence | null) {
    this.directory = new Directory((options, events) => replicated.open(options, events))
    this.records = records
    this.positions = positions
    this.marks = named === null ? new PassingMarks() : new KeptMarks(named)
    this.#present = present
    time.onStep(({ byMs, sinceMs }) => this.#present()?.sessions.timeMoved(byMs, sinceMs))
  }

  claim(claim: Claim, done: (claimed: Claimed) => void): void {
    this.#claims.claim(claim, done)
  }

  opened(session: SessionView, present: boolean, fresh: boolean): void {
    this.#claims.opened(session, present, fresh)
  }

  left(session: SessionView): void {
    this.#claims.left(session)
  }

  ended(session: SessionView): void {
    this.#claims.ended(session)
  }

  willChanged(session: SessionView): void {
    this.#present()?.wills.willChanged(session)
  }

  get #claims(): Claims {
    return this.#present()?.sessions ?? this.#alone
  }
}
