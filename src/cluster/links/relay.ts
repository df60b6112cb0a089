// Circuits: of links that run through a third member (this node has one end), and of others that run through this node.
//
//   A: RelayedStream --1--> B: joins 1 of A and 7 of C --7--> C: RelayedStream

import { PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { ByteStream } from '../../base/ports/streams.ts'
import { decodeRelay, encodeRelay, type RelayMessage } from '../../wire/link/relay.ts'
import type { Channel, Channels, FeatureWorld } from '../ports.ts'
import { CIRCUIT_WINDOW_BYTES, RelayedStream } from './relayedstream.ts'

/** Circuits through this node, and ends of circuits through one other: one for each pair of members is enough. */
const JOINED_MAX = 256
const ENDS_PER_RELAY_MAX = 64
const GIVEN_BY_HIGHER = 0x8000_0000
const OPTIONS = { priority: 'normal', queueBytes: 32 * CIRCUIT_WINDOW_BYTES } as const

/** One hop of a circuit: a member with a link, and the number that stands for the circuit on it. */
interface Hop {
  readonly peer: NodeId
  readonly circuit: number
}

export interface RelayHome {
  readonly self: NodeId
  /** Whether there is a link with that member which runs through nobody: a circuit has one relay. */
  direct(member: NodeId): boolean
  /** Somebody wants to link with us through `relay`. */
  accepted(stream: ByteStream, relay: NodeId): void
}

export class Relay {
  readonly #world: FeatureWorld
  readonly #home: RelayHome
  readonly #channel: Channel
  readonly #ends = new Map<string, RelayedStream>()
  /** Each circuit stands here twice, once for each hop. */
  readonly #joined = new Map<string, Hop>()
  #last = 0

  constructor(world: FeatureWorld, channels: Channels, home: RelayHome) {
    this.#world = world
    this.#home = home
    this.#channel = channels.open('relay', OPTIONS, {
      linked: () => {},
      unlinked: (peer) => this.#unlinked(peer),
      received: (peer, bytes) => this.#received(peer, decodeRelay(bytes)),
    })
  }

  /** A stream to `member` through `relay`; null when that has no room or is gone. Whether it leads anywhere shows. */
  dial(member: NodeId, relay: NodeId): ByteStream | null {
    if (!this.#home.direct(relay) || this.#endsAt(relay) >= ENDS_PER_RELAY_MAX) return null
    const hop = { peer: relay, circuit: this.#number(relay) }
    if (!this.#send(hop, { kind: 'open', circuit: hop.circuit, node: member })) return null
    this.#world.meter.count('relay.dialled')
    return this.#end(hop)
  }

  #received(peer: NodeId, message: RelayMessage | null): void {
    if (message === null) return
    const from = { peer, circuit: message.circuit }
    switch (message.kind) {
      case 'open':
        return this.#join(from, message.node)
      case 'opened':
        return this.#opened(from, message.node)
      case 'bytes': {
        const end = this.#ends.get(keyOf(from))
        if (end === undefined) return this.#pass(from, message)
        if (!end.arrived(message.bytes)) throw new PeerError('more relayed bytes than there was room for')
        return
      }
      case 'credit': {
        const end = this.#ends.get(keyOf(from))
        if (end === undefined) return this.#pass(from, message)
        return end.credited(message.consumed)
      }
      case 'end': {
        const end = this.#ends.get(keyOf(from))
        if (end === undefined) return this.#part(from, false)
        this.#ends.delete(keyOf(from))
        return end.over()
      }
    }
  }

  /** `from` wants to be carried to `member`. */
  #join(from: Hop, member: NodeId): void {
    this.#checkNew(from)
    const full = this.#joined.size >= 2 * JOINED_MAX
    if (full) this.#world.meter.count('relay.full')
    if (full || member === from.peer || !this.#home.direct(member) || !this.#home.direct(from.peer)) {
      this.#send(from, { kind: 'end', circuit: from.circuit })
      return
    }
    const on = { peer: member, circuit: this.#number(member) }
    this.#joined.set(keyOf(from), on)
    this.#joined.set(keyOf(on), from)
    this.#world.meter.count('relay.joined')
    this.#world.log.info({ from: from.peer, to: member }, 'relaying a link')
    if (!this.#send(on, { kind: 'opened', circuit: on.circuit, node: from.peer })) this.#part(on, true)
  }

  #opened(from: Hop, member: NodeId): void {
    this.#checkNew(from)
    if (member === this.#home.self || this.#endsAt(from.peer) >= ENDS_PER_RELAY_MAX) {
      this.#send(from, { kind: 'end', circuit: from.circuit })
      return
    }
    this.#home.accepted(this.#end(from), from.peer)
  }

  #end(hop: Hop): RelayedStream {
    const stream = new RelayedStream(this.#world.clock, hop.peer, {
      bytes: (bytes) => this.#send(hop, { kind: 'bytes', circuit: hop.circuit, bytes }),
      credit: (consumed) => void this.#send(hop, { kind: 'credit', circuit: hop.circuit, consumed }),
      end: () => {
        if (this.#ends.delete(keyOf(hop))) this.#send(hop, { kind: 'end', circuit: hop.circuit })
      },
    })
    this.#ends.set(keyOf(hop), stream)
    return stream
  }

  /** On to the other hop; a circuit that is gone here is an end on its way. */
  #pass(from: Hop, message: RelayMessage): void {
    const on = this.#joined.get(keyOf(from))
    if (on === undefined) return
    if (this.#send(on, { ...message, circuit: on.circuit })) return
    this.#world.meter.count('relay.overflow')
    this.#part(from, true)
  }

  /** Takes a circuit through this node apart. `both`: the side that it came from is told as well. */
  #part(from: Hop, both: boolean): void {
    const on = this.#joined.get(keyOf(from))
    if (on === undefined) return
    this.#joined.delete(keyOf(from))
    this.#joined.delete(keyOf(on))
    this.#send(on, { kind: 'end', circuit: on.circuit })
    if (both) this.#send(from, { kind: 'end', circuit: from.circuit })
  }

  #unlinked(peer: NodeId): void {
    const of = (key: string) => key.startsWith(`${peer} `)
    for (const [key, stream] of [...this.#ends]) {
      if (!of(key)) continue
      this.#ends.delete(key)
      stream.over()
    }
    for (const [key, on] of [...this.#joined]) {
      if (of(key)) this.#part(this.#joined.get(keyOf(on))!, false)
    }
  }

  #send(to: Hop, message: RelayMessage): boolean {
    return this.#channel.send(to.peer, encodeRelay(message)) === 'sent'
  }

  #checkNew(from: Hop): void {
    const known = this.#ends.has(keyOf(from)) || this.#joined.has(keyOf(from))
    const theirs = from.circuit >= GIVEN_BY_HIGHER === from.peer > this.#home.self
    if (known || !theirs) throw new PeerError('a circuit by a number that is not free')
  }

  #endsAt(relay: NodeId): number {
    let count = 0
    for (const key of this.#ends.keys()) if (key.startsWith(`${relay} `)) count++
    return count
  }

  #number(peer: NodeId): number {
    this.#last = (this.#last + 1) % GIVEN_BY_HIGHER
    return this.#home.self > peer ? this.#last + GIVEN_BY_HIGHER : this.#last
  }
}

const keyOf = ({ peer, circuit }: Hop): string => `${peer} ${circuit}`
