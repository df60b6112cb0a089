// A channel and its lanes: a lane is the channel towards one linked peer. It sends small messages at once, keeps what
// the peer has no room for, cuts large messages into pieces and joins what arrives in pieces.

import { Deque } from '../../base/deque.ts'
import { assert, PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Outbox } from '../../base/outbox.ts'
import { FRAME_HEADER_BYTES, FrameKind, writeFrameHeader } from '../../wire/link/frame.ts'
import type { Channel, ChannelHandler, ChannelOptions } from '../ports.ts'
import { costOf, ReceiveCredit, SendCredit } from './credit.ts'

/** What a lane asks of the link it runs on. */
export interface LaneLink {
  readonly peer: NodeId
  readonly outbox: Outbox
  /** So much waits for the socket that small messages should wait here, where urgent ones can pass them. */
  congested(): boolean
  /** Something waits: pump the lanes at the end of this turn. */
  pumpSoon(): void
}

export class OpenChannel implements Channel {
  readonly name: string
  /** Our number for it on every link. */
  readonly number: number
  readonly options: ChannelOptions
  readonly handler: ChannelHandler
  /** The linked peers that have it too. */
  readonly lanes = new Map<NodeId, Lane>()

  constructor(name: string, number: number, options: ChannelOptions, handler: ChannelHandler) {
    this.name = name
    this.number = number
    this.options = options
    this.handler = handler
  }

  peers(): readonly NodeId[] {
    return [...this.lanes.keys()]
  }

  send(peer: NodeId, message: Buffer): 'sent' | 'full' | 'unlinked' {
    const lane = this.lanes.get(peer)
    return lane === undefined ? 'unlinked' : lane.send(message)
  }

  pendingBytes(peer: NodeId): number {
    return this.lanes.get(peer)?.pendingBytes ?? 0
  }
}

/** Bytes of normal messages that one pass over the lanes sends of one lane before the next has its turn. */
const PASS_BYTES = limits.frameBytes

export class Lane {
  readonly channel: OpenChannel
  readonly #link: LaneLink
  readonly #credit: SendCredit
  readonly #window = new ReceiveCredit(limits.channelWindowBytes)
  readonly #bulk: boolean
  readonly #waiting = new Deque<Buffer>()
  #waitingBytes = 0
  /** Bytes of the first waiting message that went out as pieces. */
  #headAt = 0
  /** `room` is owed once the waiting bytes fall to half of the bound. */
  #owesRoom = false
  /** The message that arrives in pieces: what it will be, and what is there. */
  #joining: Buffer | null = null
  #joinedBytes = 0
  #totalBytes = 0

  constructor(channel: OpenChannel, link: LaneLink, peerWindowBytes: number) {
    this.channel = channel
    this.#link = link
    this.#credit = new SendCredit(peerWindowBytes)
    this.#bulk = channel.options.priority === 'bulk'
  }

  get pendingBytes(): number {
    return this.#waitingBytes
  }

  /** Bytes that may still be sent before the peer gives more. */
  get creditBytes(): number {
    return this.#credit.left
  }

  send(message: Buffer): 'sent' | 'full' {
    const length = message.length
    if (
      this.#waiting.length === 0 &&
      length <= limits.pieceBytes &&
      !this.#bulk &&
      !this.#link.congested() &&
      this.#credit.take(costOf(length))
    ) {
      this.#write(FrameKind.data, message, 0, length)
      return 'sent'
    }
    assert(length <= limits.channelMessageBytes, 'a message over the bound of a channel')
    const cost = costOf(length)
    if (this.#waiting.length > 0 && this.#waitingBytes + cost > this.channel.options.queueBytes) {
      this.#owesRoom = true
      return 'full'
    }
    this.#waiting.push(Buffer.from(message))
    this.#waitingBytes += cost
    if (this.#waitingBytes > this.channel.options.queueBytes / 2) this.#owesRoom = true
    this.#link.pumpSoon()
    return 'sent'
  }

  /** The peer has consumed `bytes`. */
  credited(bytes: number): void {
    this.#credit.give(bytes)
  }

  /** Sends waiting small messages, at most a pass' worth; true when anything went. */
  flush(): boolean {
    if (this.#bulk) return false
    let budget = PASS_BYTES
    while (budget > 0) {
      const head = this.#waiting.peek()
      if (head === undefined || head.length > limits.pieceBytes || this.#link.congested()) break
      if (!this.#credit.take(costOf(head.length))) break
      this.#write(FrameKind.data, head, 0, head.length)
      this.#shift(head)
      budget -= costOf(head.length)
    }
    return budget < PASS_BYTES
  }

  /** Sends the next piece: a part of a large message, or as many small bulk messages. False when there is none to send. */
  flushPiece(): boolean {
    const head = this.#waiting.peek()
    if (head === undefined) return false
    if (head.length > limits.pieceBytes) return this.#flushPart(head)
    if (!this.#bulk) return false
    let budget: number = limits.pieceBytes
    for (let next: Buffer | undefined = head; next !== undefined; next = this.#waiting.peek()) {
      const cost = costOf(next.length)
      // The first goes even when its header makes it larger than a piece.
      if (next.length > limits.pieceBytes || (cost > budget && next !== head) || !this.#credit.take(cost)) break
      this.#write(FrameKind.data, next, 0, next.length)
      this.#shift(next)
      budget -= cost
    }
    return budget < limits.pieceBytes
  }

  /** Calls `room` when it is owed and there is room. */
  tellRoom(): void {
    if (!this.#owesRoom || this.#waitingBytes > this.channel.options.queueBytes / 2) return
    this.#owesRoom = false
    this.channel.handler.room?.(this.#link.peer)
  }

  /** A frame of this lane came in; throws PeerError, of its own or the handler's. */
  received(kind: number, bytes: Buffer, start: number, end: number): void {
    const cost = costOf(end - start)
    this.#window.arrived(cost)
    if (kind === FrameKind.data) {
      if (this.#joining !== null) throw new PeerError('a message between pieces')
      this.channel.handler.received(this.#link.peer, bytes.subarray(start, end))
    } else {
      this.#receivedPiece(kind, bytes, start, end)
    }
    const lot = this.#window.consumed(cost)
    if (lot > 0) this.#giveCredit(lot)
  }

  #receivedPiece(kind: number, bytes: Buffer, start: number, end: number): void {
    let from = start
    if (kind === FrameKind.pieceFirst) {
      if (this.#joining !== null) throw new PeerError('a message between pieces')
      if (end - start < 4) throw new PeerError('truncated frame')
      const total = bytes.readUInt32BE(start)
      if (total > (this.channel.options.messageBytes ?? limits.channelMessageBytes)) {
        throw new PeerError('message over the bound of its channel')
      }
      from += 4
      this.#totalBytes = total
      this.#joinedBytes = 0
      this.#joining = NOTHING
    }
    const joining = this.#joining
    if (joining === null) throw new PeerError('a piece of no message')
    const joined = this.#joinedBytes + end - from
    if (joined > this.#totalBytes || (kind === FrameKind.pieceLast && joined < this.#totalBytes)) {
      throw new PeerError('pieces that do not add up')
    }
    const buffer = joined <= joining.length ? joining : this.#grow(joining, joined)
    bytes.copy(buffer, this.#joinedBytes, from, end)
    this.#joinedBytes = joined
    if (kind !== FrameKind.pieceLast) return
    this.#joining = null
    this.channel.handler.received(this.#link.peer, buffer.subarray(0, joined))
  }

  /** Room for what has arrived: never for what was only announced. */
  #grow(joining: Buffer, needed: number): Buffer {
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#totalBytes, Math.max(needed, 2 * joining.length)))
    joining.copy(grown, 0, 0, this.#joinedBytes)
    this.#joining = grown
    return grown
  }

  #flushPart(message: Buffer): boolean {
    const start = this.#headAt
    const end = Math.min(message.length, start + limits.pieceBytes)
    const first = start === 0
    if (!this.#credit.take(costOf(end - start + (first ? 4 : 0)))) return false
    if (first) {
      const outbox = this.#link.outbox
      const body = 4 + end - start
      const chunk = outbox.room(FRAME_HEADER_BYTES + body)
      let at = writeFrameHeader(chunk, outbox.at, FrameKind.pieceFirst, this.channel.number, body)
      at = chunk.writeUInt32BE(message.length, at)
      outbox.at = at + message.copy(chunk, at, start, end)
    } else {
      this.#write(end === message.length ? FrameKind.pieceLast : FrameKind.piece, message, start, end)
    }
    this.#headAt = end
    if (end === message.length) {
      this.#headAt = 0
      this.#shift(message)
    }
    return true
  }

  #write(kind: number, bytes: Buffer, start: number, end: number): void {
    const outbox = this.#link.outbox
    const chunk = outbox.room(FRAME_HEADER_BYTES + end - start)
    const at = writeFrameHeader(chunk, outbox.at, kind, this.channel.number, end - start)
    bytes.copy(chunk, at, start, end)
    outbox.at = at + end - start
  }

  #giveCredit(bytes: number): void {
    const outbox = this.#link.outbox
    const chunk = outbox.room(FRAME_HEADER_BYTES + 4)
    const at = writeFrameHeader(chunk, outbox.at, FrameKind.credit, this.channel.number, 4)
    outbox.at = chunk.writeUInt32BE(bytes, at)
  }

  #shift(message: Buffer): void {
    this.#waiting.shift()
    this.#waitingBytes -= costOf(message.length)
  }
}

const NOTHING = Buffer.alloc(0)
