// A box that leaves gives its sessions away. Each gets its copy at another box, whatever `sessions.copies` says; what is
// kept going here for a box that is away becomes this box's own first, so that it has a copy, too. Who holds the copies goes
// on with the sessions when this box says that it has left, as if it were dead; then it forgets them here.

import type { Clock } from '../../base/ports/clock.ts'
import type { LocalSessions, SessionView } from '../../broker/ports.ts'

/** The copies of this box's sessions, as long as it is a member. */
export interface GivenCopies {
  /** Boxes that can take a session now. */
  readonly takers: number
  /** From now on every session has a copy. */
  leave(): void
  /** Whether the whole session is at another box; sees to it that it will be. */
  give(session: SessionView): boolean
}

const LOOK_MS = 50
/** Sessions looked at, or forgotten, in one turn. */
const PER_TURN = 256

export interface GivenAway {
  /** Sessions that are at other boxes now, and those that only this box has. */
  readonly given: number
  readonly kept: number
}

export class GivingAway {
  readonly #clock: Clock
  readonly #local: LocalSessions
  readonly #copies: GivenCopies
  readonly #sessions: { leave(): void }
  #given: SessionView[] = []

  /** `sessions` makes this box's own what it keeps going for others. */
  constructor(clock: Clock, local: LocalSessions, copies: GivenCopies, sessions: { leave(): void }) {
    this.#clock = clock
    this.#local = local
    this.#copies = copies
    this.#sessions = sessions
  }

  /** Calls `done` when all that can be given away is, and after `longestMs` at the latest. */
  give(longestMs: number, done: (given: GivenAway) => void): void {
    const endMs = this.#clock.now() + longestMs
    this.#copies.leave()
    this.#sessions.leave()
    const round = () => {
      this.#given = []
      let kept = 0
      const sessions = [...this.#local.all()].filter((session) => session.kept !== null)
      const some = () => {
        for (const session of sessions.splice(-PER_TURN)) {
          if (session.kept === null) continue
          if (session.place.at === 'here' && this.#copies.give(session)) this.#given.push(session)
          else kept++
        }
        if (sessions.length > 0) return this.#clock.soon(some)
        if (kept === 0 || this.#copies.takers === 0 || this.#clock.now() >= endMs) {
          return done({ given: this.#given.length, kept })
        }
        this.#clock.after(LOOK_MS, 'cluster.give-away', round)
      }
      some()
    }
    // What the directory says of all of them is looked at before they are.
    this.#clock.after(LOOK_MS, 'cluster.give-away', round)
  }

  /** They go on elsewhere: a few in one turn. */
  forget(): void {
    for (const session of this.#given.splice(-PER_TURN)) {
      if (this.#local.get(session.clientId) === session) this.#local.drop(session)
    }
    if (this.#given.length > 0) this.#clock.soon(() => this.forget())
  }
}
