// One link: frames over a secured stream. It is proven when the peer's confirmation has come and agrees with what was
// said in the clear, and used when the deciding side of the pair has adopted it.
//
//   confirming --confirm--> proven --adopt--> used --> closed     (and from each state straight to closed)

import { assert, PeerError } from '../../base/errors.ts'
import type { InstanceId, NodeId } from '../../base/ids.ts'
import { KiB, MiB } from '../../base/limits.ts'
import { Outbox, type Turn } from '../../base/outbox.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { ByteStream, Endpoint, StreamHandler } from '../../base/ports/streams.ts'
import { type Confirm, decodeConfirm, encodeConfirm } from '../../wire/link/confirm.ts'
import {
  decodeGoodbye,
  decodeNumber,
  encodeFrame,
  encodeGoodbye,
  encodeNumber,
  FrameKind,
  FrameReader,
  type GoodbyeReason,
} from '../../wire/link/frame.ts'
import type { Lanes } from './lanes.ts'

/** From TLS to being used. */
export const PROVING_MS = 5000
/** A goodbye that does not leave by then is not worth waiting for. */
const GOODBYE_MS = 2000
/** Lanes hold back what the socket does not take, so more than this is a peer that makes us write and never reads. */
const PENDING_BYTES_MAX = 8 * MiB
const CONTROL_BYTES_MAX = 512 * KiB

export type LinkState = 'confirming' | 'proven' | 'used' | 'closed'

/** Who is told of what happens to a link. */
export interface LinkEvents {
  proven(link: Link): void
  /** The deciding side has chosen this link. */
  adopted(link: Link, choice: number): void
  /** The peer has sent a kind of frame that this version does not know. */
  unknown(): void
  /** Called once. */
  closed(link: Link, why: LinkEnd): void
}

export interface LinkEnd {
  readonly reason: string
  /** We closed it; the peer did, and said why; or the stream ended. */
  readonly by: 'us' | 'peer' | 'stream'
  readonly goodbye: GoodbyeReason | null
}

/** What is known of a peer once TLS stands. */
export interface LinkPeer {
  readonly id: NodeId
  readonly instance: InstanceId
  readonly certificate: string
  readonly keyFingerprint: string
  /** Of the protocol, common to both sides. */
  readonly version: number
  /** The member whose link carries this one; null: it runs straight. */
  readonly via: NodeId | null
}

export class Link implements StreamHandler {
  readonly peer: NodeId
  readonly peerInstance: InstanceId
  readonly keyFingerprint: string
  /** What the peer has proven itself by. */
  readonly certificate: string
  /** The version of the protocol that is spoken over it. */
  readonly version: number
  readonly via: NodeId | null
  /** Where we dialled; null when the peer came to us. */
  readonly dialled: Endpoint | null
  readonly remote: Endpoint
  readonly outbox: Outbox
  readonly #clock: Clock
  readonly #stream: ByteStream
  readonly #events: LinkEvents
  readonly #reader = new FrameReader()
  readonly #ours: Confirm
  #state: LinkState = 'confirming'
  #deadline: Timer | null
  #theirs: Confirm | null = null
  #lanes: Lanes | null = null
  #heardMs: number
  #pingToken = 0
  #pingMs = 0
  #rttMs: number | null = null
  /** The number of the deciding side's choice of this link. */
  choice = 0

  constructor(
    clock: Clock,
    turn: Turn,
    stream: ByteStream,
    peer: LinkPeer,
    dialled: Endpoint | null,
    ours: Confirm,
    events: LinkEvents,
  ) {
    this.#clock = clock
    this.#stream = stream
    this.#events = events
    this.#ours = ours
    this.peer = peer.id
    this.peerInstance = peer.instance
    this.keyFingerprint = peer.keyFingerprint
    this.certificate = peer.certificate
    this.version = peer.version
    this.via = peer.via
    this.dialled = dialled
    this.remote = stream.remote
    this.outbox = new Outbox(turn, stream)
    this.#heardMs = clock.now()
    this.#deadline = clock.after(PROVING_MS, 'cluster.proving', () => this.close('timeout', 'timeout'))
  }

  /** Begins to read, and says our confirmation. */
  start(): void {
    this.outbox.append(encodeFrame(FrameKind.confirm, 0, encodeConfirm(this.#ours)))
    this.#stream.open(this)
  }

  get state(): LinkState {
    return this.#state
  }

  /** Whether the peer's confirmation ever came. */
  get proven(): boolean {
    return this.#theirs !== null
  }

  /** What the peer told of itself; there from the moment it is proven. */
  get told(): Confirm {
    assert(this.#theirs !== null, 'a link that is not proven has told nothing')
    return this.#theirs
  }

  /** Any byte counts as life. */
  get heardMs(): number {
    return this.#heardMs
  }

  get rttMs(): number | null {
    return this.#rttMs
  }

  get lanes(): Lanes | null {
    return this.#lanes
  }

  /** We were away ourselves for `byMs`: the peer is not to blame for the silence. */
  forgive(byMs: number): void {
    this.#heardMs += byMs
  }

  /** The deciding side says that this link is the one. */
  adopt(choice: number): void {
    this.choice = choice
    this.outbox.append(encodeFrame(FrameKind.adopt, 0, encodeNumber(choice)))
  }

  /** From now on the link's channels are in use. */
  use(attach: (stream: ByteStream) => Lanes): void {
    assert(this.#state === 'proven', `link used while ${this.#state}`)
    this.#deadline?.cancel()
    this.#deadline = null
    this.#state = 'used'
    this.#lanes = attach(this.#stream)
  }

  ping(): void {
    if (this.#state !== 'used') return
    if (this.outbox.pendingBytes > PENDING_BYTES_MAX) return this.close('not reading', null)
    this.#pingMs = this.#clock.now()
    this.#pingToken = (this.#pingToken + 1) % 0x1_0000_0000
    this.outbox.append(encodeFrame(FrameKind.ping, 0, encodeNumber(this.#pingToken)))
    this.#lanes?.drained()
  }

  /** Ends it for a reason of ours; `goodbye` null says nothing to the peer. */
  close(reason: string, goodbye: GoodbyeReason | null, text = ''): void {
    if (this.#state === 'closed') return
    if (goodbye === null) {
      this.#stream.destroy()
    } else {
      this.outbox.append(encodeFrame(FrameKind.goodbye, 0, encodeGoodbye(goodbye, text)))
      this.outbox.flush()
      this.#stream.end()
      this.#clock.after(GOODBYE_MS, 'cluster.goodbye', () => this.#stream.destroy())
    }
    this.#ended({ reason, by: 'us', goodbye: null })
  }

  received(buffer: Buffer, start: number, end: number): void {
    if (this.#state === 'closed') return
    this.#heardMs = this.#clock.now()
    try {
      this.#reader.read(buffer, start, end, this.#frame)
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      const reason = error.message === TAMPERED ? TAMPERED : 'broke the rules'
      this.close(error.message, reason, error.message)
    }
  }

  drained(): void {
    this.#lanes?.drained()
  }

  closed(why: string | null): void {
    this.#ended({ reason: why ?? 'closed by peer', by: 'stream', goodbye: null })
  }

  readonly #frame = (kind: number, channel: number, bytes: Buffer, start: number, end: number): boolean => {
    if (channel !== 0) {
      // Channels are spoken on only by those who know that the link was chosen.
      if (this.#lanes === null) throw new PeerError('a channel before the link was adopted')
      if (kind >= FrameKind.open && kind <= FrameKind.credit) this.#lanes.received(kind, channel, bytes, start, end)
      else this.#events.unknown()
    } else {
      this.#control(kind, bytes, start, end)
    }
    return this.state !== 'closed'
  }

  #control(kind: number, bytes: Buffer, start: number, end: number): void {
    if (kind === FrameKind.goodbye) {
      const { reason, text } = decodeGoodbye(bytes, start, end)
      // Nobody reads there any more: what waits to be written has nowhere to go.
      this.#stream.destroy()
      return this.#ended({ reason: text === '' ? reason : `${reason}: ${text}`, by: 'peer', goodbye: reason })
    }
    if (this.#state === 'confirming') return this.#confirmed(kind, bytes, start, end)
    switch (kind) {
      case FrameKind.confirm:
        throw new PeerError('a second confirmation')
      case FrameKind.adopt:
        return this.#events.adopted(this, decodeNumber(bytes, start, end))
      case FrameKind.ping:
        return this.#pong(decodeNumber(bytes, start, end))
      case FrameKind.pong:
        return this.#ponged(decodeNumber(bytes, start, end))
      default:
        this.#events.unknown()
    }
  }

  #confirmed(kind: number, bytes: Buffer, start: number, end: number): void {
    if (kind !== FrameKind.confirm) throw new PeerError('no confirmation')
    const theirs = decodeConfirm(bytes, start, end)
    const { acceptorHello, diallerHello } = this.#ours
    if (!theirs.acceptorHello.equals(acceptorHello) || !theirs.diallerHello.equals(diallerHello)) {
      throw new PeerError(TAMPERED)
    }
    this.#theirs = theirs
    this.#state = 'proven'
    this.#events.proven(this)
  }

  /** A peer that asks and does not read gets no answers: they would pile up here. */
  #pong(token: number): void {
    if (this.outbox.pendingBytes > CONTROL_BYTES_MAX) return
    this.outbox.append(encodeFrame(FrameKind.pong, 0, encodeNumber(token)))
  }

  #ponged(token: number): void {
    if (token !== this.#pingToken) return
    const tookMs = this.#clock.now() - this.#pingMs
    this.#rttMs = this.#rttMs === null ? tookMs : this.#rttMs + (tookMs - this.#rttMs) / 4
  }

  #ended(why: LinkEnd): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#deadline?.cancel()
    this.outbox.close()
    this.#events.closed(this, why)
  }
}

export const TAMPERED = 'tampered'
