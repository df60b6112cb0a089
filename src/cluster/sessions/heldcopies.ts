// The copies that this box holds of one other box's sessions: their records as they last came, in memory. A message is
// held as long as a record refers to it.

import { PeerError } from '../../base/errors.ts'
import type { ClientId } from '../../base/ids.ts'
import type { Stamp } from '../../base/stamps.ts'
import type { RecordItem } from '../../broker/ports.ts'
import type { ReadItem } from '../../wire/link/records.ts'
import { RecordKind } from '../../wire/record/batch.ts'
import { readSession } from '../../wire/record/session.ts'

interface HeldRecord extends RecordItem {
  readonly countedFromMs: number
  /** The record of the message that it is about; 0: none. */
  readonly about: number
}

export class HeldSession {
  readonly clientId: ClientId
  epoch: Stamp | null
  readonly records = new Map<number, HeldRecord>()
  /** It was made a session of this box. */
  taken = false

  constructor(clientId: ClientId, epoch: Stamp | null) {
    this.clientId = clientId
    this.epoch = epoch
  }
}

const SESSION_AT = 0
const MESSAGE_AT = 6
const ID_BYTES = 6

export class HeldCopies {
  /** The feed and the last batch of it that is in here. */
  feed = 0
  sequence = 0
  /** Records and messages, for the bound on all copies. */
  bytes = 0
  readonly #sessions = new Map<number, HeldSession>()
  /** The latest of each client. */
  readonly #byClient = new Map<ClientId, HeldSession>()
  /** Which session each record is of. */
  readonly #of = new Map<number, HeldSession>()
  readonly #messages = new Map<number, { readonly item: RecordItem; users: number }>()

  get sessions(): Iterable<HeldSession> {
    return this.#sessions.values()
  }

  get size(): number {
    return this.#sessions.size
  }

  /** The session of the client. */
  get(clientId: ClientId): HeldSession | undefined {
    return this.#byClient.get(clientId)
  }

  /** Takes the items of a batch; throws PeerError for what makes no sense. */
  apply(items: readonly ReadItem[], nowMs: number): void {
    for (const item of items) {
      if (item.kind === RecordKind.removed) this.#remove(item.id)
      else if (item.kind === RecordKind.message) this.#message(item, nowMs)
      else this.#put(item, nowMs)
    }
  }

  /** The session's records in an order in which they can be taken: the session first, messages before what needs them. */
  itemsOf(session: HeldSession): readonly RecordItem[] {
    const items: RecordItem[] = []
    const told = new Set<number>()
    for (const record of [...session.records.values()].sort((a, b) => a.id - b.id)) {
      if (record.about > 0 && !told.has(record.about)) {
        told.add(record.about)
        items.push(this.#messages.get(record.about)!.item)
      }
      items.push(record)
    }
    return items
  }

  #message({ id, kind, body }: ReadItem, nowMs: number): void {
    const known = this.#messages.get(id)
    if (known !== undefined) throw new PeerError('copies: a message twice')
    this.#messages.set(id, { item: { id, kind, body: Buffer.from(body), countedFromMs: nowMs }, users: 0 })
    this.bytes += body.length
  }

  #put({ id, kind, body }: ReadItem, nowMs: number): void {
    const session =
      kind === RecordKind.session ? this.#session(id, body, nowMs) : this.#sessions.get(idAt(body, SESSION_AT))
    if (session === undefined) throw new PeerError('copies: a record of no session')
    const refers = kind === RecordKind.delivery || kind === RecordKind.begun
    const about = refers ? idAt(body, MESSAGE_AT) : 0
    const before = session.records.get(id)
    if (before !== undefined) this.bytes -= before.body.length
    else if (about > 0) {
      const message = this.#messages.get(about)
      if (message === undefined) throw new PeerError('copies: a record of no message')
      message.users++
    }
    if (before !== undefined && before.about !== about) throw new PeerError('copies: a record of another message')
    session.records.set(id, { id, kind, body: Buffer.from(body), countedFromMs: nowMs, about })
    this.#of.set(id, session)
    this.bytes += body.length
  }

  #session(id: number, body: Buffer, nowMs: number): HeldSession {
    const stored = readSession(body, nowMs)
    if (stored === null) throw new PeerError('copies: a session that cannot be read')
    const known = this.#sessions.get(id)
    if (known !== undefined) {
      if (known.clientId !== stored.clientId) throw new PeerError('copies: a session that changes its client')
      known.epoch = stored.epoch
      return known
    }
    const session = new HeldSession(stored.clientId, stored.epoch)
    this.#sessions.set(id, session)
    this.#byClient.set(session.clientId, session)
    return session
  }

  /** One that was never heard of is gone already. */
  #remove(id: number): void {
    const session = this.#of.get(id)
    if (session === undefined) return
    this.#of.delete(id)
    const { about, body } = session.records.get(id)!
    session.records.delete(id)
    this.bytes -= body.length
    if (about > 0) this.#unuse(about)
    if (!this.#sessions.delete(id)) return
    // The one that took its place may have come before it went.
    if (this.#byClient.get(session.clientId) === session) this.#byClient.delete(session.clientId)
    for (const record of session.records.values()) {
      this.#of.delete(record.id)
      this.bytes -= record.body.length
      if (record.about > 0) this.#unuse(record.about)
    }
    session.records.clear()
  }

  #unuse(id: number): void {
    const message = this.#messages.get(id)!
    if (--message.users > 0) return
    this.#messages.delete(id)
    this.bytes -= message.item.body.length
  }
}

function idAt(body: Buffer, at: number): number {
  if (body.length < at + ID_BYTES) throw new PeerError('copies: a record cut short')
  return body.readUIntBE(at, ID_BYTES)
}
