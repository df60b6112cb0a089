// One MQTT connection, from the accepted stream to its end.
//
//   awaiting CONNECT -> authenticating -> connected -> closing -> closed
//
// Reads what comes, decides what state follows, and leaves the rest to those whose name it bears.

import { ProtocolError } from '../base/errors.ts'
import type { ClientId } from '../base/ids.ts'
import { Outbox } from '../base/outbox.ts'
import { type ByteStream, type Endpoint, endpointText, type StreamHandler } from '../base/ports/streams.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { PINGRESP } from '../wire/mqtt/acks.ts'
import { decodeControl } from '../wire/mqtt/control.ts'
import { encodeSuback, encodeUnsuback } from '../wire/mqtt/encode.ts'
import { Framer, type PacketSink, PacketTooLarge } from '../wire/mqtt/framing.ts'
import type { ConnectPacket, DisconnectPacket, SubscribePacket, Version } from '../wire/mqtt/packets.ts'
import { ConnectError } from '../wire/mqtt/strict.ts'
import { acknowledged } from './acknowledged.ts'
import { type Admission, admission, noMemory, ON_ITS_WAY } from './admission.ts'
import { bounds } from './bounds.ts'
import { NO_ROOM, objection, type Refusal, refusalConnack } from './connect.ts'
import { Connected, endOlder } from './connected.ts'
import { Deadline } from './deadlines.ts'
import { type Enhanced, enhancedBy, reauthenticate } from './enhanced.ts'
import { type Guest, requestOf, turnedAway } from './guest.ts'
import type { ConnectionHome } from './home.ts'
import type { AuthenticationResult, Claimed } from './ports.ts'
import { Hold, Reading } from './reading.ts'
import { tellRefused, tellTooLarge } from './said-no.ts'

const PUBLISH = 3
const PUBACK = 4
const PUBCOMP = 7

type State =
  | { readonly at: 'awaiting' }
  | { readonly at: 'authenticating'; readonly packet: ConnectPacket; readonly enhanced: Enhanced | null }
  | Connected
  | { readonly at: 'closing' }
  | { readonly at: 'closed' }

const AWAITING: State = { at: 'awaiting' }
const CLOSING: State = { at: 'closing' }
const CLOSED: State = { at: 'closed' }

export class Connection implements StreamHandler, PacketSink {
  readonly home: ConnectionHome
  readonly guest: Guest
  readonly #stream: ByteStream
  readonly #outbox: Outbox
  readonly #framer: Framer
  readonly #deadline: Deadline
  #state: State = AWAITING
  #heardAt: number
  readonly #reading: Reading

  constructor(home: ConnectionHome, stream: ByteStream, guest: Guest) {
    this.home = home
    this.guest = guest
    this.#stream = stream
    this.#outbox = new Outbox(home.turn, stream)
    this.#framer = new Framer(this, Math.min(bounds.connectPacketBytes, home.settings.limits.maxPacketSize))
    this.#reading = new Reading(this.#framer, stream, () => this.#goOn())
    this.#heardAt = home.clock.now()
    this.#deadline = new Deadline(() => this.#overdue())
    home.deadlines.set(this.#deadline, this.#heardAt + home.settings.limits.connectTimeoutMs)
  }

  /** Begins to read; whoever made it knows it by now, so it may be gone again at once. */
  begin(): void {
    this.#stream.open(this)
  }

  get remote(): Endpoint {
    return this.#stream.remote
  }

  get clientId(): string | null {
    return this.#state.at === 'connected' ? this.#state.session.clientId : null
  }

  /** The account that the connected client has proven to be; null: none. */
  get account(): string | null {
    return this.#state.at === 'connected' ? this.#state.session.access.account : null
  }

  // The stream's side.

  received(buffer: Buffer, start: number, end: number): void {
    this.#heardAt = this.home.clock.now()
    this.home.tally.bytesIn += end - start
    this.#afterRead(this.#framer.push(buffer, start, end))
  }

  drained(): void {
    if (this.#state.at !== 'connected') return
    this.#reading.letGo(Hold.output)
    if (this.#state.at === 'connected') this.#state.session.pump()
  }

  closed(why: string | null): void {
    const state = this.#state
    if (state.at === 'closed') return
    this.#state = CLOSED
    this.#reading.close()
    this.home.deadlines.clear(this.#deadline)
    this.#framer.close()
    this.#outbox.close()
    this.home.gone(this)
    if (state.at === 'connected') this.#leave(state, false, why ?? 'connection closed by the client')
  }

  // Packets.

  packet(buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const state = this.#state
    this.home.tally.packetsIn++
    if (state.at !== 'connected') return this.#beforeConnected(state, buffer, packetStart, bodyStart, end)
    const type = buffer[packetStart]! >> 4
    if (
      state.pace !== null &&
      this.#reading.keepPace(state.pace, this.home.clock, type === PUBLISH ? 1 : 0, end - packetStart)
    ) {
      this.home.tally.count('mqtt.paused.rate')
    }
    if (type === PUBLISH) {
      const error = (state.incoming ?? state.publishing()).publish(buffer, packetStart, bodyStart, end)
      return error === null ? undefined : this.#fail(error)
    }
    state.incoming?.endRun()
    if (type < PUBACK || type > PUBCOMP) return this.#control(state, buffer, packetStart, bodyStart, end)
    const error = acknowledged(state, this.home, buffer, packetStart, bodyStart, end)
    if (error !== null) this.#fail(error)
  }

  #control(state: Connected, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const packet = decodeControl(buffer, packetStart, bodyStart, end, state.version)
    if (packet instanceof ProtocolError) return this.#fail(packet)
    switch (packet.kind) {
      case 'pingreq':
        return this.#send(state, PINGRESP)
      case 'subscribe':
        return this.#subscribe(state, packet)
      case 'unsubscribe':
        return this.home.subscriber.unsubscribe(state.session, packet, (reasons) => {
          if (this.#state === state) this.#send(state, encodeUnsuback(packet.packetId, reasons, state.version))
        })
      case 'disconnect':
        return this.#goodbye(state, packet)
      case 'auth': {
        const { clientId } = state.session
        const request = requestOf(this.guest, { clientId, username: null, password: null }, this.#stream)
        return reauthenticate(state, packet, this.home.authenticator, request, (bytes) => this.#send(state, bytes))
      }
      default:
        // [MQTT-3.1.0-2]
        return this.#fail(new ProtocolError(Reason.protocolError, `${packet.kind} out of turn`))
    }
  }

  #subscribe(state: Connected, packet: SubscribePacket): void {
    const { subscriber, settings } = this.home
    const error = subscriber.subscribe(
      state.session,
      packet,
      state.bridge,
      settings,
      ({ packetId, reasons, wantRetained }) => {
        if (this.#state !== state) return
        this.#send(state, encodeSuback(packetId, reasons, state.version))
        subscriber.sendRetained(wantRetained)
      },
    )
    if (error !== null) this.#fail(error)
  }

  #goodbye(state: Connected, packet: DisconnectPacket): void {
    const error = state.changeExpiry(packet, this.home.settings)
    if (error !== null) return this.#fail(error)
    this.#end(state, packet.reason === Reason.success, 'said DISCONNECT')
  }

  // Before CONNECT was accepted.

  #beforeConnected(state: State, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    if (state.at === 'authenticating' && state.enhanced !== null) {
      const answer = state.enhanced.read(buffer, packetStart, bodyStart, end)
      if (answer instanceof ProtocolError) {
        return this.#refuse({ refused: answer.reason, why: answer.message }, state.packet)
      }
      this.#framer.pause()
      return this.#step(state.packet, state.enhanced, answer.data)
    }
    if (state.at !== 'awaiting') return
    const packet = decodeControl(buffer, packetStart, bodyStart, end, null)
    if (packet instanceof ConnectError)
      return this.#refuse({ refused: packet.reason, why: packet.message }, { version: packet.answerAs })
    if (packet instanceof ProtocolError) return this.#fail(packet)
    if (packet.kind !== 'connect') {
      return this.#fail(new ProtocolError(Reason.protocolError, `${packet.kind} before CONNECT`))
    }
    const { guest } = this
    const objected = turnedAway(packet, guest) ?? objection(packet, this.home.settings) ?? noMemory(this.home, packet)
    if (objected !== null) return this.#refuse(objected, packet)
    const { authenticator } = this.home
    const request = requestOf(guest, packet, this.#stream)
    const method = packet.authenticationMethod
    const enhanced = method === null ? null : enhancedBy(authenticator, method, request)
    // [MQTT-4.12.0-1]
    if (method !== null && enhanced === null) {
      return this.#refuse({ refused: Reason.badAuthenticationMethod, why: 'authentication method not known' }, packet)
    }
    this.#state = { at: 'authenticating', packet, enhanced }
    // Nothing is read until the answer is there. [MQTT-3.1.4-6]
    this.#framer.pause()
    if (enhanced !== null) return this.#step(packet, enhanced, packet.authenticationData)
    authenticator.authenticate(request, (result, account = null) => this.#authenticated(packet, result, account))
    if ((this.#state as State).at === 'authenticating') this.#reading.hold(Hold.answer)
  }

  #step(packet: ConnectPacket, enhanced: Enhanced, data: Buffer | null): void {
    enhanced.step(data, (step) => {
      if (this.#state.at !== 'authenticating' || this.#state.packet !== packet) return
      if (step.at === 'refused') return this.#authenticated(packet, 'notAuthorized', null)
      if (step.at === 'done') return this.#authenticated(packet, 'allowed', step.account, step.data)
      const bytes = enhanced.continued(step.data)
      if (bytes.length > (packet.maximumPacketSize ?? bytes.length)) return this.#refuse(NO_ROOM, packet)
      this.#outbox.append(bytes)
      this.#letRead()
    })
    if (this.#state.at === 'authenticating' && enhanced.waiting) this.#reading.hold(Hold.answer)
  }

  #authenticated(packet: ConnectPacket, result: AuthenticationResult, account: string | null, proof?: Buffer): void {
    if (this.#state.at !== 'authenticating' || this.#state.packet !== packet) return
    if (result !== 'allowed') return this.#refuse({ refused: Reason[result], why: result }, packet)
    const waitMs = this.home.fights.waitMs(packet.clientId as ClientId, this.home.sessions)
    if (waitMs > 0) {
      // It is not overdue for that.
      const { clock, deadlines, settings } = this.home
      deadlines.set(this.#deadline, clock.now() + waitMs + settings.limits.connectTimeoutMs)
      return this.#reading.holdFor(Hold.fight, this.home.clock, waitMs, () => this.#claim(packet, account, proof))
    }
    this.#claim(packet, account, proof)
  }

  #letRead(): void {
    if (!this.#reading.held) this.#afterRead(this.#framer.resume())
    else this.#reading.letGo(Hold.answer)
  }

  /** The client may connect: its session, wherever that is, has to come here first. */
  #claim(packet: ConnectPacket, account: string | null, proof?: Buffer): void {
    if (this.#state.at !== 'authenticating') return
    const admitted = admission(this.home, this.guest.terms.name, packet, account, proof)
    if ('refused' in admitted) return this.#refuse(admitted, packet)
    this.home.claims.claim(admitted.claim, (claimed) => {
      this.#open(packet, admitted, claimed)
      this.#letRead()
    })
    if (this.#state.at === 'authenticating') this.#reading.hold(Hold.answer)
  }

  #open(packet: ConnectPacket, { terms, access }: Admission, claimed: Claimed): void {
    const { home } = this
    if (this.#state.at !== 'authenticating' || this.#state.packet !== packet) return
    if (claimed === 'busy') return this.#refuse(ON_ITS_WAY, packet)
    endOlder(home, terms.clientId, this.remote)
    const opened = home.sessions.open(access, terms, packet, claimed)
    const connected = new Connected(this, this.#outbox, packet, terms, opened)
    this.#state = connected
    this.#framer.limit = home.settings.limits.maxPacketSize
    const { session, present, safeAt } = opened
    home.log.debug({ client: terms.clientId, address: this.remote.address, present }, 'client connected')
    // What waited for the client comes behind the CONNACK.
    if (home.safety.isSafe(safeAt)) this.#welcome(connected)
    if (this.#state === connected) home.sessions.attach(session, connected, terms.window)
    if (connected.connack === null) return
    // What a clean start has ended must not be there again after a restart. Nothing comes to the new session meanwhile. A
    // full disk keeps nobody out: if what it has ended comes back, nothing is lost.
    this.#reading.hold(Hold.welcome)
    home.deadlines.set(this.#deadline, this.#heardAt + bounds.connackMs)
    home.safety.when(safeAt, () => this.#welcome(connected))
  }

  #welcome(state: Connected): void {
    const { connack } = state
    if (this.#state !== state || connack === null) return
    state.connack = null
    this.home.deadlines.set(this.#deadline, this.#heardAt + state.silenceMs)
    this.#send(state, connack)
    this.#reading.letGo(Hold.welcome)
  }

  /** Says no and closes. Version null: closes without a word. [MQTT-3.2.2-7] */
  #refuse(
    refusal: Refusal,
    to: { readonly version: Version | null; readonly maximumPacketSize?: number | null },
  ): void {
    tellRefused(this.home, refusal, this.guest.terms.name, this.remote)
    const { version, maximumPacketSize } = to
    const connack = version === null ? null : refusalConnack(refusal, version, maximumPacketSize ?? Infinity)
    if (connack !== null) this.#outbox.append(connack)
    this.#hangUp()
  }

  // The end.

  /** Closes a connection for a reason of ours; an MQTT 5 client is told, and at which other addresses it may try. */
  close(reason: ReasonCode, why: string, elsewhere: readonly Endpoint[] = []): void {
    const state = this.#state
    if (state.at === 'closing' || state.at === 'closed') return
    if (state.at !== 'connected') return this.#hangUp()
    state.incoming?.endRun()
    this.home.tally.count(`mqtt.closed.${reason.toString(16)}`)
    const log = { client: state.session.clientId, address: this.#stream.remote.address, why }
    this.home.log.info(log, 'client disconnected by the broker')
    const farewell = state.farewell(reason, why, elsewhere.map(endpointText).join(' '))
    if (farewell !== null) this.#outbox.append(farewell)
    this.#end(state, false, why)
  }

  #fail(error: ProtocolError): void {
    if (error instanceof PacketTooLarge) tellTooLarge(this.home, error, this.clientId, this.remote)
    this.close(error.reason, error.message)
  }

  #end(state: Connected, said: boolean, why: string): void {
    this.#hangUp()
    this.#leave(state, said, why)
  }

  /** Flushes and closes the stream; it has a while to go through, then it is cut. */
  #hangUp(): void {
    this.#state = CLOSING
    this.#framer.close()
    this.#outbox.flush()
    this.home.deadlines.set(this.#deadline, this.home.clock.now() + bounds.lingerMs)
    this.#stream.end()
  }

  #leave(state: Connected, said: boolean, why: string): void {
    const { session } = state
    this.home.log.debug({ client: session.clientId, why }, 'client gone')
    this.home.sessions.left(session, said)
  }

  #overdue(): void {
    const state = this.#state
    switch (state.at) {
      case 'connected': {
        if (state.connack !== null) {
          this.home.tally.count('mqtt.connack.overdue')
          return this.#welcome(state)
        }
        // While we keep it waiting we cannot hear it.
        const heardAt = this.#reading.paced ? this.home.clock.now() : this.#heardAt
        const dueAt = heardAt + state.silenceMs
        if (dueAt > this.home.clock.now()) return this.home.deadlines.set(this.#deadline, dueAt)
        return this.close(Reason.keepAliveTimeout, 'nothing heard for one and a half times the keep alive')
      }
      case 'awaiting':
      case 'authenticating':
        this.home.tally.count('mqtt.refused.connect-timeout')
        return this.#hangUp()
      case 'closing':
        return this.#stream.destroy()
      case 'closed':
        return
    }
  }

  // Small things.

  /** A control packet that cannot be left out. [MQTT-3.1.2-24] */
  #send(state: Connected, bytes: Buffer): void {
    this.home.tally.answersOut++
    if (bytes.length <= state.sender.maximumPacketSize) this.#outbox.append(bytes)
    else this.close(Reason.packetTooLarge, 'an answer is larger than the maximum packet size')
  }

  #afterRead(error: ProtocolError | null): void {
    if (this.#state.at === 'connected') this.#state.incoming?.endRun()
    if (error !== null) return this.#fail(error)
    // A client that does not take its answers is not asked for more.
    if (!this.#reading.held && this.#state.at === 'connected' && this.#outbox.pendingBytes > bounds.outputPauseBytes) {
      this.home.tally.count('mqtt.paused')
      this.#reading.hold(Hold.output)
    }
  }

  #goOn(): boolean {
    this.#heardAt = this.home.clock.now()
    this.#afterRead(this.#framer.resume())
    const state = this.#state
    return state.at === 'connected' || (state.at === 'authenticating' && state.enhanced?.waiting === false)
  }
}
