// What goes out on one connection: messages in the client's version, with its topic aliases, within its maximum packet
// size, and acknowledgements. Lives as long as the connection is connected.

import type { Outbox } from '../base/outbox.ts'
import type { Message, QoS } from '../wire/message.ts'
import { ACK_BYTES_MAX, type AckKind, writeAck } from '../wire/mqtt/acks.ts'
import type { Version } from '../wire/mqtt/packets.ts'
import { encodePublish, publishLength, writePublish } from '../wire/mqtt/publish.ts'
import { OutgoingAliases } from './aliases.ts'
import { bounds } from './bounds.ts'
import { expiryLeftSec } from './delivery.ts'
import type { MemoryGuard } from './memory-guard.ts'
import { type Publication, type WireVersion, wireVersion } from './publication.ts'
import type { HeldAcks } from './safety.ts'
import type { Tally } from './tally.ts'

const PUBLISH = 0x30
/** The longest piece that `Outbox.room` gives. */
const ROOM_MAX = 64 * 1024

/** The form of the packet being written; one for all, because writing one is never interrupted. */
const form = {
  version: 4 as Version,
  qos: 0 as QoS,
  dup: false,
  retain: false,
  packetId: 0,
  topic: '',
  topicAlias: 0,
  subscriptionIds: [] as readonly number[],
  expirySec: -1,
}

export class Sender {
  readonly version: Version
  readonly wire: WireVersion
  readonly outbox: Outbox
  /** Bytes; Infinity: no limit. */
  readonly maximumPacketSize: number
  readonly aliases: OutgoingAliases | null
  /** Whether packets of the same version can be copied to it in one piece, many at a time. */
  readonly plain: boolean
  /** Acknowledgements that wait for the store; null: none. */
  held: HeldAcks | null = null
  /** Takes back a QoS 2 message that was begun on this connection and not answered. */
  takeBack: (packetId: number) => void = () => {}
  readonly #tally: Tally
  readonly #memory: MemoryGuard

  constructor(
    outbox: Outbox,
    version: Version,
    maximumPacketSize: number | null,
    aliasMaximum: number,
    tally: Tally,
    memory: MemoryGuard,
  ) {
    this.outbox = outbox
    this.version = version
    this.wire = wireVersion(version)
    this.maximumPacketSize = maximumPacketSize ?? Number.POSITIVE_INFINITY
    this.aliases = aliasMaximum > 0 ? new OutgoingAliases(aliasMaximum) : null
    this.plain = this.aliases === null && this.maximumPacketSize >= bounds.runPacketBytes
    this.#tally = tally
    this.#memory = memory
  }

  /** Over the bound of what may wait for this client: deliver no more until `drained`. */
  get congested(): boolean {
    return this.outbox.pendingBytes > this.#memory.outputBytes
  }

  /** `count` whole QoS 0 packets of this connection's version, one behind the other. For `plain` senders only. */
  run(buffer: Buffer, start: number, end: number, count: number): void {
    this.outbox.append(buffer, start, end)
    this.#tally.messagesOut += count
  }

  /** False: larger than the client takes; it counts as sent and is not. [MQTT-3.1.2-24] [MQTT-3.1.2-25] */
  publication(publication: Publication, qos: QoS, retain: boolean, ids: readonly number[], packetId: number): boolean {
    if (this.aliases !== null) {
      return this.message(publication.passing(), qos, retain, ids, packetId, false, publication.nowMs)
    }
    const packet = publication.packet(this.wire, qos, ids)
    const length = packet.end - packet.start
    if (length > this.maximumPacketSize) return this.#tooLarge()
    const first = PUBLISH | (qos << 1) | (retain ? 1 : 0)
    if (length > ROOM_MAX) {
      const copy = Buffer.from(packet.buffer.subarray(packet.start, packet.end))
      patch(copy, 0, first, qos === 0 ? 0 : packet.packetIdAt, packetId)
      this.outbox.append(copy)
    } else {
      const { outbox } = this
      outbox.room(length)
      const at = outbox.at
      outbox.append(packet.buffer, packet.start, packet.end)
      patch(outbox.chunk!, at, first, qos === 0 ? 0 : packet.packetIdAt, packetId)
    }
    this.#tally.messagesOut++
    return true
  }

  /** A message that waited, or is sent again. False: larger than the client takes. */
  message(
    message: Message,
    qos: QoS,
    retain: boolean,
    ids: readonly number[],
    packetId: number,
    dup: boolean,
    nowMs: number,
  ): boolean {
    form.version = this.version
    form.qos = qos
    form.dup = dup
    form.retain = retain
    form.packetId = packetId
    form.topic = message.topic
    form.topicAlias = 0
    form.subscriptionIds = ids
    form.expirySec = expiryLeftSec(message, nowMs)
    let assigned = false
    if (this.aliases !== null) {
      form.topicAlias = this.aliases.find(message.topic)
      if (form.topicAlias > 0) form.topic = ''
      else assigned = (form.topicAlias = this.aliases.next()) > 0
    }
    const length = publishLength(message, form)
    if (length > this.maximumPacketSize) return this.#tooLarge()
    if (assigned) this.aliases!.assign(message.topic)
    if (length > ROOM_MAX) {
      this.outbox.append(encodePublish(message, form))
    } else {
      const chunk = this.outbox.room(length)
      this.outbox.at = writePublish(message, form, chunk, this.outbox.at)
    }
    this.#tally.messagesOut++
    return true
  }

  ack(kind: AckKind, packetId: number, reason: number): void {
    this.#tally.answersOut++
    const chunk = this.outbox.room(ACK_BYTES_MAX)
    this.outbox.at = writeAck(chunk, this.outbox.at, kind, packetId, reason, this.version)
  }

  #tooLarge(): false {
    this.#tally.drop('too-large')
    return false
  }
}

function patch(bytes: Buffer, at: number, first: number, packetIdAt: number, packetId: number): void {
  bytes[at] = first
  if (packetIdAt === 0) return
  bytes[at + packetIdAt] = packetId >> 8
  bytes[at + packetIdAt + 1] = packetId & 0xff
}
