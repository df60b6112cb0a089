// A connected client: what its connection keeps of it, and what its session sees of the connection.

import { ProtocolError } from '../base/errors.ts'
import type { ClientId } from '../base/ids.ts'
import type { Outbox } from '../base/outbox.ts'
import type { Endpoint } from '../base/ports/streams.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { encodeConnack, encodeDisconnect } from '../wire/mqtt/encode.ts'
import type { ConnectPacket, DisconnectPacket, Version } from '../wire/mqtt/packets.ts'
import { cappedExpirySec, type Terms } from './connect.ts'
import type { Connection } from './connection.ts'
import type { Enhanced } from './enhanced.ts'
import type { ConnectionHome } from './home.ts'
import { Incoming } from './incoming.ts'
import { type Pace, paceFor } from './pace.ts'
import { Sender } from './sender.ts'
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
  /** What it has to be told before anything else; null: it was. */
  connack: Buffer | null
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

  constructor(
    connection: Connection,
    outbox: Outbox,
    packet: ConnectPacket,
    terms: Terms,
    { session, present }: { readonly session: Session; readonly present: boolean },
  ) {
    const { settings, tally, memory } = connection.home
    const aliasMax = Math.min(packet.topicAliasMaximum, settings.limits.maxTopicAlias)
    this.#connection = connection
    this.session = session
    this.sender = new Sender(outbox, packet.version, packet.maximumPacketSize, aliasMax, tally, memory)
    this.connack = encodeConnack({ ...terms.told, sessionPresent: present, reason: Reason.success }, packet.version)
    this.version = packet.version
    this.bridge = packet.bridge
    this.silenceMs = terms.silenceMs
    this.expirySec = packet.sessionExpirySec
    this.method = packet.authenticationMethod
    this.pace = paceFor(settings.limits)
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

  /**
   * The DISCONNECT that tells the client why; null: it cannot be told, or not yet [MQTT-3.2.0-1]. `server`: where else it
   * finds what it wants (Server Reference); empty: nowhere.
   */
  farewell(reason: ReasonCode, why: string, server: string): Buffer | null {
    if (this.version !== 5 || this.connack !== null) return null
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

/** [MQTT-3.1.4-3] An older connection of the client is told and closed; its session as it then stands may be resumed. */
export function endOlder({ sessions, tally, fights }: ConnectionHome, clientId: ClientId, by: Endpoint): void {
  const older = sessions.get(clientId)?.connection
  if (older === null || older === undefined) return
  tally.count('mqtt.takeover')
  fights.takenOver(clientId, older.remote, by)
  older.close(Reason.sessionTakenOver, 'its client id connected again')
}
