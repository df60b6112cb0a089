// One conversation of an enrolment: frames over a sealed stream, confirmed like a link, with a bound on silence. Both
// sides use it; what is said is theirs.

import { PeerError } from '../../base/errors.ts'
import { type Clock, every, type Timer } from '../../base/ports/clock.ts'
import type { ByteStream, StreamHandler } from '../../base/ports/streams.ts'
import { type Confirm, decodeConfirm, encodeConfirm } from '../../wire/link/confirm.ts'
import { encodeFrame, FrameKind, FrameReader } from '../../wire/link/frame.ts'
import { TAMPERED } from '../links/link.ts'

/** Between two frames of the other side, people's thinking included: they are covered by pings. */
const SILENT_MS = 15_000
const PING_MS = 5_000
/** What was said last must leave before the stream is cut. */
const FLUSH_MS = 2_000

export interface TalkEvents {
  /** The other side has confirmed: both hellos are as they were sent. */
  confirmed(theirs: Confirm): void
  /** Throws PeerError for what breaks the rules. */
  said(kind: number, bytes: Buffer, start: number, end: number): void
  /** Called once, last, unless `end` was. */
  ended(why: string): void
}

export class EnrolTalk implements StreamHandler {
  readonly #clock: Clock
  readonly #stream: ByteStream
  readonly #ours: Confirm
  readonly #events: TalkEvents
  readonly #reader = new FrameReader()
  readonly #pinging: Timer
  #silence: Timer
  #confirmed = false
  #over = false

  constructor(clock: Clock, stream: ByteStream, ours: Confirm, events: TalkEvents) {
    this.#clock = clock
    this.#stream = stream
    this.#ours = ours
    this.#events = events
    this.#silence = this.#patience()
    this.#pinging = every(clock, PING_MS, 'cluster.enrol.ping', () => this.say(FrameKind.ping, EMPTY))
  }

  /** Begins to read, and confirms. */
  start(): void {
    this.say(FrameKind.confirm, encodeConfirm(this.#ours))
    this.#stream.open(this)
  }

  say(kind: number, body: Buffer): void {
    if (!this.#over) this.#stream.write(encodeFrame(kind, 0, body))
  }

  /** Ends it for a reason of ours, behind what was said. */
  end(): void {
    if (!this.#close()) return
    this.#stream.end()
    this.#clock.after(FLUSH_MS, 'cluster.enrol.flush', () => this.#stream.destroy())
  }

  received(buffer: Buffer, start: number, end: number): void {
    if (this.#over) return
    this.#silence.cancel()
    this.#silence = this.#patience()
    try {
      this.#reader.read(buffer, start, end, this.#frame)
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      this.#lost(error.message)
    }
  }

  drained(): void {}

  closed(why: string | null): void {
    this.#lost(why ?? 'the other side has hung up')
  }

  readonly #frame = (kind: number, channel: number, bytes: Buffer, start: number, end: number): boolean => {
    if (channel !== 0) throw new PeerError('a channel in an enrolment')
    if (!this.#confirmed) this.#confirm(kind, bytes, start, end)
    else if (kind === FrameKind.confirm) throw new PeerError('a second confirmation')
    else if (kind !== FrameKind.ping) this.#events.said(kind, bytes, start, end)
    return !this.#over
  }

  #confirm(kind: number, bytes: Buffer, start: number, end: number): void {
    if (kind !== FrameKind.confirm) throw new PeerError('no confirmation')
    const theirs = decodeConfirm(bytes, start, end)
    const { acceptorHello, diallerHello } = this.#ours
    if (!theirs.acceptorHello.equals(acceptorHello) || !theirs.diallerHello.equals(diallerHello)) {
      throw new PeerError(TAMPERED)
    }
    this.#confirmed = true
    this.#events.confirmed(theirs)
  }

  #lost(why: string): void {
    if (!this.#close()) return
    this.#stream.destroy()
    this.#events.ended(why)
  }

  /** Whether it was open until now. */
  #close(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#silence.cancel()
    this.#pinging.cancel()
    return true
  }

  #patience(): Timer {
    return this.#clock.after(SILENT_MS, 'cluster.enrol.silence', () => this.#lost('timeout'))
  }
}

const EMPTY = Buffer.alloc(0)
