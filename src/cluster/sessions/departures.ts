// Sessions on their way to another box, as a stream of records in small pieces: so many at once as the other takes, so
// that a session of a gigabyte costs no more memory here or there than one message.

import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Kept, LocalSessions, SessionView } from '../../broker/ports.ts'
import { writeItem } from '../../wire/link/records.ts'
import { beginRecords, encodeSession, endRecords, type Part, type Side } from '../../wire/link/sessions.ts'
import { RecordKind } from '../../wire/record/batch.ts'
import type { Channel } from '../ports.ts'

/** Messages of records on their way that the other has not taken yet. */
const IN_FLIGHT = 8

/** Of a session that its owner has, too: whether a record of the head may be one that only this box has. */
const isOwed = ({ id, value }: Kept, above: number): boolean => {
  const kind = value?.kind
  return (
    kind === RecordKind.subscription || kind === RecordKind.unsubscribed || (kind === RecordKind.delivery && id > above)
  )
}

export class Departure {
  readonly peer: NodeId
  readonly side: Side
  readonly number: number
  readonly session: SessionView
  readonly #local: LocalSessions
  readonly #channel: Channel
  readonly #nowMs: () => number
  /** Messages that the other box has been sent. */
  readonly #messages = new Set<number>()
  /** Members that are to be named behind what is in the queue now, and those behind what is being sent. */
  readonly #passed: NodeId[] = []
  readonly #due: NodeId[] = []
  #part: 'head' | 'queue' | 'end'
  #next: readonly Kept[]
  #nextAt = 0
  /** The highest id of the queue that was sent. */
  #cursor: number
  #inFlight = 0
  #unsent: Buffer | null = null
  #mayEnd: boolean
  /** It ends without waiting for anybody, once its new owner is sent what its subscriptions bring. */
  hurried = false
  /** All members send to its new owner what it wants. */
  routed = false

  /**
   * `what`: 'all'; or its subscriptions, and what is under way and in its queue above an id. `mayEnd`: nothing more comes for
   * it; else `end` says so later.
   */
  constructor(
    to: { readonly peer: NodeId; readonly side: Side; readonly number: number },
    session: SessionView,
    what: 'all' | { readonly above: number },
    mayEnd: boolean,
    local: LocalSessions,
    channel: Channel,
    nowMs: () => number,
  ) {
    this.peer = to.peer
    this.side = to.side
    this.number = to.number
    this.session = session
    this.#local = local
    this.#channel = channel
    this.#nowMs = nowMs
    this.#mayEnd = mayEnd
    this.#part = 'head'
    this.#cursor = what === 'all' ? 0 : what.above
    const head = local.head(session)
    this.#next = what === 'all' ? head : head.filter((kept) => isOwed(kept, what.above))
  }

  /** The other has taken one message. False: it had none to take. */
  more(): boolean {
    if (this.#inFlight === 0) return false
    this.#inFlight--
    this.pump()
    return true
  }

  /** All that the member has sent here is in the session: the other is told so behind it. */
  passed(member: NodeId): void {
    this.#passed.push(member)
    this.pump()
  }

  /** Nothing more comes for it: what there is is all. */
  end(): void {
    this.#mayEnd = true
    this.pump()
  }

  /** Sends as much as there is room for. */
  pump(): void {
    while (this.#inFlight < IN_FLIGHT) {
      const bytes = this.#unsent ?? this.#message()
      this.#unsent = null
      if (bytes === null) return
      if (this.#channel.send(this.peer, bytes) !== 'sent') {
        this.#unsent = bytes
        return
      }
      this.#inFlight++
    }
  }

  #message(): Buffer | null {
    if (this.#part === 'end') return null
    if (this.#part === 'queue' && this.#nextAt >= this.#next.length) {
      if (this.#due.length === 0) {
        this.#next = this.#local.queued(this.session, this.#cursor)
        this.#nextAt = 0
        this.#due.push(...this.#passed.splice(0))
      }
      if (this.#nextAt >= this.#next.length) {
        const member = this.#due.shift()
        if (member !== undefined) return encodeSession({ kind: 'passed', number: this.number, member })
        if (!this.#mayEnd) return null
      }
    }
    const writer = beginRecords(this.side, this.number)
    while (this.#nextAt < this.#next.length && writer.length < limits.pieceBytes) this.#write(writer)
    return endRecords(writer, this.#partOf())
  }

  /** What the message is that was just written, and where it goes on. */
  #partOf(): Part {
    const more = this.#nextAt < this.#next.length
    if (this.#part === 'head') {
      if (more) return 'head'
      this.#part = 'queue'
      return 'head-end'
    }
    if (more || !this.#mayEnd || this.#local.queued(this.session, this.#cursor).length > 0) return 'queue'
    this.#part = 'end'
    return 'end'
  }

  #write(writer: ReturnType<typeof beginRecords>): void {
    const kept = this.#next[this.#nextAt++]!
    const { value } = kept
    if (this.#part === 'queue') this.#cursor = Math.max(this.#cursor, kept.id)
    // Acknowledged, expired or dropped since.
    if (value === null) return
    const about = value.messageRecord
    if (about !== undefined && about.value !== null && !this.#messages.has(about.id)) {
      this.#messages.add(about.id)
      writeItem(writer, about.id, about.value, this.#nowMs())
    }
    writeItem(writer, kept.id, value, this.#nowMs())
  }
}
