// What is to be said to a member behind the messages that there are for it: forgotten when the link goes.

import { Deque } from '../../base/deque.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Channel } from '../ports.ts'

/** A member that asks for more than that gets no answer. */
const WORDS_MAX = 256

export class Behind {
  readonly #peer: NodeId
  readonly #channel: Channel
  readonly #words = new Deque<{ readonly bytes: Buffer; readonly after: number }>()

  constructor(peer: NodeId, channel: Channel) {
    this.#peer = peer
    this.#channel = channel
  }

  /** To be said when the message of that number has gone; false: too many wait. */
  add(bytes: Buffer, after: number): boolean {
    if (this.#words.length >= WORDS_MAX) return false
    this.#words.push({ bytes, after })
    return true
  }

  /**
   * Messages have gone up to that number. `all`: there are no others; messages of QoS 0 may have been dropped instead of
   * getting a number.
   */
  gone(upTo: number, all: boolean): void {
    for (let word = this.#words.peek(); word !== undefined; word = this.#words.peek()) {
      if ((!all && upTo < word.after) || this.#channel.send(this.#peer, word.bytes) !== 'sent') return
      this.#words.shift()
    }
  }

  clear(): void {
    this.#words.clear()
  }
}
