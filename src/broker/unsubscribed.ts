// What a client has said of a filter last, wherever it was connected: with it two boxes that have gone on with one session,
// each without the other, agree on what it is subscribed to. What was unsubscribed lately is remembered for that, and kept
// with the session.

import type { ByteWriter } from '../base/bytes.ts'
import { compareStamps, type Stamp } from '../base/stamps.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { writeUnsubscribed } from '../wire/record/session.ts'
import type { Keeper, Kept } from './ports.ts'

/** Under which CONNECT (null: without a cluster, before any), and after what else under the same. */
export interface Said {
  readonly since: Stamp | null
  readonly order: number
}

/** So many are kept of a session: the oldest are forgotten. */
export const UNSUBSCRIBED_MAX = 128

export function saidLater(a: Said, b: Said): boolean {
  if (a.since === null || b.since === null) return a.since !== null
  return (compareStamps(a.since, b.since) || a.order - b.order) > 0
}

class UnsubscribedRecord implements Recordable {
  readonly kind = RecordKind.unsubscribed
  readonly sessionRecord: Kept
  readonly filter: string
  readonly since: Stamp
  readonly order: number

  constructor(session: Kept, filter: string, since: Stamp, order: number) {
    this.sessionRecord = session
    this.filter = filter
    this.since = since
    this.order = order
  }

  write(into: ByteWriter): void {
    const { filter, since, order } = this
    writeUnsubscribed(into, { session: this.sessionRecord.id, filter, since, order })
  }
}

interface Ended extends Said {
  readonly kept: Kept
}

export class Unsubscribed {
  readonly #keeper: Keeper
  /** By the record of the session, then by filter, the oldest first. */
  readonly #bySession = new WeakMap<Kept, Map<string, Ended>>()

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  add(session: Kept, filter: string, { since, order }: Said): void {
    if (since === null) return
    const kept = this.#keeper.put(new UnsubscribedRecord(session, filter, since, order))
    this.#put(session, filter, { kept, since, order })
  }

  /** One that an earlier run, or another box, has kept. */
  adopt(session: Kept, filter: string, since: Stamp, order: number, kept: Kept): Recordable {
    this.#put(session, filter, { kept, since, order })
    return new UnsubscribedRecord(session, filter, since, order)
  }

  of(session: Kept): readonly Kept[] {
    return [...(this.#bySession.get(session)?.values() ?? [])].map(({ kept }) => kept)
  }

  get(session: Kept, filter: string): Said | null {
    return this.#bySession.get(session)?.get(filter) ?? null
  }

  /** It is subscribed to again. */
  forget(session: Kept, filter: string): void {
    const all = this.#bySession.get(session)
    const ended = all?.get(filter)
    if (ended === undefined) return
    all!.delete(filter)
    this.#keeper.remove(ended.kept)
  }

  ended(session: Kept): void {
    for (const kept of this.of(session)) this.#keeper.remove(kept)
    this.#bySession.delete(session)
  }

  #put(session: Kept, filter: string, ended: Ended): void {
    this.forget(session, filter)
    let all = this.#bySession.get(session)
    if (all === undefined) {
      all = new Map()
      this.#bySession.set(session, all)
    }
    all.set(filter, ended)
    if (all.size > UNSUBSCRIBED_MAX) this.forget(session, all.keys().next().value!)
  }
}
