// Whether a connection is read. What stops it may overlap: it goes on when the last of them has let go.

import type { Clock, Timer } from '../base/ports/clock.ts'
import type { ByteStream } from '../base/ports/streams.ts'
import type { Framer } from '../wire/mqtt/framing.ts'
import type { Pace } from './pace.ts'

/**
 * Why a connection is not read: nobody knows yet whether it may connect, it does not take its answers, it is too fast,
 * its client id is fought over, its CONNACK has to wait.
 */
export const Hold = { answer: 1, output: 2, pace: 4, fight: 8, welcome: 16 } as const

export class Reading {
  readonly #framer: Framer
  readonly #stream: ByteStream
  /** Hands on what was kept meanwhile, and says whether the stream is to be read again. */
  readonly #goOn: () => boolean
  /** Bits of `Hold`. */
  #held = 0
  #timer: Timer | null = null

  constructor(framer: Framer, stream: ByteStream, goOn: () => boolean) {
    this.#framer = framer
    this.#stream = stream
    this.#goOn = goOn
  }

  get held(): boolean {
    return this.#held !== 0
  }

  /** Held for being too fast: its silence is our doing. */
  get paced(): boolean {
    return (this.#held & Hold.pace) !== 0
  }

  /** Reads no more, within a packet too: what has been read behind it is kept. */
  hold(why: number): void {
    if (this.#held === 0) {
      this.#framer.pause()
      this.#stream.pause()
    }
    this.#held |= why
  }

  letGo(why: number): void {
    if ((this.#held & why) === 0) return
    this.#held &= ~why
    if (this.#held === 0 && this.#goOn() && this.#held === 0) this.#stream.resume()
  }

  /** Holds for a while; `then` is done before it goes on. */
  holdFor(why: number, clock: Clock, ms: number, then: () => void): void {
    this.hold(why)
    this.#timer = clock.after(ms, 'mqtt.hold', () => {
      then()
      this.letGo(why)
    })
  }

  /** Takes a packet into account. True: that was as much as it may send for now. */
  keepPace(pace: Pace, clock: Clock, messages: number, bytes: number): boolean {
    const waitMs = pace.took(clock.now(), messages, bytes)
    if (waitMs === 0 || this.paced) return false
    this.holdFor(Hold.pace, clock, waitMs, () => {})
    return true
  }

  close(): void {
    this.#timer?.cancel()
  }
}
