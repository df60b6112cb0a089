// Simulated TCP: streams that keep order and lose nothing while both ends live, over paths that delay, stall and go
// silent. Bytes are split and joined at will, and a read buffer is spoiled after each call, as the real host reuses it.
//
//   write -> [sender's kernel] -> on the way -> [receiver's kernel] -> received
//            full: `write` answers false          full or paused: the sender's kernel fills

import type { ByteStream, Endpoint, StreamHandler } from '../../src/base/ports/streams.ts'
import type { SimClock } from './clock.ts'
import type { Machine, Network, Path } from './network.ts'

/** What travels: bytes, or null for the end of the stream. */
interface Segment {
  readonly bytes: Buffer | null
  readonly at: number
}

/** One direction of one connection. */
export class Pipe {
  readonly from: SimStream
  readonly to: SimStream
  readonly #network: Network
  readonly #path: Path
  readonly #back: Path
  readonly #segments: Segment[] = []
  /** Bytes in the sender's kernel: not yet known to have arrived. */
  kernelBytes = 0
  #unacknowledged = 0
  #lastAt = 0
  #scheduledAt = -1

  constructor(network: Network, from: SimStream, to: SimStream, establishedAt: number) {
    this.#network = network
    this.from = from
    this.to = to
    this.#path = network.path(from.machine, to.machine)
    this.#back = network.path(to.machine, from.machine)
    this.#lastAt = establishedAt
  }

  get room(): number {
    return this.#network.sendBufferBytes - this.kernelBytes
  }

  /** Takes bytes into the sender's kernel; the caller has copied them and seen that there is room. */
  push(bytes: Buffer | null): void {
    const { timeline } = this.#network
    const at = Math.max(this.#lastAt, timeline.now + this.#network.streamLatency(this.#path))
    this.#lastAt = at
    this.kernelBytes += bytes?.length ?? 0
    this.#segments.push({ bytes, at })
    this.#schedule(at)
  }

  /** Hands over what has arrived by now. */
  pump(): void {
    const { timeline } = this.#network
    const { to, from } = this
    if (this.#segments.length === 0 || this.#scheduledAt >= 0) return
    if (from.lostTouch || to.lostTouch) return
    if (!to.machine.powered) return void to.machine.stalled.add(this)
    if (this.#path.cut) return void this.#path.stalled.add(this)
    if (to.gone) return this.#answerReset()
    while (this.#segments.length > 0 && this.#segments[0]!.at <= timeline.now && !to.fullInbox) {
      const { bytes } = this.#segments.shift()!
      if (bytes === null) {
        to.ended()
      } else {
        this.#arrived(bytes.length)
        to.arrived(bytes)
      }
    }
    const next = this.#segments[0]
    if (next !== undefined && next.at > timeline.now) this.#schedule(next.at)
    to.deliver()
  }

  /** The sender's process is gone without a word of its own, or does not want what is on the way any more. */
  discard(): void {
    this.#segments.length = 0
  }

  #schedule(at: number): void {
    if (this.#scheduledAt >= 0) return
    this.#scheduledAt = at
    this.#network.timeline.at(at, this.to.owner, 'net.arrival', this.#arrival, false)
  }

  readonly #arrival = (): void => {
    this.#scheduledAt = -1
    this.pump()
  }

  /** The acknowledgement frees the sender's kernel, unless it cannot come back. */
  #arrived(length: number): void {
    this.#unacknowledged += length
    if (this.#back.cut) return
    this.kernelBytes -= this.#unacknowledged
    this.#unacknowledged = 0
    if (this.from.pendingBytes > 0) {
      const backMs = this.#network.streamLatency(this.#back)
      this.#network.timeline.after(backMs, this.from.owner, 'net.room', () => this.from.flush(), false)
    }
  }

  /** The other end knows nothing of this connection (any more): its kernel says so. */
  #answerReset(): void {
    this.#segments.length = 0
    if (this.#back.cut) return
    const backMs = this.#network.streamLatency(this.#back)
    this.#network.timeline.after(backMs, this.from.owner, 'net.reset', () => this.from.reset('reset by peer'), false)
  }
}

/** How long the other side may take to read our last bytes, and then to end its side. */
const FLUSH_MS = 5000
const LINGER_MS = 1000

/** Shared by all reads of the world: nothing of it may be kept beyond the call. */
const readBuffer = Buffer.alloc(64 * 1024 + 256)

export class SimStream implements ByteStream {
  readonly #network: Network
  readonly machine: Machine
  readonly owner: SimClock
  readonly local: Endpoint
  readonly remote: Endpoint
  #out: Pipe | null = null
  #handler: StreamHandler | null = null
  #inbox: Buffer[] = []
  #inboxBytes = 0
  #inboxEnded = false
  #paused = false
  #pending: Buffer[] = []
  #pendingBytes = 0
  #ending = false
  /** This end is closed as far as its kernel is concerned. */
  gone = false
  #closedTold = false
  #closedUnheard: { why: string | null } | null = null
  #waking = false
  /** The address is not this machine's any more, or the power went: nothing arrives and nothing leaves. */
  lostTouch = false

  constructor(network: Network, machine: Machine, owner: SimClock, local: Endpoint, remote: Endpoint) {
    this.#network = network
    this.machine = machine
    this.owner = owner
    this.local = local
    this.remote = remote
  }

  connect(out: Pipe): void {
    this.#out = out
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get fullInbox(): boolean {
    return this.#inboxBytes >= this.#network.receiveBufferBytes
  }

  get peer(): SimStream {
    return this.#out!.to
  }

  open(handler: StreamHandler): void {
    this.#handler = handler
    const closed = this.#closedUnheard
    if (closed !== null) {
      this.#closedUnheard = null
      this.#turn('net.closed', () => this.#handler?.closed(closed.why))
    }
    this.#wake()
  }

  /** Reads nothing any more until somebody opens it again. */
  detach(): void {
    this.#handler = null
    this.#paused = false
  }

  write(bytes: Buffer): boolean {
    if (this.gone || this.#ending || bytes.length === 0) return true
    const out = this.#out!
    if (this.#pendingBytes === 0 && out.room >= bytes.length) {
      out.push(Buffer.from(bytes))
      return true
    }
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    this.flush()
    return this.#pendingBytes === 0
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
    if (this.gone || this.#ending) return
    this.#ending = true
    if (this.#pendingBytes === 0) this.#finish()
    else this.#turn('net.flush-late', () => this.#closeAfterEnd(), FLUSH_MS)
  }

  destroy(): void {
    if (this.gone) return
    const abrupt = this.#inboxBytes > 0 || this.#network.dice.chance(0.2)
    this.vanish(abrupt)
    this.#tellClosed(null)
  }

  /** What the kernel does for a process that is gone: an end, or a reset when something was not read. */
  vanish(abrupt: boolean): void {
    if (this.gone) return
    this.gone = true
    this.#drop()
    if (this.lostTouch) return
    this.#network.streamClosed(this.owner, this.peer.owner)
    if (abrupt) this.#sendReset('reset by peer')
    else this.#out!.push(null)
  }

  /** The machine lost its power: no word leaves any more. */
  fade(): void {
    this.gone = true
    this.#drop()
    this.#out!.discard()
  }

  /** Ends the connection with a word for the other side, as a TLS alert does. */
  refuse(why: string): void {
    if (this.gone) return
    this.gone = true
    this.#drop()
    if (!this.lostTouch) this.#sendReset(why)
    this.#tellClosed(null)
  }

  /** Takes bytes back in front of what waits to be read. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#inbox.unshift(bytes)
    this.#inboxBytes += bytes.length
    this.#wake()
  }

  /** Moves what waits for room into the kernel. */
  flush(): void {
    if (this.gone || this.#pendingBytes === 0) return
    const out = this.#out!
    while (this.#pending.length > 0 && out.room > 0) {
      const head = this.#pending[0]!
      const taken = Math.min(out.room, head.length)
      out.push(Buffer.from(head.subarray(0, taken)))
      this.#pendingBytes -= taken
      if (taken < head.length) this.#pending[0] = head.subarray(taken)
      else this.#pending.shift()
    }
    if (this.#pendingBytes > 0) return
    this.#turn('net.drained', () => {
      if (this.gone || this.#pendingBytes > 0) return
      this.#handler?.drained()
      if (this.#ending) this.#finish()
    })
  }

  arrived(bytes: Buffer): void {
    this.#inbox.push(bytes)
    this.#inboxBytes += bytes.length
  }

  ended(): void {
    this.#inboxEnded = true
  }

  /** Hands the handler what may be read now. */
  deliver(): void {
    if (this.#ending) this.#readIntoTheVoid()
    while (this.#handler !== null && !this.#paused && !this.gone && this.#inboxBytes > 0) {
      const length = this.#readable()
      const start = length & 0xff
      this.#takeInto(readBuffer, start, length)
      this.#network.timeline.mix(length)
      if (!this.owner.dead) this.#handler.received(readBuffer, start, start + length)
      readBuffer.fill(0xa5, start, start + length)
      if (this.#inboxBytes > 0 && length < 64 * 1024) return this.#wake()
    }
    const mayEnd = this.#handler !== null && (!this.#paused || this.#ending) && !this.gone
    if (this.#inboxEnded && this.#inboxBytes === 0 && mayEnd) {
      // Both directions close, ours behind what is still to be written: a half-open connection is of no use here.
      if (this.#pendingBytes > 0) return this.end()
      this.gone = true
      this.#network.streamClosed(this.owner, this.peer.owner)
      if (!this.#ending) this.#out!.push(null)
      this.#drop()
      this.#tellClosed(null)
    } else if (this.#inboxBytes === 0 && !this.gone) {
      this.peer.pumpAgain()
    }
  }

  pumpAgain(): void {
    this.#out!.pump()
  }

  reset(why: string): void {
    if (this.gone) return
    this.gone = true
    this.#network.streamClosed(this.owner, this.peer.owner)
    this.#drop()
    this.#tellClosed(this.#ending ? null : why)
  }

  /** After `end` nobody hears what comes, but the other side's end comes behind it. */
  #readIntoTheVoid(): void {
    this.#inbox = []
    this.#inboxBytes = 0
  }

  #readable(): number {
    const most = Math.min(this.#inboxBytes, 64 * 1024)
    return most > 1 && this.#network.dice.chance(this.#network.splitting) ? this.#network.dice.whole(1, most - 1) : most
  }

  #takeInto(buffer: Buffer, start: number, length: number): void {
    let at = start
    let left = length
    while (left > 0) {
      const head = this.#inbox[0]!
      const taken = Math.min(left, head.length)
      head.copy(buffer, at, 0, taken)
      at += taken
      left -= taken
      if (taken < head.length) this.#inbox[0] = head.subarray(taken)
      else this.#inbox.shift()
    }
    this.#inboxBytes -= length
  }

  #finish(): void {
    this.#out!.push(null)
    // The kernel goes on by itself; a peer that never answers must not keep the process waiting.
    this.#turn('net.lingered', () => this.#closeAfterEnd(), this.#inboxEnded ? 0 : LINGER_MS)
  }

  #closeAfterEnd(): void {
    if (this.gone) return
    this.gone = true
    this.#drop()
    this.#tellClosed(null)
  }

  #sendReset(why: string): void {
    const { to } = this.#out!
    this.#out!.discard()
    const path = this.#network.path(this.machine, to.machine)
    if (path.cut || !to.machine.powered || to.lostTouch) return
    const lateMs = this.#network.streamLatency(path)
    this.#network.timeline.after(lateMs, to.owner, 'net.reset', () => to.reset(why), false)
  }

  #drop(): void {
    this.#inbox = []
    this.#inboxBytes = 0
    this.#pending = []
    this.#pendingBytes = 0
  }

  #tellClosed(why: string | null): void {
    if (this.#closedTold) return
    this.#closedTold = true
    this.#turn('net.closed', () => {
      if (this.#handler === null) this.#closedUnheard = { why }
      else this.#handler.closed(why)
    })
  }

  #wake(): void {
    if (this.#waking || this.gone) return
    this.#waking = true
    this.#turn('net.readable', () => {
      this.#waking = false
      this.deliver()
    })
  }

  #turn(name: string, run: () => void, delayMs = 0): void {
    this.#network.timeline.after(delayMs, this.owner, name, run)
  }
}
