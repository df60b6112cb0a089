// Between the broker's sessions and the cluster, for as long as the node runs; the identity behind it may change.

import type { Claim, Claimed, Claims, LocalSessions, SessionView } from '../broker/ports.ts'
import { Directory } from './directory.ts'
import type { Replicated } from './replicated.ts'

export class SessionSeam implements Claims {
  /** Which box has which session. */
  readonly directory: Directory
  /** The broker's sessions, once there is a broker. */
  local: LocalSessions | null = null
  readonly #claims: () => Claims

  /** `claims` under the present identity. */
  constructor(replicated: Replicated, claims: () => Claims) {
    this.directory = new Directory((options, events) => replicated.open(options, events))
    this.#claims = claims
  }

  claim(claim: Claim, done: (claimed: Claimed) => void): void {
    this.#claims().claim(claim, done)
  }

  opened(session: SessionView, present: boolean, fresh: boolean): void {
    this.#claims().opened(session, present, fresh)
  }

  left(session: SessionView): void {
    this.#claims().left(session)
  }

  ended(session: SessionView): void {
    this.#claims().ended(session)
  }
}
