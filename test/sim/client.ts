// A simulated MQTT client that speaks real bytes: mqtt-packet for all packets but PUBLISH. It keeps the rules of its
// side, answers what it must answer, and writes everything down in the ledger.

import { generate, type IConnectPacket, type Packet, type Parser, parser } from 'mqtt-packet'
import type { HostError } from '../../src/base/errors.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import type { SimClock } from './clock.ts'
import type { Connection, Ledger, Sent, Subscription } from './ledger.ts'
import { frame, noProperties, readPublish, writePublish } from './publish.ts'
import { SimStream } from './stream.ts'
import type { SimStreams } from './streams.ts'
import { Unanswered } from './unanswered.ts'
import type { ClientPlan, PublishWish, SubscribeWish, Target } from './wishes.ts'

const WILL: Omit<PublishWish, 'topic'> = {
  qos: 1,
  retain: false,
  payloadBytes: 20,
  properties: noProperties,
  expirySec: null,
  alias: false,
}

/** The end of a connection has certainly reached the broker after this, if it can. */
const HEARD_MS = 20

/** What an MQTT 5 client asks for; one of 3.1.1 gets the longest there is. */
export const SESSION_EXPIRY_SEC = 3600

/** Below the broker's Receive Maximum. */
const INFLIGHT_MAX = 32

/** Of what a client wants said when it is gone. */
function willPacket({ topic, payload, qos, retain }: Sent, delaySec: number): NonNullable<IConnectPacket['will']> {
  const properties = delaySec === 0 ? {} : { properties: { willDelayInterval: delaySec } }
  return { topic, payload, qos, retain, ...properties }
}

export class SimClient {
  readonly plan: ClientPlan
  readonly #clock: SimClock
  readonly #streams: SimStreams
  readonly #ledger: Ledger
  readonly #parser: Parser
  #stream: ByteStream | null = null
  #connection: Connection | null = null
  #heard: Buffer = Buffer.alloc(0)
  readonly #unanswered = new Unanswered()
  /** QoS 2 packet ids received and not released: they outlive the connection, with the session. */
  readonly #awaitingRelease = new Set<number>()
  readonly #aliasesIn = new Map<number, string>()
  readonly #aliasesOut = new Map<string, number>()
  #aliasMaximum = 0
  #will: Sent | null = null
  #giveUp: (() => void) | null = null
  /** Told of the end of the connection, whoever ended it. */
  onClosed: () => void = () => {}
  /** Whether a node has a reason to say no now. */
  mayBeRefused: (node: number) => boolean = () => false
  /** Told of each CONNACK that lets it in; `present`: to its session. */
  onConnected: (present: boolean) => void = () => {}
  /** Told of each SUBACK, in the same turn. */
  onGranted: (filter: string) => void = () => {}

  constructor(plan: ClientPlan, clock: SimClock, streams: SimStreams, ledger: Ledger) {
    this.plan = plan
    this.#clock = clock
    this.#streams = streams
    this.#ledger = ledger
    this.#parser = parser({ protocolVersion: plan.version })
    this.#parser.on('packet', (packet: Packet) => this.#packet(packet))
    this.#parser.on('error', (error: Error) => this.#complain(`sent what mqtt-packet cannot read: ${error.message}`))
  }

  get connected(): boolean {
    return this.#connection?.connectedAt != null && this.#connection.closedAt === null
  }

  /** Where it is connected or connecting, or null. */
  get connection(): Connection | null {
    return this.#connection
  }

  connect(to: Target): void {
    if (this.#connection !== null) return
    const connection: Connection = {
      client: this.plan.id,
      version: this.plan.version,
      node: to.node,
      run: to.run,
      number: this.#ledger.connections.length,
      cleanStart: this.plan.clean || to.cleanStart === true,
      // With 3.1.1 a clean session is over with its connection.
      persistent: !this.plan.clean && !(to.cleanStart === true && this.plan.version === 4),
      askedAt: null,
      connectedAt: null,
      sessionPresent: false,
      closedAt: null,
      deserted: null,
    }
    this.#ledger.connections.push(connection)
    this.#note(`connects to node ${to.node}, run ${to.run}${connection.cleanStart ? ', for a new session' : ''}`)
    this.#connection = connection
    this.#giveUp = this.#streams.dial(to.endpoint, 5000, (result) => this.#dialled(connection, result))
  }

  /** DISCONNECT, then the end. */
  disconnect(): void {
    if (!this.connected) return
    this.#send({ cmd: 'disconnect', ...(this.plan.version === 5 ? { reasonCode: 0 } : {}) })
    this.#stream!.end()
    this.#closed('discarded')
  }

  /** The connection breaks without a word. */
  drop(): void {
    this.#giveUp?.()
    this.#stream?.destroy()
    this.#closed()
  }

  /** Leaves the connection as it is: it connects elsewhere, and the brokers have to see to it. */
  desert(): void {
    const stream = this.#stream
    if (!this.connected || !(stream instanceof SimStream)) return
    this.#connection!.deserted = { endedAt: null, lostTouch: () => stream.lostTouch || stream.peer.lostTouch }
    this.#closed('waiting')
  }

  subscribe(wishes: readonly SubscribeWish[]): void {
    if (!this.connected) return
    const connection = this.#connection!
    const packetId = this.#unanswered.packetId()
    const subscriptions = wishes.map((wish): Subscription => {
      this.#end(wish.filter)
      const { filter, qos, noLocal, retainAsPublished, id } = wish
      return {
        client: this.plan.id,
        connection,
        persistent: connection.persistent,
        filter,
        qos,
        noLocal,
        retainAsPublished,
        id,
        askedAt: this.#clock.now(),
        grantedAt: null,
        endAskedAt: null,
        endedAt: null,
      }
    })
    this.#ledger.subscriptions.push(...subscriptions)
    this.#note(`subscribes to ${wishes.map((wish) => wish.filter).join(' and ')}`)
    this.#unanswered.subscribing.set(packetId, subscriptions)
    const v5 = this.plan.version === 5
    const id = wishes[0]?.id ?? null
    this.#send({
      cmd: 'subscribe',
      messageId: packetId,
      subscriptions: wishes.map((wish) => ({
        topic: wish.filter,
        qos: wish.qos,
        // No retained message on subscribing for those who ask for the flag as published: one copy, one meaning.
        ...(v5 ? { nl: wish.noLocal, rap: wish.retainAsPublished, rh: wish.retainAsPublished ? 2 : 0 } : {}),
      })),
      ...(v5 && id !== null ? { properties: { subscriptionIdentifier: id } } : {}),
    })
  }

  unsubscribe(filter: string): void {
    if (!this.connected) return
    const packetId = this.#unanswered.packetId()
    this.#note(`unsubscribes from ${filter}`)
    this.#unanswered.unsubscribing.set(packetId, this.#end(filter))
    this.#send({ cmd: 'unsubscribe', messageId: packetId, unsubscriptions: [filter] })
  }

  /** Its subscriptions that have not ended. */
  subscriptions(): readonly Subscription[] {
    return this.#ledger.subscriptions.filter((one) => one.client === this.plan.id && one.endAskedAt === null)
  }

  publish(wish: PublishWish): void {
    const { publishing } = this.#unanswered
    if (!this.connected || publishing.size >= INFLIGHT_MAX) return
    const { topic, qos, retain, expirySec } = wish
    const v5 = this.plan.version === 5
    const sent = this.#write(wish, null)
    const { payload } = sent
    this.#note(`publishes message ${sent.key} to ${topic}, QoS ${qos}`)
    const packetId = qos > 0 ? this.#unanswered.packetId() : 0
    if (qos > 0) publishing.set(packetId, { sent, released: false })
    const known = this.#aliasesOut.get(topic)
    let topicAlias: number | null = known ?? null
    if (v5 && wish.alias && known === undefined && this.#aliasesOut.size < this.#aliasMaximum) {
      topicAlias = this.#aliasesOut.size + 1
      this.#aliasesOut.set(topic, topicAlias)
    }
    this.#stream!.write(
      writePublish(this.plan.version, {
        topic: known !== undefined ? '' : topic,
        qos,
        dup: false,
        retain,
        packetId,
        payload,
        properties: wish.properties,
        expirySec,
        topicAlias,
        subscriptionIds: [],
      }),
    )
  }

  /** A message with a key of its own, in the ledger. */
  #write(wish: PublishWish, will: Sent['will'], delaySec = 0): Sent {
    const v5 = this.plan.version === 5
    const key = this.#ledger.sent.length
    const payload = Buffer.alloc(wish.payloadBytes === 0 ? 0 : Math.max(8, wish.payloadBytes), key & 0xff)
    payload.write(String(key).padStart(8, '0'), 0)
    const connection = this.#connection!
    const sent: Sent = {
      key,
      connection,
      again: { connection, at: this.#clock.now(), whole: connection },
      topic: wish.topic,
      qos: wish.qos,
      retain: wish.retain,
      payload,
      properties: v5 ? wish.properties : noProperties,
      expirySec: v5 ? wish.expirySec : null,
      times: 1,
      at: this.#clock.now(),
      ackedAt: null,
      reason: 0,
      will,
      ...(delaySec === 0 ? {} : { delayMs: delaySec * 1000 }),
    }
    this.#ledger.write(sent)
    return sent
  }

  /**
   * A run of a node is over. `lives`: its sessions live on, on its disk or in a copy. What ended since `unwrittenSince` may
   * be there again, on its disk or in a copy that was not the latest.
   */
  nodeGone(node: number, run: number, lives: boolean, unwrittenSince: number, forgottenSince: number): void {
    if (this.#connection?.node === node && this.#connection.run === run) {
      if (this.#will !== null) this.#will.will = 'orphaned'
      this.#will = null
    }
    for (const one of this.#ledger.subscriptions) {
      if (one.client !== this.plan.id || !this.#wasAt(one, node)) continue
      // Its end may be forgotten.
      if (one.persistent && one.endedAt !== null && one.endedAt > unwrittenSince) one.endedAt = null
      if (lives && one.persistent) {
        if ((one.grantedAt ?? one.askedAt) >= forgottenSince) one.endAskedAt ??= this.#clock.now()
        continue
      }
      if (one.connection.node !== node || one.connection.run !== run) continue
      one.endAskedAt ??= this.#clock.now()
      // Another node may have a copy of the session.
      if (!one.persistent) one.endedAt ??= this.#clock.now()
    }
  }

  /** Whether the node has or had the session of a subscription since that was asked for. */
  #wasAt({ connection, persistent }: Subscription, node: number): boolean {
    if (connection.node === node || !persistent) return connection.node === node
    return this.#ledger.connections.some((later) => {
      return later.client === this.plan.id && later.number > connection.number && later.node === node
    })
  }

  #dialled(connection: Connection, result: ByteStream | HostError): void {
    this.#giveUp = null
    if (result instanceof Error) return this.#closed()
    this.#stream = result
    result.open({
      received: (buffer, start, end) => {
        if (this.#connection === connection) this.#received(buffer, start, end)
      },
      drained: () => {},
      closed: () => {
        if (this.#connection === connection) this.#closed()
        else this.#desertedEnded(connection)
      },
    })
    const { persistent, cleanStart } = connection
    const v5 = this.plan.version === 5
    connection.askedAt = this.#clock.now()
    // Whether this arrives or not: nothing is promised of the old session any more.
    if (cleanStart) this.#end(null)
    const { status, id } = this.plan
    // Before MQTT 5 a will has no delay.
    const delaySec = v5 ? (status?.delaySec ?? 0) : 0
    if (status !== undefined) {
      this.#will = this.#write({ ...WILL, topic: `status/${id}`, retain: true }, 'waiting', delaySec)
    }
    if (status === undefined && this.plan.will) this.#will = this.#write({ ...WILL, topic: `wills/${id}` }, 'waiting')
    this.#send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.plan.version,
      clean: cleanStart,
      clientId: this.plan.id,
      keepalive: this.plan.keepAliveSec,
      ...(this.#will === null ? {} : { will: willPacket(this.#will, delaySec) }),
      ...(v5
        ? {
            properties: {
              ...(persistent ? { sessionExpiryInterval: SESSION_EXPIRY_SEC } : {}),
              ...(this.plan.topicAliases > 0 ? { topicAliasMaximum: this.plan.topicAliases } : {}),
            },
          }
        : {}),
    })
  }

  /** It belongs to a connection of its own on another node, which may not have noticed yet that this is over. */
  #isElsewhere(one: Subscription, connection: Connection): boolean {
    return !one.persistent && one.connection.node !== connection.node
  }

  #desertedEnded(connection: Connection): void {
    if (connection.deserted === null) return
    connection.deserted.endedAt = this.#clock.now()
    if (connection.persistent) return
    for (const one of this.#ledger.subscriptions) if (one.connection === connection) one.endedAt ??= this.#clock.now()
  }

  #received(buffer: Buffer, start: number, end: number): void {
    this.#heard = Buffer.concat([this.#heard, buffer.subarray(start, end)])
    let at = 0
    for (;;) {
      const packet = frame(this.#heard, at)
      if (packet === null) break
      if (this.#heard[at]! >> 4 === 3) this.#published(this.#heard[at]!, packet.body, packet.end)
      else this.#parser.parse(this.#heard.subarray(at, packet.end))
      if (this.#connection === null) return
      at = packet.end
    }
    this.#heard = this.#heard.subarray(at)
  }

  #published(first: number, start: number, end: number): void {
    const fields = readPublish(this.plan.version, first, this.#heard, start, end)
    let { topic } = fields
    if (fields.topicAlias !== null) {
      if (fields.topicAlias === 0 || fields.topicAlias > this.plan.topicAliases) this.#complain('alias out of bounds')
      if (topic === '') topic = this.#aliasesIn.get(fields.topicAlias) ?? ''
      else this.#aliasesIn.set(fields.topicAlias, topic)
    }
    if (topic === '') this.#complain('a PUBLISH without a topic')
    if (fields.qos > 0 && fields.packetId === 0) this.#complain('packet id 0')
    const again = fields.qos === 2 && this.#awaitingRelease.has(fields.packetId)
    const key = fields.payload.length === 0 ? -1 : Number.parseInt(fields.payload.toString('latin1', 0, 8), 10)
    const received = { connection: this.#connection!, key, fields, topic, at: this.#clock.now() }
    if (!again) {
      this.#note(`receives message ${key}, QoS ${fields.qos}${fields.retain ? ', retained' : ''}`)
      this.#ledger.received.push(received)
    } else if (!fields.dup) {
      this.#note(`takes message ${key} for a repetition, by its packet id ${fields.packetId}`)
      this.#ledger.mistaken.push(received)
    }
    if (fields.qos === 1) this.#answer({ cmd: 'puback', messageId: fields.packetId })
    if (fields.qos === 2) {
      this.#awaitingRelease.add(fields.packetId)
      this.#answer({ cmd: 'pubrec', messageId: fields.packetId })
    }
  }

  #packet(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        return this.#connected(packet)
      case 'suback': {
        const asked = this.#take(this.#unanswered.subscribing, packet.messageId, 'SUBACK')
        for (const [index, granted] of packet.granted.entries()) {
          const subscription = asked[index]
          const code = Number(granted)
          if (subscription === undefined) return this.#complain('a SUBACK with too many reasons')
          if (code > 2) {
            this.#refused(subscription, code)
            continue
          }
          if (code !== subscription.qos) this.#complain(`granted QoS ${code} for ${subscription.qos}`)
          subscription.grantedAt = this.#clock.now()
          this.#note(`is granted ${subscription.filter}`)
          // What it replaced is certainly over now.
          for (const one of this.#ledger.subscriptions) {
            if (one.client !== this.plan.id || one.filter !== subscription.filter || one === subscription) continue
            if (this.#isElsewhere(one, subscription.connection)) continue
            if (one.endAskedAt !== null) one.endedAt ??= this.#clock.now()
          }
          this.onGranted(subscription.filter)
        }
        return
      }
      case 'unsuback':
        for (const one of this.#take(this.#unanswered.unsubscribing, packet.messageId, 'UNSUBACK')) {
          one.endedAt ??= this.#clock.now()
        }
        return
      case 'puback':
      case 'pubcomp': {
        const { publishing } = this.#unanswered
        const sent = publishing.get(packet.messageId ?? 0)?.sent
        if (sent === undefined) return this.#complain(`${packet.cmd} for an unknown packet id`)
        publishing.delete(packet.messageId ?? 0)
        this.#note(`has ${packet.cmd} of message ${sent.key}`)
        sent.ackedAt = this.#clock.now()
        if (packet.cmd === 'puback') sent.reason = packet.reasonCode ?? 0
        this.#ledger.tell('acknowledged', this.#connection!.node)
        return
      }
      case 'pubrec': {
        const { publishing } = this.#unanswered
        const exchange = publishing.get(packet.messageId ?? 0)
        if (exchange === undefined) return this.#complain('PUBREC for an unknown packet id')
        exchange.sent.reason = packet.reasonCode ?? 0
        exchange.released = true
        if (exchange.sent.reason >= 0x80) publishing.delete(packet.messageId ?? 0)
        else this.#answer({ cmd: 'pubrel', messageId: packet.messageId ?? 0 })
        return
      }
      case 'pubrel':
        this.#awaitingRelease.delete(packet.messageId ?? 0)
        this.#answer({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 })
        return
      case 'pingresp':
        return
      case 'disconnect':
        return
      default:
        this.#complain(`the broker sent ${packet.cmd}`)
    }
  }

  #refused(subscription: Subscription, code: number): void {
    this.#note(`is refused ${subscription.filter}: ${code}`)
    if (!this.mayBeRefused(subscription.connection.node)) return this.#complain(`SUBACK refuses: ${code}`)
    subscription.endAskedAt ??= this.#clock.now()
  }

  #connected(packet: Extract<Packet, { cmd: 'connack' }>): void {
    const connection = this.#connection!
    const code = packet.reasonCode ?? packet.returnCode ?? 0
    if (code !== 0) {
      this.#note(`is refused: ${code}`)
      if (!this.mayBeRefused(connection.node)) this.#complain(`CONNACK says ${code}`)
      return
    }
    connection.connectedAt = this.#clock.now()
    this.#note(`is connected${packet.sessionPresent ? ' to its session' : ''}`)
    connection.sessionPresent = packet.sessionPresent
    this.#aliasMaximum = packet.properties?.topicAliasMaximum ?? 0
    if (!packet.sessionPresent) {
      this.#awaitingRelease.clear()
      this.#unanswered.sessionEnded()
      for (const one of this.#ledger.subscriptions) {
        if (one.client !== this.plan.id || this.#isElsewhere(one, connection)) continue
        one.endAskedAt ??= connection.askedAt
        // One that was not given up may be on another side of a cut, and come back.
        if (!one.persistent || connection.cleanStart) one.endedAt ??= this.#clock.now()
      }
    }
    for (const { packetId, publish } of this.#unanswered.again(connection, this.#clock.now())) {
      if (publish === null) this.#send({ cmd: 'pubrel', messageId: packetId })
      else this.#stream!.write(publish)
    }
    if (this.plan.keepAliveSec > 0) this.#ping(connection)
    if (packet.sessionPresent) this.#ledger.tell('back', connection.node)
    this.onConnected(packet.sessionPresent)
  }

  #ping(connection: Connection): void {
    this.#clock.after(this.plan.keepAliveSec * 900, 'client.ping', () => {
      if (this.#connection !== connection) return
      this.#send({ cmd: 'pingreq' })
      this.#ping(connection)
    })
  }

  /** Marks the subscriptions to `filter` as ending; null: all of them. */
  #end(filter: string | null): Subscription[] {
    const ending = this.subscriptions().filter((one) => filter === null || one.filter === filter)
    for (const one of ending) one.endAskedAt = this.#clock.now()
    return ending
  }

  #closed(willIs: 'due' | 'discarded' | 'waiting' = 'due'): void {
    const connection = this.#connection
    if (connection === null) return
    // A CONNECT that was never sent ends nothing.
    const ended = !connection.persistent && connection.askedAt !== null
    const ending = ended ? this.#end(null) : []
    const will = connection.connectedAt === null ? null : this.#will
    const stream = this.#stream
    this.#will = null
    // A broker that moves away before it hears of the end keeps the session, and does not know of a death.
    this.#clock.after(HEARD_MS, 'client.heard', () => {
      if (willIs === 'waiting' || (stream instanceof SimStream && stream.peer.lostTouch)) return
      for (const one of ending) one.endedAt ??= this.#clock.now()
      if (will !== null) will.will = willIs
    })
    if (will !== null) will.at = this.#clock.now()
    connection.closedAt = this.#clock.now()
    this.#note('is disconnected')
    this.#connection = null
    this.#stream = null
    this.#heard = Buffer.alloc(0)
    this.#unanswered.connectionEnded()
    if (ended) this.#unanswered.sessionEnded()
    this.#aliasesIn.clear()
    this.#aliasesOut.clear()
    this.onClosed()
  }

  #take(waiting: Map<number, Subscription[]>, packetId: number | undefined, name: string): Subscription[] {
    const asked = waiting.get(packetId ?? 0)
    if (asked === undefined) {
      this.#complain(`${name} for an unknown packet id`)
      return []
    }
    waiting.delete(packetId ?? 0)
    return asked
  }

  /** An acknowledgement, when it comes to it; always in order. */
  #answer(packet: Packet): void {
    if (this.plan.ackAfterMs === 0) return this.#send(packet)
    const connection = this.#connection
    this.#clock.after(this.plan.ackAfterMs, 'client.answer', () => {
      if (this.#connection === connection) this.#send(packet)
    })
  }

  #send(packet: Packet): void {
    this.#stream!.write(generate(packet, { protocolVersion: this.plan.version }))
  }

  #note(what: string): void {
    this.#ledger.note?.(`${this.plan.id} ${what}`)
  }

  #complain(what: string): void {
    this.#ledger.complaints.push(`${this.plan.id} at ${this.#clock.now().toFixed(1)}: ${what}`)
  }
}
