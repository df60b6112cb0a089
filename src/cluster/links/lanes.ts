// The lanes of one link: which channel has which number, what may be sent when, and to whom what arrives belongs.
//
// Urgent goes before normal before bulk. Small messages go as long as the socket keeps up. Of large messages and of bulk
// one piece is under way at a time: the next is written when the last has left this process, so that nothing else ever
// waits behind more than a piece.

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import type { Outbox } from '../../base/outbox.ts'
import type { Clock } from '../../base/ports/clock.ts'
import { decodeNumber, decodeOpen, encodeFrame, encodeOpen, FrameKind } from '../../wire/link/frame.ts'
import { Lane, type LaneLink, type OpenChannel } from './channel.ts'

/** Channels that one link may carry; far more than there are features. */
const CHANNELS_MAX = 256
/** Bytes on their way to the socket beyond which small messages wait in their lanes, where urgent ones pass them. */
const CONGESTED_BYTES = 256 * 1024

const PRIORITIES = ['urgent', 'normal', 'bulk'] as const

/** What the lanes ask of the stream below. */
export interface LaneStream {
  readonly pendingBytes: number
}

export class Lanes implements LaneLink {
  readonly peer: NodeId
  readonly outbox: Outbox
  readonly #stream: LaneStream
  readonly #clock: Clock
  readonly #channel: (name: string) => OpenChannel | undefined
  /** What the peer has opened: number -> name, its window, and the lane once we have the channel too. */
  readonly #opened = new Map<number, { name: string; windowBytes: number; lane: Lane | null }>()
  readonly #byPriority: readonly Lane[][] = PRIORITIES.map(() => [])
  #pumping = false
  #closed = false
  /** `outbox.bytesOut` at which the last piece has been handed to the stream. */
  #pieceEnd = 0

  constructor(
    link: { readonly peer: NodeId; readonly outbox: Outbox },
    stream: LaneStream,
    clock: Clock,
    channel: (name: string) => OpenChannel | undefined,
  ) {
    this.peer = link.peer
    this.outbox = link.outbox
    this.#stream = stream
    this.#clock = clock
    this.#channel = channel
  }

  /** Tells the peer that we have a channel; joins it with the peer's when that is open already. */
  announce(channel: OpenChannel): void {
    this.outbox.append(encodeFrame(FrameKind.open, channel.number, encodeOpen(channel.name, limits.channelWindowBytes)))
    for (const opened of this.#opened.values()) {
      if (opened.name !== channel.name) continue
      // Not from within `open`: the caller does not hold its channel yet.
      this.#clock.soon(() => {
        if (!this.#closed) this.#join(opened, channel)
      })
    }
  }

  /** A frame of a channel; throws PeerError. */
  received(kind: number, number: number, bytes: Buffer, start: number, end: number): void {
    if (kind === FrameKind.open) return this.#peerOpened(number, bytes, start, end)
    const opened = this.#opened.get(number)
    if (opened === undefined) throw new PeerError('a channel that was not opened')
    const lane = opened.lane ?? this.#joinNow(opened)
    if (kind === FrameKind.credit) {
      lane.credited(decodeNumber(bytes, start, end))
      if (lane.pendingBytes > 0) this.pumpSoon()
    } else {
      lane.received(kind, bytes, start, end)
    }
  }

  congested(): boolean {
    return this.#stream.pendingBytes > CONGESTED_BYTES
  }

  pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#clock.soon(this.#pump)
  }

  /** The socket has taken everything, or enough time has passed to look again. */
  drained(): void {
    if (this.#waits()) this.pumpSoon()
  }

  /** The link is gone. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const joined = this.#byPriority.flat()
    for (const lane of joined) lane.channel.lanes.delete(this.peer)
    for (const lane of joined) lane.channel.handler.unlinked(this.peer)
  }

  readonly #pump = (): void => {
    this.#pumping = false
    if (this.#closed) return
    for (const lanes of this.#byPriority) flushAll(lanes)
    this.#nextPiece()
    for (const lanes of this.#byPriority) {
      for (let index = 0; index < lanes.length && !this.#closed; index++) lanes[index]!.tellRoom()
    }
  }

  #nextPiece(): void {
    const left = this.outbox.bytesOut - this.#stream.pendingBytes
    if (left < this.#pieceEnd) return
    for (const lanes of this.#byPriority) {
      for (let index = 0; index < lanes.length; index++) {
        const lane = lanes[index]!
        if (!lane.flushPiece()) continue
        this.#pieceEnd = this.outbox.bytesOut + this.outbox.at
        lanes.push(...lanes.splice(index, 1))
        // The outbox was enlisted first, so it is flushed before the pump looks again.
        this.pumpSoon()
        return
      }
    }
  }

  #waits(): boolean {
    for (const lanes of this.#byPriority) {
      for (let index = 0; index < lanes.length; index++) {
        if (lanes[index]!.pendingBytes > 0) return true
      }
    }
    return false
  }

  #peerOpened(number: number, bytes: Buffer, start: number, end: number): void {
    const { name, windowBytes } = decodeOpen(bytes, start, end)
    if (number === 0 || this.#opened.has(number)) throw new PeerError('a channel number used twice')
    if (this.#opened.size >= CHANNELS_MAX) throw new PeerError('too many channels')
    for (const other of this.#opened.values()) {
      if (other.name === name) throw new PeerError('a channel opened twice')
    }
    const opened = { name, windowBytes, lane: null }
    this.#opened.set(number, opened)
    const channel = this.#channel(name)
    if (channel !== undefined) this.#join(opened, channel)
  }

  #joinNow(opened: { name: string; windowBytes: number; lane: Lane | null }): Lane {
    const channel = this.#channel(opened.name)
    if (channel === undefined) throw new PeerError('a channel that is not open on both sides')
    return this.#join(opened, channel)
  }

  #join(opened: { windowBytes: number; lane: Lane | null }, channel: OpenChannel): Lane {
    if (opened.lane !== null) return opened.lane
    const lane = new Lane(channel, this, opened.windowBytes)
    opened.lane = lane
    this.#byPriority[PRIORITIES.indexOf(channel.options.priority)]!.push(lane)
    channel.lanes.set(this.peer, lane)
    channel.handler.linked(this.peer)
    return lane
  }
}

/** Small messages of lanes of one priority, in turns, as long as anything goes. */
function flushAll(lanes: readonly Lane[]): void {
  let sent = true
  while (sent) {
    sent = false
    for (let index = 0; index < lanes.length; index++) {
      if (lanes[index]!.flush()) sent = true
    }
  }
}
