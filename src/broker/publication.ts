// One message while it goes round its receivers: as the packet it came in, as a value for those who keep it, and as the
// packets that its receivers share, each made when the first one asks. One object per broker, filled anew each time.

import type { ClientId } from '../base/ids.ts'
import type { Stamp } from '../base/stamps.ts'
import type { ShareTargets } from '../wire/link/sharetargets.ts'
import { EMPTY, type Message, type Origin, type QoS } from '../wire/message.ts'
import type { Version } from '../wire/mqtt/packets.ts'
import {
  encodePublish,
  type PublishForm,
  type PublishView,
  packetIdOffset,
  passThroughProperties,
} from '../wire/mqtt/publish.ts'
import { Delivery, expiryLeftSec, NO_IDS } from './delivery.ts'
import type { ShareGroup } from './shared.ts'

/** 3.1 and 3.1.1 have the same PUBLISH. */
export type WireVersion = 4 | 5

export const wireVersion = (version: Version): WireVersion => (version === 5 ? 5 : 4)

/** A packet to be copied for each receiver; its first byte and packet id are patched in the copy. */
export class SharedPacket {
  version: WireVersion = 4
  qos: QoS = 0
  ids: readonly number[] = NO_IDS
  buffer: Buffer = EMPTY
  start = 0
  end = 0
  /** Bytes from its start to the packet id. */
  packetIdAt = 0
}

const NO_ORIGIN: Origin = { node: '' as Origin['node'], incarnation: 0 }
const NO_CLIENT = '' as ClientId

export class Publication {
  topic = ''
  qos: QoS = 0
  retain = false
  publisher: ClientId = NO_CLIENT
  origin: Origin = NO_ORIGIN
  counter = 0
  /** Of a retained message. */
  stamp: Stamp | null = null
  /** It came from a member, which may send it again. */
  foreign = false
  /** The share groups that a member has sent it for; null: it was published here. */
  targets: ShareTargets | null = null
  /** The share groups that have been served here. */
  readonly here: string[] = []
  #expiresAt = 0
  /** When it came; 0 for one that does not expire. */
  nowMs = 0
  #view: PublishView | null = null
  #buffer: Buffer = EMPTY
  readonly #received = new SharedPacket()
  #receivedFits = false
  #message: Message | null = null
  #kept = false
  readonly #packets: SharedPacket[] = []
  #packetCount = 0
  #delivery: Delivery | null = null

  /** From the packet that `view` has read, whole in bytes [start, end) of `buffer`; all valid until `done`. */
  fromPacket(
    view: PublishView,
    buffer: Buffer,
    start: number,
    end: number,
    version: WireVersion,
    topic: string,
    publisher: ClientId,
    origin: Origin,
    counter: number,
    nowMs: number,
  ): void {
    this.topic = topic
    this.qos = view.qos
    this.retain = view.retain
    this.publisher = publisher
    this.origin = origin
    this.counter = counter
    this.stamp = null
    this.foreign = false
    this.#expiresAt = view.expirySec < 0 ? Number.POSITIVE_INFINITY : nowMs + view.expirySec * 1000
    this.nowMs = nowMs
    this.#view = view
    this.#buffer = buffer
    const received = this.#received
    received.version = version
    received.qos = view.qos
    received.buffer = buffer
    received.start = start
    received.end = end
    received.packetIdAt = view.topicEnd - start
    // With its topic, the packet is good for others as it is: its properties are all meant for them, and of its expiry
    // nothing has passed yet.
    this.#receivedFits = view.topicAlias === 0
  }

  /**
   * From a message; `kept`: its bytes are its own, and it may be kept as it is. `foreign`: a member has sent it.
   */
  fromMessage(message: Message, kept: boolean, nowMs: number, foreign = false): void {
    this.topic = message.topic
    this.qos = message.qos
    this.retain = message.retain
    this.publisher = message.publisher
    this.origin = message.origin
    this.counter = message.counter
    this.stamp = message.stamp
    this.foreign = foreign
    this.#expiresAt = message.expiresAt
    this.nowMs = nowMs
    this.#receivedFits = false
    this.#message = message
    this.#kept = kept
  }

  /** It is retained, as the latest of its topic. */
  stamped(stamp: Stamp): void {
    this.stamp = stamp
    if (this.#message !== null) this.#message = { ...this.#message, stamp }
  }

  get empty(): boolean {
    const view = this.#view
    return view === null ? this.#message!.payload.length === 0 : view.payloadStart === view.payloadEnd
  }

  /** Lets go of everything that was borrowed or made. */
  done(): void {
    this.#view = null
    this.#buffer = EMPTY
    this.#received.buffer = EMPTY
    this.#message = null
    this.#kept = false
    this.#delivery = null
    this.targets = null
    this.here.length = 0
    for (let index = 0; index < this.#packetCount; index++) this.#packets[index]!.buffer = EMPTY
    this.#packetCount = 0
  }

  /** The message, with bytes that may only be valid until `done`. */
  passing(): Message {
    return (this.#message ??= this.#build(false))
  }

  /** The message with bytes of its own, copied once however many keep it. */
  keep(): Message {
    if (this.#message === null) this.#message = this.#build(true)
    else if (!this.#kept) this.#message = ownBytes(this.#message)
    this.#kept = true
    return this.#message
  }

  /** The kept message in the form that subscriptions ask for; the same value for receivers with the same form. */
  delivery(qos: QoS, retain: boolean, ids: readonly number[], share: ShareGroup | null): Delivery {
    const last = this.#delivery
    if (last !== null && last.qos === qos && last.retain === retain) {
      if (last.subscriptionIds === ids && last.share === share) return last
    }
    return (this.#delivery = new Delivery(this.keep(), qos, retain, ids, share))
  }

  /** The packet for receivers of this form, valid until `done`. */
  packet(version: WireVersion, qos: QoS, ids: readonly number[]): SharedPacket {
    if (this.#receivedFits && version === this.#received.version && qos === this.qos && ids.length === 0) {
      return this.#received
    }
    for (let index = 0; index < this.#packetCount; index++) {
      const packet = this.#packets[index]!
      if (packet.version === version && packet.qos === qos && sameIds(packet.ids, ids)) return packet
    }
    return this.#encode(version, qos, ids)
  }

  #encode(version: WireVersion, qos: QoS, ids: readonly number[]): SharedPacket {
    const message = this.passing()
    let packet = this.#packets[this.#packetCount]
    if (packet === undefined) {
      packet = new SharedPacket()
      this.#packets.push(packet)
    }
    this.#packetCount++
    const form: PublishForm = {
      version,
      qos,
      dup: false,
      retain: false,
      packetId: 0,
      topic: this.topic,
      topicAlias: 0,
      subscriptionIds: ids,
      expirySec: expiryLeftSec(message, this.nowMs),
    }
    packet.version = version
    packet.qos = qos
    packet.ids = ids
    packet.buffer = encodePublish(message, form)
    packet.start = 0
    packet.end = packet.buffer.length
    packet.packetIdAt = qos === 0 ? 0 : packetIdOffset(packet.buffer)
    return packet
  }

  #build(own: boolean): Message {
    const view = this.#view!
    const payload = this.#buffer.subarray(view.payloadStart, view.payloadEnd)
    const properties = passThroughProperties(view, this.#buffer)
    return {
      origin: this.origin,
      counter: this.counter,
      topic: this.topic,
      qos: this.qos,
      retain: this.retain,
      payload: own ? copy(payload) : payload,
      // A view of the read buffer only where all properties pass through; else it is a copy already.
      properties: own && view.passThrough ? copy(properties) : properties,
      expiresAt: this.#expiresAt,
      publisher: this.publisher,
      stamp: this.stamp,
    }
  }
}

const copy = (bytes: Buffer): Buffer => (bytes.length === 0 ? EMPTY : Buffer.from(bytes))

const ownBytes = (message: Message): Message => ({
  ...message,
  payload: copy(message.payload),
  properties: copy(message.properties),
})

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}
