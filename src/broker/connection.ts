// One MQTT connection, from the accepted stream to its end.
//
//   awaiting CONNECT -> authenticating -> connected -> closing -> closed
//
// Reads what comes, decides what state follows, and leaves the rest to those whose name it bears. A run of QoS 0 packets
// of one topic in one read is gathered and goes to each receiver as one piece.

import { ProtocolError } from '../base/errors.ts'
import { Outbox } from '../base/outbox.ts'
import type { ByteStream, StreamHandler } from '../base/ports/streams.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { AckView, PINGRESP } from '../wire/mqtt/acks.ts'
import { decodeControl } from '../wire/mqtt/control.ts'
import { encodeConnack, encodeDisconnect, encodeSuback, encodeUnsuback } from '../wire/mqtt/encode.ts'
import { Framer, type PacketSink } from '../wire/mqtt/framing.ts'
import type { ConnackValues, ConnectPacket, DisconnectPacket, SubscribePacket, Version } from '../wire/mqtt/packets.ts'
import { PublishView } from '../wire/mqtt/publish.ts'
import { ConnectError } from '../wire/mqtt/strict.ts'
import { IncomingAliases } from './aliases.ts'
import { mayPublish } from './authorize.ts'
import { bounds } from './bounds.ts'
import { cappedExpirySec, objection, type Terms, termsFor } from './connect.ts'
import { Deadline } from './deadlines.ts'
import { deliverRun, takesRuns } from './deliver.ts'
import type { ConnectionHome } from './home.ts'
import type { AuthenticationResult } from './ports.ts'
import type { Receivers } from './receivers.ts'
import { Sender } from './sender.ts'
import type { Session, SessionConnection } from './session.ts'

const PUBLISH = 3
const PUBACK = 4
const PUBCOMP = 7
/** The first byte of a PUBLISH with QoS 0, without DUP and RETAIN: good for every receiver as it is. */
const PLAIN_PUBLISH = 0x30

/** A connected client; what its session sees of the connection. */
class Connected implements SessionConnection {
  readonly at = 'connected'
  readonly session: Session
  readonly sender: Sender
  readonly version: Version
  readonly bridge: boolean
  /** QoS 2 messages that the client may have begun at once: what it was told, or our bound where it cannot be told. */
  readonly inboundMax: number
  /** Milliseconds of silence allowed. */
  readonly silenceMs: number
  /** What the CONNECT said, for what a DISCONNECT may still change. */
  readonly expirySec: number
  readonly aliases: IncomingAliases
  readonly #connection: Connection

  constructor(connection: Connection, packet: ConnectPacket, terms: Terms, session: Session, sender: Sender) {
    const { limits, sessions } = connection.home.settings
    this.#connection = connection
    this.session = session
    this.sender = sender
    this.version = packet.version
    this.bridge = packet.bridge
    this.inboundMax = packet.version === 5 ? limits.maxInflight : sessions.queue.maxMessages
    this.silenceMs = terms.silenceMs
    this.expirySec = packet.sessionExpirySec
    this.aliases = new IncomingAliases(limits.maxTopicAlias)
  }

  close(reason: ReasonCode, why: string): void {
    this.#connection.close(reason, why)
  }

  closeSoon(reason: ReasonCode, why: string): void {
    this.#connection.home.clock.soon(() => this.#connection.close(reason, why))
  }
}

type State =
  | { readonly at: 'awaiting' }
  | { readonly at: 'authenticating'; readonly packet: ConnectPacket }
  | Connected
  | { readonly at: 'closing' }
  | { readonly at: 'closed' }

const AWAITING: State = { at: 'awaiting' }
const CLOSING: State = { at: 'closing' }
const CLOSED: State = { at: 'closed' }

/** The acknowledgement in hand; one for all, because handling one is never interrupted. */
const ack = new AckView()

export class Connection implements StreamHandler, PacketSink {
  readonly home: ConnectionHome
  readonly listener: string
  readonly #stream: ByteStream
  readonly #outbox: Outbox
  readonly #framer: Framer
  readonly #deadline: Deadline
  #state: State = AWAITING
  #heardAt: number
  /** Reading is stopped: by authentication, or because the client does not take what it is answered. */
  #paused = false
  /** Made with the first PUBLISH: many clients only listen. */
  #view: PublishView | null = null
  /** Those of the last topic that came as text, and whether the client may publish to it. */
  #receivers: Receivers | null = null
  #allowed = false
  /** The run being gathered: packets in bytes [start, end) of the buffer being read; null: none. */
  #run: Buffer | null = null
  #runStart = 0
  #runEnd = 0
  #runCount = 0

  constructor(home: ConnectionHome, stream: ByteStream, listener: string) {
    this.home = home
    this.listener = listener
    this.#stream = stream
    this.#outbox = new Outbox(home.turn, stream)
    this.#framer = new Framer(this, Math.min(bounds.connectPacketBytes, home.settings.limits.maxPacketSize))
    this.#heardAt = home.clock.now()
    this.#deadline = new Deadline(() => this.#overdue())
    home.deadlines.set(this.#deadline, this.#heardAt + home.settings.limits.connectTimeoutMs)
    stream.open(this)
  }

  get clientId(): string | null {
    return this.#state.at === 'connected' ? this.#state.session.clientId : null
  }

  // The stream's side.

  received(buffer: Buffer, start: number, end: number): void {
    this.#heardAt = this.home.clock.now()
    this.#afterRead(this.#framer.push(buffer, start, end))
  }

  drained(): void {
    if (this.#state.at !== 'connected') return
    if (this.#paused) this.#read()
    if (this.#state.at === 'connected') this.#state.session.pump()
  }

  closed(why: string | null): void {
    const state = this.#state
    if (state.at === 'closed') return
    this.#become(CLOSED)
    this.home.deadlines.clear(this.#deadline)
    this.#framer.close()
    this.#outbox.close()
    this.home.gone(this)
    if (state.at === 'connected') this.#leave(state, false, why ?? 'connection closed by the client')
  }

  // Packets.

  packet(buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const state = this.#state
    if (state.at !== 'connected') return this.#beforeConnected(state, buffer, packetStart, bodyStart, end)
    const type = buffer[packetStart]! >> 4
    if (type === PUBLISH) return this.#publish(state, buffer, packetStart, bodyStart, end)
    this.#endRun()
    if (type >= PUBACK && type <= PUBCOMP) this.#acknowledged(state, buffer, packetStart, bodyStart, end)
    else this.#control(state, buffer, packetStart, bodyStart, end)
  }

  #publish(state: Connected, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const view = (this.#view ??= new PublishView())
    const error = view.read(buffer, packetStart, bodyStart, end, state.version)
    if (error !== null) return this.#fail(error)
    let receivers = this.#receivers
    if (!view.sameTopic || view.topicAlias > 0 || receivers === null || !this.home.receivers.isCurrent(receivers)) {
      const found = this.#find(state, view, buffer)
      if (found instanceof ProtocolError) return this.#fail(found)
      receivers = found
    }
    this.home.tally.messagesIn++
    if (buffer[packetStart] === PLAIN_PUBLISH && view.passThrough && this.#allowed) {
      if (this.#run === buffer && this.#runEnd === packetStart && this.#receivers === receivers) {
        this.#runEnd = end
        this.#runCount++
        return
      }
      this.#endRun()
      if (end - packetStart <= bounds.runPacketBytes && takesRuns(receivers, state.sender.wire)) {
        this.#run = buffer
        this.#runStart = packetStart
        this.#runEnd = end
        this.#runCount = 1
        return
      }
    } else {
      this.#endRun()
    }
    this.#accept(state, view, buffer, packetStart, end, receivers)
  }

  /** The receivers of the packet's topic, whether it came as text or as alias. */
  #find(state: Connected, view: PublishView, buffer: Buffer): Receivers | ProtocolError {
    const { receivers: cache, settings } = this.home
    const alias = view.topicAlias
    if (alias > 0 && !state.aliases.allows(alias)) return new ProtocolError(Reason.topicAliasInvalid, 'alias too large')
    // A run in hand has the receivers of the topic before.
    this.#endRun()
    let found: Receivers
    if (view.topicStart === view.topicEnd) {
      const meant = state.aliases.get(alias)
      if (meant === undefined) return new ProtocolError(Reason.protocolError, 'an alias that stands for nothing')
      found = cache.isCurrent(meant) ? meant : cache.of(meant.topic)
      this.#receivers = null
    } else {
      const known = cache.ofText(view.topic(buffer), settings.limits.maxTopicLevels)
      if (known instanceof ProtocolError) return known
      found = known
      this.#receivers = found
    }
    this.#allowed = mayPublish(found.topic)
    if (alias > 0) state.aliases.set(alias, found)
    return found
  }

  #accept(state: Connected, view: PublishView, buffer: Buffer, start: number, end: number, receivers: Receivers): void {
    const { limits } = this.home.settings
    const { publisher, tally } = this.home
    const { session, sender } = state
    // [MQTT-3.2.2-11] [MQTT-3.2.2-14] A client that was told must not.
    if (view.qos > limits.maxQoS) return this.close(Reason.qosNotSupported, `QoS ${view.qos} not supported`)
    if (view.retain && !limits.retain) return this.close(Reason.retainNotSupported, 'retained messages not supported')
    if (view.qos === 2) return this.#begin(state, view, buffer, start, end, receivers)
    if (!this.#allowed) {
      tally.drop('not-authorized')
      // [MQTT3-3.3.5-2] 3.1.1 has no word for it, and its PUBACK says only that we are done with the message.
      if (view.qos === 1) this.#acknowledge(sender, 'puback', view.packetId, Reason.notAuthorized)
      return
    }
    const reached = publisher.packet(view, buffer, start, end, sender.wire, receivers, session.clientId)
    if (view.qos === 1) {
      this.#acknowledge(sender, 'puback', view.packetId, reached === 0 ? Reason.noMatchingSubscribers : Reason.success)
    }
  }

  /** QoS 2: kept until PUBREL. */
  #begin(state: Connected, view: PublishView, buffer: Buffer, start: number, end: number, receivers: Receivers): void {
    const { publisher, tally, settings } = this.home
    const { session, sender } = state
    const { inbound } = session
    const { packetId } = view
    // [MQTT-4.3.3-10] A PUBLISH sent again is answered again, and is the same message.
    if (inbound.has(packetId)) {
      tally.count('mqtt.publish.repeated')
      return this.#acknowledge(sender, 'pubrec', packetId, Reason.success)
    }
    // [MQTT-3.3.4-7]
    if (inbound.size >= state.inboundMax || inbound.bytes > settings.sessions.queue.maxBytes) {
      return this.close(Reason.receiveMaximumExceeded, 'more QoS 2 messages begun than allowed')
    }
    if (!this.#allowed) {
      tally.drop('not-authorized')
      // [MQTT-4.3.3-9] In MQTT 5 the exchange ends here; in 3.1.1 it goes on, with nothing to release.
      if (state.version === 5) return this.#acknowledge(sender, 'pubrec', packetId, Reason.notAuthorized)
      return this.#acknowledge(sender, 'pubrec', packetId, Reason.success)
    }
    inbound.begin(packetId, publisher.kept(view, buffer, start, end, sender.wire, receivers, session.clientId))
    const nobody = receivers.nobody
    this.#acknowledge(sender, 'pubrec', packetId, nobody ? Reason.noMatchingSubscribers : Reason.success)
  }

  /** The one way an acknowledgement goes to a publisher. */
  #acknowledge(sender: Sender, kind: 'puback' | 'pubrec' | 'pubcomp', packetId: number, reason: number): void {
    sender.ack(kind, packetId, reason)
  }

  #acknowledged(state: Connected, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const error = ack.read(buffer, packetStart, bodyStart, end, state.version)
    if (error !== null) return this.#fail(error)
    const { session, sender } = state
    const { kind, packetId, reason } = ack
    if (kind === 'pubrel') {
      const message = session.inbound.release(packetId)
      if (message !== null) this.home.publisher.message(message)
      // [MQTT-4.3.3-11]
      const unknown = message === null ? Reason.packetIdentifierNotFound : Reason.success
      return this.#acknowledge(sender, 'pubcomp', packetId, unknown)
    }
    const became =
      kind === 'puback'
        ? session.puback(packetId)
        : kind === 'pubrec'
          ? session.pubrec(packetId, reason)
          : session.pubcomp(packetId)
    if (became === 'out-of-turn') {
      return this.#fail(new ProtocolError(Reason.protocolError, `a ${kind} that is not what its message waits for`))
    }
    if (became === 'unknown') this.home.tally.count(`mqtt.unknown.${kind}`)
    if (kind === 'pubrec' && reason < Reason.unspecifiedError) {
      // [MQTT-4.3.3-4]
      sender.ack('pubrel', packetId, became === 'unknown' ? Reason.packetIdentifierNotFound : Reason.success)
    }
  }

  #control(state: Connected, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    const packet = decodeControl(buffer, packetStart, bodyStart, end, state.version)
    if (packet instanceof ProtocolError) return this.#fail(packet)
    switch (packet.kind) {
      case 'pingreq':
        return this.#outbox.append(PINGRESP)
      case 'subscribe':
        return this.#subscribe(state, packet)
      case 'unsubscribe': {
        const reasons = this.home.subscriber.unsubscribe(state.session, packet)
        return this.#send(state, encodeUnsuback(packet.packetId, reasons, state.version))
      }
      case 'disconnect':
        return this.#goodbye(state, packet)
      default:
        // [MQTT-3.1.0-2] [MQTT-4.12.0-7]
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
    if (packet.sessionExpirySec !== null) {
      // A session that was to end with its connection cannot be prolonged now (MQTT 3.14.2.2.2).
      if (state.expirySec === 0 && packet.sessionExpirySec > 0) {
        return this.#fail(
          new ProtocolError(Reason.protocolError, 'a DISCONNECT that prolongs a session that was to end'),
        )
      }
      state.session.expirySec = cappedExpirySec(packet.sessionExpirySec, this.home.settings)
    }
    this.#end(state, packet.reason === Reason.success, 'said DISCONNECT')
  }

  // Before CONNECT was accepted.

  #beforeConnected(state: State, buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    if (state.at !== 'awaiting') return
    const packet = decodeControl(buffer, packetStart, bodyStart, end, null)
    if (packet instanceof ConnectError) return this.#refuse(packet.reason, packet.message, packet.answerAs)
    if (packet instanceof ProtocolError) return this.#fail(packet)
    if (packet.kind !== 'connect') {
      return this.#fail(new ProtocolError(Reason.protocolError, `${packet.kind} before CONNECT`))
    }
    const objected = objection(packet, this.home.settings)
    if (objected !== null) return this.#refuse(objected.refused, objected.why, packet.version)
    this.#become({ at: 'authenticating', packet })
    this.#framer.pause()
    this.home.authenticator.authenticate(
      {
        clientId: packet.clientId,
        username: packet.username,
        password: packet.password,
        remoteAddress: this.#stream.remote.address,
        localAddress: this.#stream.local.address,
        listener: this.listener,
      },
      (result) => this.#authenticated(packet, result),
    )
    // Nothing is read until the answer is there. [MQTT-3.1.4-6]
    if ((this.#state as State).at === 'authenticating') this.#pause()
  }

  #authenticated(packet: ConnectPacket, result: AuthenticationResult): void {
    if (this.#state.at !== 'authenticating' || this.#state.packet !== packet) return
    if (result !== 'allowed') return this.#refuse(Reason[result], result, packet.version)
    this.#open(packet)
    this.#read()
  }

  #open(packet: ConnectPacket): void {
    const { home } = this
    const { limits } = home.settings
    const terms = termsFor(packet, home.settings, home.madeUpClientId)
    // [MQTT-3.1.4-3] The older connection is told and closed, and its session as it then stands is what we resume.
    const older = home.sessions.get(terms.clientId)?.connection
    if (older !== null && older !== undefined) {
      home.tally.count('mqtt.takeover')
      older.close(Reason.sessionTakenOver, 'its client id connected again')
    }
    const { session, present } = home.sessions.open(terms.clientId, packet.cleanStart, terms.expirySec, packet.will)
    const aliasMax = Math.min(packet.topicAliasMaximum, limits.maxTopicAlias)
    const sender = new Sender(this.#outbox, packet.version, packet.maximumPacketSize, aliasMax, home.tally)
    const connected = new Connected(this, packet, terms, session, sender)
    this.#become(connected)
    this.#framer.limit = limits.maxPacketSize
    home.deadlines.set(this.#deadline, this.#heardAt + terms.silenceMs)
    const connack = encodeConnack({ ...terms.told, sessionPresent: present, reason: Reason.success }, packet.version)
    home.log.debug({ client: terms.clientId, address: this.#stream.remote.address, present }, 'client connected')
    this.#send(connected, connack!)
    // What waited for the client comes behind the CONNACK.
    if (this.#state === connected) session.attach(connected, terms.window)
  }

  /** Says no and closes. `answerAs` null: closes without a word. [MQTT-3.2.2-7] */
  #refuse(reason: ReasonCode, why: string, answerAs: Version | null): void {
    const { tally, log } = this.home
    tally.count(`mqtt.refused.${reason.toString(16)}`)
    log.info({ address: this.#stream.remote.address, listener: this.listener, why }, 'client refused')
    const values: ConnackValues = { sessionPresent: false, reason, reasonString: why }
    const connack = answerAs === null ? null : encodeConnack(values, answerAs)
    if (connack !== null) this.#outbox.append(connack)
    this.#hangUp()
  }

  // The end.

  /** Closes a connection for a reason of ours; an MQTT 5 client is told. */
  close(reason: ReasonCode, why: string): void {
    const state = this.#state
    if (state.at === 'closing' || state.at === 'closed') return
    this.#endRun()
    if (state.at !== 'connected') return this.#hangUp()
    this.home.tally.count(`mqtt.closed.${reason.toString(16)}`)
    const log = { client: state.session.clientId, address: this.#stream.remote.address, why }
    this.home.log.info(log, 'client disconnected by the broker')
    if (state.version === 5) {
      let bytes = encodeDisconnect({ reason, reasonString: why })
      // [MQTT-3.14.2-3]
      if (bytes.length > state.sender.maximumPacketSize) bytes = encodeDisconnect({ reason })
      if (bytes.length <= state.sender.maximumPacketSize) this.#outbox.append(bytes)
    }
    this.#end(state, false, why)
  }

  #fail(error: ProtocolError): void {
    this.close(error.reason, error.message)
  }

  #end(state: Connected, said: boolean, why: string): void {
    this.#hangUp()
    this.#leave(state, said, why)
  }

  /** Flushes and closes the stream; it has a while to go through, then it is cut. */
  #hangUp(): void {
    this.#become(CLOSING)
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
        const dueAt = this.#heardAt + state.silenceMs
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

  #become(state: State): void {
    this.#state = state
    if (state.at !== 'connected') this.#receivers = null
  }

  /** A control packet that cannot be left out. [MQTT-3.1.2-24] */
  #send(state: Connected, bytes: Buffer): void {
    if (bytes.length <= state.sender.maximumPacketSize) this.#outbox.append(bytes)
    else this.close(Reason.packetTooLarge, 'an answer is larger than the maximum packet size')
  }

  #endRun(): void {
    const run = this.#run
    if (run === null) return
    this.#run = null
    deliverRun(this.#receivers!, run, this.#runStart, this.#runEnd, this.#runCount)
  }

  #afterRead(error: ProtocolError | null): void {
    this.#endRun()
    if (error !== null) return this.#fail(error)
    // A client that does not take its answers is not asked for more.
    if (!this.#paused && this.#state.at === 'connected' && this.#outbox.pendingBytes > bounds.outputPauseBytes) {
      this.home.tally.count('mqtt.paused')
      this.#framer.pause()
      this.#pause()
    }
  }

  #pause(): void {
    this.#paused = true
    this.#stream.pause()
  }

  /** Goes on reading after a pause, with what was kept first. */
  #read(): void {
    const paused = this.#paused
    this.#paused = false
    this.#afterRead(this.#framer.resume())
    if (paused && !this.#paused && this.#state.at === 'connected') this.#stream.resume()
  }
}
