// What a connected client publishes: topics and aliases found, a run of QoS 0 packets of one topic gathered and handed to
// each receiver as one piece, QoS 1 acknowledged, QoS 2 kept until it is released.

import { ProtocolError } from '../base/errors.ts'
import { Reason } from '../base/reasons.ts'
import type { Message } from '../wire/message.ts'
import type { Version } from '../wire/mqtt/packets.ts'
import { PublishView } from '../wire/mqtt/publish.ts'
import { IncomingAliases } from './aliases.ts'
import { bounds } from './bounds.ts'
import { deliverRun, takesRuns } from './deliver.ts'
import type { ConnectionHome } from './home.ts'
import type { Receivers } from './receivers.ts'
import type { Sender } from './sender.ts'
import type { Session } from './session.ts'

/** The first byte of a PUBLISH with QoS 0, without DUP and RETAIN: good for every receiver as it is. */
const PLAIN_PUBLISH = 0x30

export class Incoming {
  readonly #home: ConnectionHome
  readonly #session: Session
  readonly #sender: Sender
  readonly #version: Version
  /** QoS 2 messages that the client may have begun at once: what it was told, or our bound where it cannot be told. */
  readonly #begunMax: number
  readonly #view = new PublishView()
  readonly #aliases: IncomingAliases
  /** Those of the last topic that came as text, and whether the client may publish to it. */
  #receivers: Receivers | null = null
  #allowed = false
  /** The run being gathered, for `#receivers`: packets in bytes [start, end) of the buffer being read; null: none. */
  #run: Buffer | null = null
  #runStart = 0
  #runEnd = 0
  #runCount = 0

  constructor(home: ConnectionHome, session: Session, sender: Sender) {
    const { limits, sessions } = home.settings
    this.#home = home
    this.#session = session
    this.#sender = sender
    this.#version = sender.version
    this.#begunMax = sender.version === 5 ? limits.maxInflight : sessions.queue.maxMessages
    this.#aliases = new IncomingAliases(limits.maxTopicAlias)
    sender.takeBack = (packetId) => this.#takeBack(packetId)
  }

  /** A PUBLISH in bytes [packetStart, end) of `buffer`. An error closes the connection. */
  publish(buffer: Buffer, packetStart: number, bodyStart: number, end: number): ProtocolError | null {
    const view = this.#view
    const error = view.read(buffer, packetStart, bodyStart, end, this.#version)
    if (error !== null) return error
    let receivers = this.#receivers
    if (!view.sameTopic || view.topicAlias > 0 || receivers === null || !this.#home.receivers.isCurrent(receivers)) {
      const found = this.#find(buffer)
      if (found instanceof ProtocolError) return found
      receivers = found
    }
    this.#home.tally.messagesIn++
    if (buffer[packetStart] === PLAIN_PUBLISH && view.passThrough && this.#allowed) {
      if (this.#run === buffer && this.#runEnd === packetStart) {
        this.#runEnd = end
        this.#runCount++
        return null
      }
      this.endRun()
      if (end - packetStart <= bounds.runPacketBytes && takesRuns(receivers, this.#sender.wire)) {
        this.#run = buffer
        this.#runStart = packetStart
        this.#runEnd = end
        this.#runCount = 1
        return null
      }
    } else {
      this.endRun()
    }
    return this.#accept(buffer, packetStart, end, receivers)
  }

  /** Hands over what was gathered; before anything else is done for this client, and at the end of each read. */
  endRun(): void {
    const run = this.#run
    if (run === null) return
    this.#run = null
    deliverRun(this.#receivers!, run, this.#runStart, this.#runEnd, this.#runCount)
  }

  /** PUBREL: the message goes to its receivers. */
  release(packetId: number): void {
    const { safety, publisher, keeping, tally } = this.#home
    const { inbound, kept } = this.#session
    const before = safety.position
    const begun = inbound.release(packetId)
    const use = begun === null ? inbound.takeReleased(packetId) : inbound.takeUse(packetId)
    const message = begun ?? use?.record.message ?? null
    // [MQTT-4.3.3-13] The exchange goes on though the message has expired meanwhile; nobody gets it. [MQTT-3.3.2-5]
    if (message !== null && this.#hasExpired(message)) tally.drop('expired')
    else if (begun !== null) publisher.message(begun)
    else if (message !== null) publisher.again(message)
    if (use !== null && safety.asked > before) keeping.released(use, safety.position)
    else keeping.done(use)
    const reason = message === null ? Reason.packetIdentifierNotFound : Reason.success
    // What ended the exchange before may not be safe yet; only a kept session can have heard of that.
    const since = message === null && kept !== null ? 0 : before
    // [MQTT-4.3.3-11]
    this.#acknowledge('pubcomp', packetId, reason, since)
  }

  /** The disk takes no more, and the client is told so: the exchange is over before it began. */
  #takeBack(packetId: number): void {
    const { inbound } = this.#session
    if (inbound.release(packetId) !== null) this.#home.tally.drop('disk')
    this.#home.keeping.done(inbound.takeUse(packetId))
  }

  #hasExpired({ expiresAt }: Message): boolean {
    return expiresAt !== Number.POSITIVE_INFINITY && expiresAt <= this.#home.clock.now()
  }

  /** The receivers of the packet's topic, whether it came as text or as alias. */
  #find(buffer: Buffer): Receivers | ProtocolError {
    const view = this.#view
    const { receivers: cache, settings } = this.#home
    const alias = view.topicAlias
    if (alias > 0 && !this.#aliases.allows(alias))
      return error(Reason.topicAliasInvalid, 'a topic alias over our maximum')
    // The run in hand has the receivers of the topic before.
    this.endRun()
    let found: Receivers
    if (view.topicStart === view.topicEnd) {
      const meant = this.#aliases.get(alias)
      if (meant === undefined) return error(Reason.protocolError, 'a topic alias that stands for nothing')
      found = cache.isCurrent(meant) ? meant : cache.of(meant.topic)
      this.#receivers = null
    } else {
      const known = cache.ofText(view.topic(buffer), settings.limits.maxTopicLevels)
      if (known instanceof ProtocolError) return known
      found = known
      this.#receivers = found
    }
    this.#allowed = this.#session.access.mayPublish(found.topic)
    if (alias > 0) this.#aliases.set(alias, found)
    return found
  }

  #accept(buffer: Buffer, start: number, end: number, receivers: Receivers): ProtocolError | null {
    const view = this.#view
    const { limits } = this.#home.settings
    // [MQTT-3.2.2-9] A client that was told must not.
    if (view.qos > limits.maxQoS) return error(Reason.qosNotSupported, `QoS ${view.qos} is not supported`)
    if (view.retain && !limits.retain) return error(Reason.retainNotSupported, 'retained messages are not supported')
    const { memory, safety } = this.#home
    if ((memory.full && (view.qos > 0 || view.retain)) || (safety.full && view.qos > 0)) {
      const wrong = this.#noRoom(memory.full ? 'memory' : 'disk')
      if (wrong !== 'take') return wrong
    }
    if (view.qos === 2) return this.#begin(buffer, start, end, receivers)
    if (!this.#allowed) {
      this.#home.tally.drop('not-authorized')
      // [MQTT3-3.3.5-2] 3.1.1 has no word for it, and its PUBACK says only that we are done with the message.
      if (view.qos === 1) this.#acknowledge('puback', view.packetId, Reason.notAuthorized, null)
      return null
    }
    const { publisher } = this.#home
    const before = safety.position
    const reached = publisher.packet(view, buffer, start, end, this.#sender.wire, receivers, this.#session.clientId)
    if (view.qos === 1) {
      this.#acknowledge('puback', view.packetId, reached === 0 ? Reason.noMatchingSubscribers : Reason.success, before)
    }
    return null
  }

  /** Memory or disk is full. 'take': an exchange begun before that goes on. */
  #noRoom(what: 'memory' | 'disk'): ProtocolError | null | 'take' {
    const { qos, packetId } = this.#view
    if (qos === 2 && this.#session.inbound.has(packetId)) return 'take'
    this.#home.tally.drop(what)
    if (qos === 0) return null
    // 3.x has no word for it, and its PUBACK would say that the message is ours: without one the client sends it again.
    if (this.#version !== 5) return error(Reason.quotaExceeded, `${what} is full`)
    this.#acknowledge(qos === 1 ? 'puback' : 'pubrec', packetId, Reason.quotaExceeded, null)
    return null
  }

  /** QoS 2: kept until PUBREL. */
  #begin(buffer: Buffer, start: number, end: number, receivers: Receivers): ProtocolError | null {
    const view = this.#view
    const { publisher, tally, settings, safety, keeping } = this.#home
    const { inbound, clientId } = this.#session
    const { packetId } = view
    // [MQTT-4.3.3-10] A PUBLISH sent again is answered again, and is the same message.
    if (inbound.has(packetId)) {
      tally.count('mqtt.publish.repeated')
      this.#acknowledge('pubrec', packetId, Reason.success, this.#session.kept === null ? null : 0)
      return null
    }
    // [MQTT-3.3.4-7]
    if (inbound.size >= this.#begunMax) return error(Reason.receiveMaximumExceeded, 'more QoS 2 messages than allowed')
    if (inbound.bytes > settings.sessions.queue.maxBytes)
      return error(Reason.quotaExceeded, 'too much QoS 2 unreleased')
    if (!this.#allowed) {
      tally.drop('not-authorized')
      // [MQTT-4.3.3-9] In MQTT 5 the exchange ends here; in 3.1.1 it goes on, with nothing to release.
      this.#acknowledge('pubrec', packetId, this.#version === 5 ? Reason.notAuthorized : Reason.success, null)
      return null
    }
    const before = safety.position
    // [MQTT-4.3.3-6] A client that begins another under the id has heard that the one released before is safe.
    keeping.done(inbound.takeReleased(packetId))
    const message = publisher.kept(view, buffer, start, end, this.#sender.wire, receivers, clientId)
    inbound.begin(packetId, message, keeping.begun(this.#session, packetId, message))
    this.#acknowledge('pubrec', packetId, receivers.nobody ? Reason.noMatchingSubscribers : Reason.success, before)
    return null
  }

  /**
   * The one way an acknowledgement goes to a publisher: when all that was staged since position `since` is safe. Null:
   * it promises nothing.
   */
  #acknowledge(kind: 'puback' | 'pubrec' | 'pubcomp', packetId: number, reason: number, since: number | null): void {
    const { safety } = this.#home
    const position = since === null || safety.position === since ? 0 : safety.position
    safety.ack(this.#sender, kind, packetId, reason, position)
  }
}

const error = (reason: ProtocolError['reason'], message: string) => new ProtocolError(reason, message)
