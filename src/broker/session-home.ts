// What a session works with: its connection, and what all sessions of a broker share.

import type { Clock } from '../base/ports/clock.ts'
import type { Endpoint } from '../base/ports/streams.ts'
import type { ReasonCode } from '../base/reasons.ts'
import type { Keeping } from './keeping.ts'
import type { MemoryGuard } from './memory-guard.ts'
import type { QueueSettings } from './queue.ts'
import type { Safety } from './safety.ts'
import type { Sender } from './sender.ts'
import type { Tally } from './tally.ts'

/** What a session sees of its connection. */
export interface SessionConnection {
  readonly sender: Sender
  /** Where the client is. */
  readonly remote: Endpoint
  /** Closes at once; not while a message goes round its receivers. */
  close(reason: ReasonCode, why: string): void
  /** Closes at the end of this turn: for use while a message goes round its receivers. */
  closeSoon(reason: ReasonCode, why: string): void
}

/** What all sessions of a broker share. */
export interface SessionHome {
  readonly clock: Clock
  readonly tally: Tally
  readonly memory: MemoryGuard
  readonly queueSettings: QueueSettings
  readonly keeping: Keeping
  readonly safety: Safety
}

/** What became of an acknowledgement from the client. */
export type Acknowledged = 'done' | 'unknown' | 'out-of-turn'
