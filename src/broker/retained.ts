// The last retained message of each topic, the same on all boxes: a table whose latest write counts everywhere. What was
// removed, or has expired, is remembered by its stamp.

import type { ByteWriter } from '../base/bytes.ts'
import { PeerError, ProtocolError } from '../base/errors.ts'
import { limits, MiB } from '../base/limits.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Replica, SharedEntry, SharedTable } from '../base/shared.ts'
import type { Stamp } from '../base/stamps.ts'
import { parseTopicName } from '../topic/name.ts'
import { TopicTree } from '../topic/topics.ts'
import type { Message } from '../wire/message.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { readRetainedValue, retainedValue, type StoredRetained, writeRetained } from '../wire/record/retained.ts'
import { HorizonRecord } from '../wire/record/shared.ts'
import { Deadline, type Deadlines } from './deadlines.ts'
import type { Found, FoundRecord, Keeper, Kept } from './ports.ts'
import type { Publication } from './publication.ts'
import type { RetainedPlace } from './retained-feed.ts'
import { isSys } from './sys-topic.ts'

/** As a table that boxes share (cluster/maps/lwwreplica.ts). Removed and expired ones count. */
export const RETAINED_BOUNDS = {
  name: 'retained',
  keyBytesMax: limits.mqttStringBytes,
  valueBytesMax: limits.channelMessageBytes - MiB,
  entriesMax: 1_000_000,
} as const

export type ShareRetained = (bounds: typeof RETAINED_BOUNDS, table: SharedTable) => Replica

export class Retained implements RetainedPlace, SharedEntry, StoredRetained, Recordable {
  readonly topic: string
  /** Null: removed, or expired. */
  message: Message | null
  stamp: Stamp
  hash = 0
  next: SharedEntry | null = null
  /** Made with the first message that expires. */
  deadline: Deadline | null = null
  kept: Kept | null = null

  constructor(topic: string, stamp: Stamp, message: Message | null) {
    this.topic = topic
    this.stamp = stamp
    this.message = message
  }

  get kind(): number {
    return RecordKind.retained
  }

  get key(): string {
    return this.topic
  }

  write(into: ByteWriter, nowMs: number): void {
    writeRetained(into, this, nowMs)
  }
}

export class RetainedMessages implements SharedTable<Retained> {
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #keeper: Keeper
  readonly #replica: Replica
  readonly #topics = new TopicTree<Retained>()
  /** Told of a will that was published because its client's box was gone, and what it has taken the place of. */
  onWill: ((will: Message, before: Message | null) => void) | null = null
  #horizon: HorizonRecord | null = null
  #horizonKept: Kept | null = null
  #count = 0

  constructor(clock: Clock, deadlines: Deadlines, keeper: Keeper, share: ShareRetained) {
    this.#keeper = keeper
    this.#clock = clock
    this.#deadlines = deadlines
    this.#replica = share(RETAINED_BOUNDS, this)
  }

  /** Topics that have one. */
  get count(): number {
    return this.#count
  }

  /**
   * [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] The message becomes the retained one of its topic; an empty one removes
   * what is there. One of our own clients is stamped as the latest.
   */
  accept(publication: Publication): void {
    publication.stamped(this.#replica.stamp())
    this.#take(publication)
  }

  /** The same of one that a member has accepted, unless what is here is later. */
  hear(publication: Publication): void {
    const { topic, stamp } = publication
    const before = this.#topics.get(topic)?.stamp ?? null
    if (stamp !== null && this.#replica.takes(before, stamp)) this.#take(publication)
  }

  #take(publication: Publication): void {
    const { topic, stamp } = publication
    const entry = this.#topics.get(topic)
    if (entry === undefined && this.#replica.full) return this.#replica.refused()
    const before = entry?.stamp ?? null
    const message = publication.empty ? null : publication.keep()
    // The message itself tells the other boxes.
    this.#replica.wrote(this.#put(entry, topic, stamp!, message), before, false)
  }

  /** The places of all topics that the filter matches; what is in them may be gone by the time it is sent. */
  match(filter: string): Retained[] {
    const found: Retained[] = []
    this.#topics.match(filter, (retained) => {
      if (retained.message !== null) found.push(retained)
    })
    return found
  }

  // What an earlier run has left:

  found({ topic, stamp, message }: StoredRetained, record: FoundRecord, found: Found): boolean {
    if (this.#topics.get(topic) !== undefined) return false
    const living = message !== null && message.expiresAt > this.#clock.now()
    const entry = new Retained(topic, stamp, null)
    entry.kept = record.kept
    found.adopt(record.kept, entry)
    this.#topics.set(topic, entry)
    if (living) this.#fill(entry, message)
    this.#replica.recall(stamp)
    this.#replica.wrote(entry, null, false)
    return true
  }

  foundHorizon(horizon: Stamp, record: FoundRecord, found: Found): void {
    this.#horizon = new HorizonRecord(RETAINED_BOUNDS.name, horizon)
    this.#horizonKept = record.kept
    found.adopt(record.kept, this.#horizon)
    this.#replica.restore(horizon)
  }

  // What the other boxes give, by way of the replica:

  get(topic: string): Retained | undefined {
    return this.#topics.get(topic)
  }

  isGone({ message }: Retained): boolean {
    return message === null
  }

  read({ message }: Retained): Buffer | null {
    return message === null ? null : retainedValue(message, this.#clock.now())
  }

  write(topic: string, value: Buffer | null, stamp: Stamp): Retained {
    if (isSys(topic) || parseTopicName(topic, Number.POSITIVE_INFINITY) instanceof ProtocolError) {
      throw new PeerError('a retained message under a topic that is none')
    }
    const message = value === null ? null : readRetainedValue(topic, stamp, value, this.#clock.now())
    if (value !== null && message === null) throw new PeerError('a retained message that makes no sense')
    return this.#put(this.#topics.get(topic), topic, stamp, message)
  }

  restamp(entry: Retained, stamp: Stamp): void {
    entry.stamp = stamp
    if (entry.message !== null) entry.message = { ...entry.message, stamp }
    this.#keeper.changed(entry.kept!)
  }

  forget(entry: Retained): void {
    this.#empty(entry)
    this.#topics.delete(entry.topic)
    if (entry.kept !== null) this.#keeper.remove(entry.kept)
  }

  horizonMoved(horizon: Stamp | null): void {
    if (horizon === null) {
      if (this.#horizonKept !== null) this.#keeper.remove(this.#horizonKept)
      this.#horizon = null
      this.#horizonKept = null
    } else if (this.#horizon === null) {
      this.#horizon = new HorizonRecord(RETAINED_BOUNDS.name, horizon)
      this.#horizonKept = this.#keeper.put(this.#horizon)
    } else {
      this.#horizon.horizon = horizon
      this.#keeper.changed(this.#horizonKept!)
    }
  }

  #put(known: Retained | undefined, topic: string, stamp: Stamp, message: Message | null): Retained {
    const entry = known ?? new Retained(topic, stamp, null)
    const before = entry.message
    entry.stamp = stamp
    if (message === null) this.#empty(entry)
    else this.#fill(entry, message)
    if (known === undefined) {
      this.#topics.set(topic, entry)
      entry.kept = this.#keeper.put(entry)
    } else {
      this.#keeper.changed(entry.kept!)
    }
    if (message?.willOf !== undefined) this.onWill?.(message, before)
    return entry
  }

  #fill(entry: Retained, message: Message): void {
    if (entry.message === null) this.#count++
    entry.message = message
    if (message.expiresAt === Number.POSITIVE_INFINITY) {
      if (entry.deadline !== null) this.#deadlines.clear(entry.deadline)
      return
    }
    entry.deadline ??= new Deadline(() => this.#expire(entry))
    this.#deadlines.set(entry.deadline, message.expiresAt)
  }

  #empty(entry: Retained): void {
    if (entry.message !== null) this.#count--
    entry.message = null
    if (entry.deadline !== null) this.#deadlines.clear(entry.deadline)
  }

  /** Nothing was written: the stamp stays what it was. */
  #expire(entry: Retained): void {
    if (entry.message === null || entry.message.expiresAt > this.#clock.now()) return
    this.#empty(entry)
    this.#keeper.changed(entry.kept!)
  }
}
