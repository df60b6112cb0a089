// One end of a circuit through a relay, as a stream like any other: a link runs its own TLS over it and knows no
// difference. What may be under way is bounded end to end: an end sends no more than the other has made room for, so the
// relay never holds more of a circuit than one window each way.

import { KiB } from '../../base/limits.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { ByteStream, Endpoint, StreamHandler } from '../../base/ports/streams.ts'
import { RELAY_PIECE_BYTES } from '../../wire/link/relay.ts'

export const CIRCUIT_WINDOW_BYTES = 64 * KiB
/** Credit is given in lots: a frame for each few bytes would double the traffic. */
const CREDIT_LOT_BYTES = CIRCUIT_WINDOW_BYTES / 4

/** What a stream does to its circuit. */
export interface CircuitEnd {
  /** False: the channel to the relay takes no more, and the circuit is over. */
  bytes(piece: Buffer): boolean
  credit(consumed: number): void
  end(): void
}

export class RelayedStream implements ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #clock: Clock
  readonly #circuit: CircuitEnd
  #handler: StreamHandler | null = null
  #state: 'open' | 'ending' | 'closed' = 'open'
  #paused = false
  #room = CIRCUIT_WINDOW_BYTES
  #pending: Buffer[] = []
  #pendingBytes = 0
  #owesDrained = false
  /** What has come and nobody has read yet. */
  #inbox: Buffer[] = []
  #inboxBytes = 0
  #consumed = 0
  #ended = false
  #told = false
  #waking = false

  constructor(clock: Clock, relay: string, circuit: CircuitEnd) {
    this.#clock = clock
    this.#circuit = circuit
    this.local = { address: 'relayed', port: 0 }
    this.remote = { address: `relay ${relay}`, port: 0 }
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
    this.#wake()
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== 'open' || bytes.length === 0) return true
    let at = 0
    if (this.#pendingBytes === 0) at = this.#send(bytes)
    if (at === bytes.length || this.#state !== 'open') return true
    this.#pending.push(Buffer.from(bytes.subarray(at)))
    this.#pendingBytes += bytes.length - at
    this.#owesDrained = true
    return false
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#wake()
  }

  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    if (this.#pendingBytes === 0) this.destroy()
  }

  destroy(): void {
    if (this.#state === 'closed') return
    this.#close()
    this.#circuit.end()
  }

  // What comes through the circuit:

  /** False: more than there was room for, against the rules. */
  arrived(piece: Buffer): boolean {
    if (this.#state === 'closed') return true
    if (this.#inboxBytes + piece.length > CIRCUIT_WINDOW_BYTES) return false
    this.#inbox.push(Buffer.from(piece))
    this.#inboxBytes += piece.length
    this.#wake()
    return true
  }

  credited(bytes: number): void {
    this.#room = Math.min(CIRCUIT_WINDOW_BYTES, this.#room + bytes)
    while (this.#pending.length > 0 && this.#room > 0 && this.#state !== 'closed') {
      const head = this.#pending[0]!
      const sent = this.#send(head)
      this.#pendingBytes -= sent
      if (sent < head.length) this.#pending[0] = head.subarray(sent)
      else this.#pending.shift()
    }
    if (this.#pendingBytes > 0 || this.#state === 'closed') return
    if (this.#state === 'ending') return this.destroy()
    if (!this.#owesDrained) return
    this.#owesDrained = false
    this.#handler?.drained()
  }

  /** The other end, the relay or the link to it is gone. */
  over(): void {
    if (this.#state === 'closed') return
    this.#ended = true
    this.#wake()
  }

  /** Sends what there is room for; returns how many bytes. */
  #send(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length && this.#room > 0) {
      const end = Math.min(bytes.length, at + RELAY_PIECE_BYTES, at + this.#room)
      if (!this.#circuit.bytes(bytes.subarray(at, end))) {
        this.over()
        return bytes.length
      }
      this.#room -= end - at
      at = end
    }
    return at
  }

  /** Never from within a call of ours: who writes must not be told in the middle of it. */
  #wake(): void {
    if (this.#waking) return
    this.#waking = true
    this.#clock.soon(() => {
      this.#waking = false
      this.#deliver()
    })
  }

  #deliver(): void {
    while (this.#handler !== null && !this.#paused && this.#inbox.length > 0) {
      const piece = this.#inbox.shift()!
      this.#inboxBytes -= piece.length
      this.#consumed += piece.length
      if (this.#consumed >= CREDIT_LOT_BYTES && !this.#ended) {
        const consumed = this.#consumed
        this.#consumed = 0
        this.#circuit.credit(consumed)
      }
      this.#handler.received(piece, 0, piece.length)
    }
    if (this.#ended && this.#inbox.length === 0) this.#close()
    if (this.#state !== 'closed' || this.#told || this.#handler === null) return
    this.#told = true
    this.#handler.closed(null)
  }

  #close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#pending = []
    this.#pendingBytes = 0
    this.#inbox = []
    this.#inboxBytes = 0
    this.#wake()
  }
}
