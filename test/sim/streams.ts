// Listening, dialling and accepting as one process on a machine does it, and what its kernel does when it is gone.

import { HostError } from '../../src/base/errors.ts'
import type { ByteStream, Endpoint, Listening, Streams } from '../../src/base/ports/streams.ts'
import type { SimClock } from './clock.ts'
import type { Machine, Network } from './network.ts'
import { Pipe, SimStream } from './stream.ts'

export interface Listener {
  readonly owner: SimClock
  readonly accepted: (stream: ByteStream) => void
}

/** When a dialler's kernel sends its SYN again, in milliseconds after the first. */
const SYN_AGAIN_MS = [1000, 3000, 7000, 15_000]

/** The streams of one process on a machine; all of them end with it. */
export class SimStreams implements Streams {
  readonly #network: Network
  readonly #machine: Machine
  readonly #clock: SimClock
  readonly #open = new Set<SimStream>()
  readonly #ports = new Set<number>()

  constructor(network: Network, machine: Machine, clock: SimClock) {
    this.#network = network
    this.#machine = machine
    this.#clock = clock
  }

  listen(at: Endpoint, accepted: (stream: ByteStream) => void, done: (result: Listening | HostError) => void): void {
    const { listeners } = this.#machine
    const port = at.port === 0 ? this.#machine.ephemeralPort() : at.port
    const taken = listeners.has(port)
    const listener: Listener = { owner: this.#clock, accepted }
    if (!taken) {
      listeners.set(port, listener)
      this.#ports.add(port)
    }
    this.#clock.after(0.1, 'net.listen', () => {
      if (taken) return done(new HostError('unavailable', `port ${port} is taken`))
      done({
        port,
        close: () => {
          if (listeners.get(port) === listener) listeners.delete(port)
          this.#ports.delete(port)
        },
      })
    })
  }

  dial(to: Endpoint, timeoutMs: number, done: (result: ByteStream | HostError) => void): () => void {
    const { timeline } = this.#network
    const target = this.#network.resolve(this.#machine, to.address)
    let open = true
    const finish = (result: SimStream | HostError): void => {
      if (!open) {
        if (result instanceof SimStream) result.destroy()
        return
      }
      open = false
      timer.cancel()
      done(result)
    }
    const timer = this.#clock.after(timeoutMs, 'net.dial-timeout', () =>
      finish(new HostError('unavailable', `${to.address}: no answer within ${timeoutMs} ms`)),
    )
    if (target === null) {
      if (timeoutMs > 3000) {
        this.#clock.after(3000, 'net.no-route', () => finish(new HostError('unavailable', 'no route to host')))
      }
    } else {
      const knock = (): void => {
        if (open && !this.#clock.dead) this.#knock(target, to, finish)
      }
      knock()
      for (const delayMs of SYN_AGAIN_MS) {
        if (delayMs < timeoutMs) timeline.after(delayMs, this.#clock, 'net.syn-again', knock)
      }
    }
    return () => {
      open = false
      timer.cancel()
    }
  }

  /** Every stream of this process that is open, for resets out of the blue. */
  streams(): readonly SimStream[] {
    this.#forgetGone()
    return [...this.#open]
  }

  /** The process was killed: its kernel closes everything. */
  kill(): void {
    this.#stopListening()
    for (const stream of this.#open) stream.vanish(this.#network.dice.chance(0.5))
    this.#open.clear()
  }

  /** The power went. */
  fade(): void {
    this.#stopListening()
    for (const stream of this.#open) stream.fade()
    this.#open.clear()
  }

  /** The machine has another address now: what was connected hears nothing any more, and neither do its peers. */
  loseTouch(): void {
    for (const stream of this.#open) {
      if (stream.local.address.startsWith('127.')) continue
      stream.lostTouch = true
      this.#network.streamClosed(stream.owner, stream.peer.owner)
    }
  }

  adopt(stream: SimStream): void {
    if (this.#open.size > 64) this.#forgetGone()
    this.#open.add(stream)
  }

  #forgetGone(): void {
    for (const stream of this.#open) if (stream.gone) this.#open.delete(stream)
  }

  #stopListening(): void {
    for (const port of this.#ports) this.#machine.listeners.delete(port)
    this.#ports.clear()
  }

  /** One SYN and what comes of it. A SYN that came twice makes a connection that nobody takes. */
  #knock(target: Machine, to: Endpoint, finish: (result: SimStream | HostError) => void): void {
    const network = this.#network
    const { timeline } = network
    const there = network.path(this.#machine, target)
    const back = network.path(target, this.#machine)
    const addressThen = target.address
    const lateMs = network.latency(there)
    if (there.cut || lateMs < 0 || !target.powered) return
    timeline.after(
      lateMs,
      target.listeners.get(to.port)?.owner ?? null,
      'net.syn',
      () => {
        if (there.cut || back.cut || !target.powered || target.address !== addressThen || this.#clock.dead) return
        const backMs = network.latency(back)
        if (backMs < 0) return
        const listener = target.listeners.get(to.port)
        if (listener === undefined) {
          timeline.after(backMs, this.#clock, 'net.refused', () =>
            finish(new HostError('unavailable', 'connection refused')),
          )
          return
        }
        this.#establish(target, to, listener, backMs, finish)
      },
      false,
    )
  }

  #establish(
    target: Machine,
    to: Endpoint,
    listener: Listener,
    backMs: number,
    finish: (result: SimStream | HostError) => void,
  ): void {
    const network = this.#network
    const loopback = to.address.startsWith('127.')
    const mine: Endpoint = {
      address: loopback ? to.address : this.#machine.address,
      port: this.#machine.ephemeralPort(),
    }
    const theirs: Endpoint = { address: loopback ? to.address : target.address, port: to.port }
    const dialled = new SimStream(network, this.#machine, this.#clock, mine, theirs)
    const accepted = new SimStream(network, target, listener.owner, theirs, mine)
    const establishedAt = network.timeline.now + backMs
    dialled.connect(new Pipe(network, dialled, accepted, establishedAt))
    accepted.connect(new Pipe(network, accepted, dialled, establishedAt))
    this.adopt(dialled)
    owners.get(listener.owner)?.adopt(accepted)
    network.timeline.after(backMs, this.#clock, 'net.connected', () => finish(dialled))
    listener.accepted(accepted)
  }
}

/** Which streams belong to which process: an accepted stream ends with the process that accepted it. */
const owners = new WeakMap<SimClock, SimStreams>()

/** The streams of one process. */
export function streamsOf(network: Network, machine: Machine, clock: SimClock): SimStreams {
  const streams = new SimStreams(network, machine, clock)
  owners.set(clock, streams)
  return streams
}
