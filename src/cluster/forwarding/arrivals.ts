// What has come from the members: how far each has been received, so that nothing counts twice over a new link, and how
// far it is safe here. Says so at the end of a turn; of what promises nothing, now and then.
//
// Of QoS 2 nothing may count twice after our death either, when its exchange is over and its record gone: how far was
// received is in the store before anybody can have completed it (CLUSTER 6).

import type { ByteWriter } from '../../base/bytes.ts'
import { Deque } from '../../base/deque.ts'
import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { Positions } from '../../base/positions.ts'
import type { Found, FoundRecord, Keeper, Kept } from '../../broker/ports.ts'
import { encodeTaken, NO_RUN, type RunId, type TakenMessage } from '../../wire/link/taken.ts'
import type { QoS } from '../../wire/message.ts'
import { readArrival, writeArrival } from '../../wire/record/arrival.ts'
import { type Recordable, RecordKind } from '../../wire/record/batch.ts'
import type { Channel } from '../ports.ts'
import type { Safekeeping } from './parking.ts'

/** Of QoS 0 alone, the sender is told after so much, or so long. */
const UNTOLD_BYTES_MAX = 32 * KiB
const UNTOLD_MS_MAX = 250

/** How far a member has been received, as it stands in the store. */
class ArrivalRecord implements Recordable {
  readonly kind = RecordKind.arrival
  readonly member: NodeId
  kept: Kept | null = null
  run: RunId = NO_RUN
  received = 0
  /** Where it was staged last. */
  position = 0

  constructor(member: NodeId) {
    this.member = member
  }

  write(into: ByteWriter): void {
    writeArrival(into, this)
  }
}

/** What has come from one member. */
class Arrival {
  readonly peer: NodeId
  readonly record: ArrivalRecord
  /** Up to here it is to be in the store. */
  exact = 0
  /** The life of the sender's numbers; the number of the last that was received in it. */
  run: RunId = NO_RUN
  received = 0
  /** It has said on this link where its numbers go on. */
  begun = false
  linked = false
  /** What was staged for its messages, and is not safe yet: up to that number, at that position. */
  readonly unsafe = new Deque<{ sequence: number; position: number }>()
  toldReceived = 0
  toldSafe = 0
  /** Bytes received and not told of. */
  untoldBytes = 0
  /** It is to be told at the end of this turn. */
  due = false

  constructor(peer: NodeId) {
    this.peer = peer
    this.record = new ArrivalRecord(peer)
  }

  /** Up to here all is safe. */
  get safe(): number {
    const next = this.unsafe.peek()
    return next === undefined ? this.received : next.sequence
  }
}

export class Arrivals {
  readonly #run: RunId
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #positions: Positions
  readonly #keeper: Keeper
  readonly #channel: () => Channel
  readonly #byPeer = new Map<NodeId, Arrival>()
  #due: Arrival[] = []
  #armed = false
  #lazy: Timer | null = null

  /** `run`: this life of the node, so that senders notice when what they sent is gone. */
  constructor(
    run: RunId,
    world: { readonly clock: Clock; readonly meter: Meter },
    { keeper, positions, takers }: Safekeeping,
    channel: () => Channel,
  ) {
    this.#run = run
    this.#keeper = keeper
    this.#clock = world.clock
    this.#meter = world.meter
    this.#positions = positions
    this.#channel = channel
    positions.watch(() => this.#safeMoved())
    takers.set(RecordKind.arrival, (record, found) => this.#found(record, found))
  }

  linked(peer: NodeId): void {
    const arrival = this.#of(peer)
    arrival.begun = false
    arrival.linked = true
    const { run, received, safe } = arrival
    arrival.toldReceived = received
    arrival.toldSafe = safe
    arrival.untoldBytes = 0
    this.#channel().send(peer, encodeTaken({ kind: 'here', own: this.#run, known: run, received, safe }))
  }

  unlinked(peer: NodeId): void {
    const arrival = this.#byPeer.get(peer)
    if (arrival !== undefined) arrival.linked = false
  }

  forget(peer: NodeId): void {
    const kept = this.#byPeer.get(peer)?.record.kept ?? null
    if (kept !== null) this.#keeper.remove(kept)
    this.#byPeer.delete(peer)
  }

  #found({ kept, body }: FoundRecord, found: Found): void {
    const stored = readArrival(body)
    if (stored === null || this.#byPeer.has(stored.member)) return found.remove(kept)
    const arrival = this.#of(stored.member)
    const { record } = arrival
    arrival.run = record.run = stored.run
    arrival.received = record.received = stored.received
    record.kept = kept
    found.adopt(kept, record)
  }

  /** The sender says where its numbers go on. */
  begin(peer: NodeId, { run, sequence }: TakenMessage & { kind: 'begin' }): void {
    const arrival = this.#of(peer)
    arrival.begun = true
    if (run !== arrival.run) {
      arrival.run = run
      arrival.received = 0
      arrival.exact = 0
      arrival.unsafe.clear()
      arrival.toldReceived = 0
      arrival.toldSafe = 0
    }
    if (sequence - 1 <= arrival.received) return
    arrival.received = sequence - 1
  }

  /**
   * A batch whose first item has that number has come: returns how many of its items have come before. Throws PeerError
   * when items before it are missing.
   */
  repeated(peer: NodeId, sequence: number): number {
    const arrival = this.#of(peer)
    if (!arrival.begun) throw new PeerError('forwarding: messages before a beginning')
    if (sequence > arrival.received + 1) throw new PeerError('forwarding: messages are missing')
    return arrival.received + 1 - sequence
  }

  /**
   * The items up to that number have been delivered; `before`: the position before they were. `most`: the highest QoS
   * among them; its publisher may wait for what has one.
   */
  delivered(peer: NodeId, last: number, before: number, bytes: number, most: QoS): void {
    const arrival = this.#of(peer)
    if (last <= arrival.received) return
    const { position, ours } = this.#positions
    // Up to the one before, all is safe when what was staged before is.
    if (position > before && position > ours) arrival.unsafe.push({ sequence: arrival.received, position })
    arrival.received = last
    if (most === 2 && position > before) {
      arrival.exact = last
      this.#record(arrival)
    }
    arrival.untoldBytes += bytes
    if (most > 0 || arrival.untoldBytes >= UNTOLD_BYTES_MAX) this.#tellSoon(arrival)
    else this.#lazy ??= this.#clock.after(UNTOLD_MS_MAX, 'forward.untold', this.#tellAll)
  }

  /** There is room on the link again. */
  room(peer: NodeId): void {
    const arrival = this.#byPeer.get(peer)
    if (arrival?.due) this.#tell(arrival)
  }

  stop(): void {
    this.#lazy?.cancel()
  }

  #of(peer: NodeId): Arrival {
    let arrival = this.#byPeer.get(peer)
    if (arrival === undefined) {
      arrival = new Arrival(peer)
      this.#byPeer.set(peer, arrival)
    }
    return arrival
  }

  #safeMoved(): void {
    const { ours } = this.#positions
    for (const arrival of this.#byPeer.values()) {
      const { unsafe } = arrival
      const before = unsafe.length
      for (let next = unsafe.peek(); next !== undefined && next.position <= ours; next = unsafe.peek()) unsafe.shift()
      if (unsafe.length < before) this.#tell(arrival)
      if (arrival.exact > 0) this.#record(arrival)
    }
  }

  /**
   * Stages how far the member has been received, unless that is being written as it was a little before: then it is staged
   * when that is safe, which is before the client can have been told of what came meanwhile.
   */
  #record(arrival: Arrival): void {
    const { record, run, received, exact } = arrival
    if (!this.#keeper.durable || record.position > this.#positions.ours) return
    if (record.run === run && record.received >= exact) return
    record.run = run
    record.received = received
    if (record.kept === null) record.kept = this.#keeper.put(record)
    else this.#keeper.changed(record.kept)
    record.position = this.#positions.position
  }

  #tellSoon(arrival: Arrival): void {
    if (arrival.due) return
    arrival.due = true
    this.#due.push(arrival)
    if (this.#armed) return
    this.#armed = true
    this.#clock.soon(this.#tellDue)
  }

  readonly #tellDue = (): void => {
    this.#armed = false
    const due = this.#due
    this.#due = []
    for (const arrival of due) this.#tell(arrival)
  }

  readonly #tellAll = (): void => {
    this.#lazy = null
    for (const arrival of this.#byPeer.values()) this.#tell(arrival)
  }

  #tell(arrival: Arrival): void {
    const { peer, received, safe, linked } = arrival
    arrival.due = false
    if (!linked || !arrival.begun) return
    if (received === arrival.toldReceived && safe === arrival.toldSafe) return
    const answer = this.#channel().send(peer, encodeTaken({ kind: 'taken', received, safe }))
    if (answer === 'full') {
      this.#meter.count('forward.taken.held')
      arrival.due = true
      return
    }
    arrival.toldReceived = received
    arrival.toldSafe = safe
    arrival.untoldBytes = 0
  }
}
