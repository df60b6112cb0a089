// Credit of one channel towards one peer: the receiver says how much it takes in advance, the sender never sends more,
// and consumed bytes are returned in lots. So a slow or hostile peer fills a window, never our memory.

import { assert, PeerError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { FRAME_HEADER_BYTES } from '../../wire/link/frame.ts'

/** What a frame with `bodyBytes` takes of a window: its header too, so that empty messages are not free. */
export const costOf = (bodyBytes: number): number => bodyBytes + FRAME_HEADER_BYTES

/** The smallest window that a peer may offer: a whole piece must fit. */
export const WINDOW_MIN = costOf(limits.pieceBytes + 4)
export const WINDOW_MAX = 64 * limits.channelWindowBytes

/** What we may still send. */
export class SendCredit {
  readonly #window: number
  #left: number

  constructor(windowBytes: number) {
    if (windowBytes < WINDOW_MIN || windowBytes > WINDOW_MAX) throw new PeerError('window out of bounds')
    this.#window = windowBytes
    this.#left = windowBytes
  }

  get left(): number {
    return this.#left
  }

  /** Takes `cost` when there is that much; never part of it. */
  take(cost: number): boolean {
    if (cost > this.#left) return false
    this.#left -= cost
    return true
  }

  /** The peer has consumed `bytes`. More than was sent is a lie. */
  give(bytes: number): void {
    if (bytes > this.#window - this.#left) throw new PeerError('credit over the window')
    this.#left += bytes
  }
}

/** What the peer may still send us. */
export class ReceiveCredit {
  readonly #lot: number
  #left: number
  #consumed = 0

  constructor(windowBytes: number) {
    assert(windowBytes >= WINDOW_MIN, 'a window must hold a piece')
    this.#left = windowBytes
    this.#lot = windowBytes >> 2
  }

  /** A frame of `cost` came in. */
  arrived(cost: number): void {
    if (cost > this.#left) throw new PeerError('sent over its window')
    this.#left -= cost
  }

  /** Its bytes are dealt with: returns how many to give back to the sender now; 0 while a lot is not full. */
  consumed(cost: number): number {
    this.#consumed += cost
    if (this.#consumed < this.#lot) return 0
    const lot = this.#consumed
    this.#consumed = 0
    this.#left += lot
    return lot
  }
}
