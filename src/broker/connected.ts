// A connected client: what its connection keeps of it, and what its session sees of the connection.

import { ProtocolError } from '../base/errors.ts'
import type { Endpoint } from '../base/ports/streams.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { encodeDisconnect } from '../wire/mqtt/encode.ts'
import type { ConnectPacket, DisconnectPacket, Version } from '../wire/mqtt/packets.ts'
import { cappedExpirySec, type Terms } from './connect.ts'
import type { Connection } from './connection.ts'
import type { Enhanced } from './enhanced.ts'
import { Incoming } from './incoming.ts'
import { type Pace, paceFor } from './pace.ts'
import type { Sender } from './sender.ts'
import type { Session } from './session.ts'
import type { SessionConnection } from './session-home.ts'
import type { BrokerSettings } from './settings.ts'

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
  /** The authentication method of its CONNECT; null: none. */
  readonly method: string | null
  /** A re-authentication under way. */
  enhanced: Enhanced | null = null
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
    this.method = packet.authenticationMethod
    this.pace = paceFor(connection.home.settings.limits)
  }

  publishing(): Incoming {
    return (this.incoming ??= new Incoming(this.#connection.home, this.session, this.sender))
  }

  /** What a DISCONNECT still changes. A session that was to end cannot be prolonged by it (MQTT 3.14.2.2.2). */
  changeExpiry({ sessionExpirySec }: DisconnectPacket, settings: BrokerSettings): ProtocolError | null {
    if (sessionExpirySec === null) return null
    if (this.expirySec === 0 && sessionExpirySec > 0) {
      return new ProtocolError(Reason.protocolError, 'a DISCONNECT that prolongs a session that was to end')
    }
    this.session.expirySec = cappedExpirySec(sessionExpirySec, settings)
    return null
  }

  /** The DISCONNECT that tells the client why; null: it cannot be told. */
  /** `server`: where else it finds what it wants (Server Reference); empty: nowhere. */
  farewell(reason: ReasonCode, why: string, server: string): Buffer | null {
    if (this.version !== 5) return null
    const room = this.sender.maximumPacketSize
    const told = encodeDisconnect({ reason, reasonString: why, ...(server === '' ? {} : { serverReference: server }) })
    // [MQTT-3.14.2-3]
    const bytes = told.length > room ? encodeDisconnect({ reason }) : told
    return bytes.length > room ? null : bytes
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
