// The ids of QoS 2 messages that clients have completed lately, kept with their sessions: for later runs of this node, and
// for the boxes that sessions and their copies go to. A box that stands in for this one may get a message from its
// publisher that was cut off from it until then; who gets the session back must know that its client has had it.

import type { ByteWriter } from '../base/bytes.ts'
import { Deque } from '../base/deque.ts'
import type { Message, Origin } from '../wire/message.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { writeCompleted } from '../wire/record/completed.ts'
import type { Keeper, Kept } from './ports.ts'

/** So many are kept of a session: the oldest are forgotten. */
export const COMPLETED_MAX = 128

class CompletedRecord implements Recordable {
  readonly kind = RecordKind.completed
  readonly sessionRecord: Kept
  readonly #origin: Origin
  readonly #counter: number
  readonly #shared: boolean

  constructor(session: Kept, { origin, counter }: Pick<Message, 'origin' | 'counter'>, shared: boolean) {
    this.sessionRecord = session
    this.#origin = origin
    this.#counter = counter
    this.#shared = shared
  }

  write(into: ByteWriter): void {
    const [shared, origin, counter] = [this.#shared, this.#origin, this.#counter]
    writeCompleted(into, { session: this.sessionRecord.id, shared, origin, counter })
  }
}

export class Completed {
  readonly #keeper: Keeper
  /** By the record of the session, the oldest first. */
  readonly #bySession = new WeakMap<Kept, Deque<Kept>>()

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  add(session: Kept, message: Message, shared: boolean): void {
    this.#push(session, this.#keeper.put(new CompletedRecord(session, message, shared)))
  }

  /** One that an earlier run, or another box, has kept. */
  adopt(session: Kept, message: Pick<Message, 'origin' | 'counter'>, shared: boolean, kept: Kept): Recordable {
    this.#push(session, kept)
    return new CompletedRecord(session, message, shared)
  }

  of(session: Kept): Iterable<Kept> {
    return this.#bySession.get(session) ?? []
  }

  ended(session: Kept): void {
    for (const kept of this.of(session)) this.#keeper.remove(kept)
    this.#bySession.delete(session)
  }

  #push(session: Kept, kept: Kept): void {
    let all = this.#bySession.get(session)
    if (all === undefined) {
      all = new Deque()
      this.#bySession.set(session, all)
    }
    all.push(kept)
    if (all.length > COMPLETED_MAX) this.#keeper.remove(all.shift()!)
  }
}
