// A connected client: what its connection keeps of it, and what its session sees of the connection.

import type { Endpoint } from '../base/ports/streams.ts'
import type { ReasonCode } from '../base/reasons.ts'
import type { ConnectPacket, Version } from '../wire/mqtt/packets.ts'
import type { Terms } from './connect.ts'
import type { Connection } from './connection.ts'
import { Incoming } from './incoming.ts'
import { type Pace, paceFor } from './pace.ts'
import type { Sender } from './sender.ts'
import type { Session } from './session.ts'
import type { SessionConnection } from './session-home.ts'

export class Connected implements SessionConnection {
  readonly at = 'connected'
  readonly session: Session
  readonly sender: Sender
  readonly version: Version
  readonly bridge: boolean
  /** Milliseconds of silence allowed. */
  readonly silenceMs: number
  /** What the CONNECT said, for what a DISCONNECT may still change. */
  readonly expirySec: number
  /** Made with the first PUBLISH: many clients only listen. */
  incoming: Incoming | null = null
  /** Null: it may send as fast as it likes. */
  readonly pace: Pace | null
  readonly #connection: Connection

  constructor(connection: Connection, packet: ConnectPacket, terms: Terms, session: Session, sender: Sender) {
    this.#connection = connection
    this.session = session
    this.sender = sender
    this.version = packet.version
    this.bridge = packet.bridge
    this.silenceMs = terms.silenceMs
    this.expirySec = packet.sessionExpirySec
    this.pace = paceFor(connection.home.settings.limits)
  }

  publishing(): Incoming {
    return (this.incoming ??= new Incoming(this.#connection.home, this.session, this.sender))
  }

  get remote(): Endpoint {
    return this.#connection.remote
  }

  close(reason: ReasonCode, why: string): void {
    this.#connection.close(reason, why)
  }

  closeSoon(reason: ReasonCode, why: string): void {
    this.#connection.home.clock.soon(() => this.#connection.close(reason, why))
  }
}
