// What every connection of a broker works with: the tables and services that the broker owns.

import type { Turn } from '../base/outbox.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import type { Seldom } from '../base/seldom.ts'
import type { Connection } from './connection.ts'
import type { Deadlines } from './deadlines.ts'
import type { Fights } from './fights.ts'
import type { Keeping } from './keeping.ts'
import type { MemoryGuard } from './memory-guard.ts'
import type { Authenticator, Claims, Rules } from './ports.ts'
import type { Publisher } from './publish.ts'
import type { ReceiversCache } from './receivers.ts'
import type { Safety } from './safety.ts'
import type { Sessions } from './sessions.ts'
import type { BrokerSettings } from './settings.ts'
import type { Subscriber } from './subscribe.ts'
import type { Tally } from './tally.ts'

export interface ConnectionHome {
  /** Those in force now: a reload changes them. */
  readonly settings: BrokerSettings
  readonly clock: Clock
  readonly log: Log
  readonly turn: Turn
  readonly deadlines: Deadlines
  readonly tally: Tally
  readonly authenticator: Authenticator
  readonly memory: MemoryGuard
  readonly fights: Fights
  readonly rules: Rules
  readonly claims: Claims
  readonly sessions: Sessions
  readonly keeping: Keeping
  readonly safety: Safety
  readonly receivers: ReceiversCache
  readonly publisher: Publisher
  readonly subscriber: Subscriber
  /** For a client's packets that are too large: it may send many. */
  readonly tooLarge: Seldom
  /** For clients that are refused: they come again. */
  readonly refused: Seldom
  /** A client id that no session has. */
  readonly madeUpClientId: () => string
  /** The connection's stream is closed. */
  gone(connection: Connection): void
}
