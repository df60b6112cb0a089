// Members joined by channels in memory, for tests of what is built above links: messages take time, links can be cut,
// joined and stalled, and a node can start afresh. Time is the shared virtual clock.

import { PeerError } from '../src/base/errors.ts'
import type { NodeId } from '../src/base/ids.ts'
import { Meter } from '../src/base/meter.ts'
import type { Clock } from '../src/base/ports/clock.ts'
import { silentLog } from '../src/base/ports/log.ts'
import type { Random } from '../src/base/ports/random.ts'
import { StampClock } from '../src/base/stamps.ts'
import type { Channel, ChannelHandler, ChannelOptions, Channels, Membership, MemberView } from '../src/cluster/ports.ts'
import { VirtualClock } from './virtual-clock.ts'

interface Wire {
  readonly queue: { readonly channel: string; readonly message: Buffer }[]
  stalled: boolean
}

interface Opened {
  readonly options: ChannelOptions
  readonly handler: ChannelHandler
  /** Peers that were told 'full' or are above half of the bound. */
  readonly owed: Set<NodeId>
}

export const nodeIdOf = (index: number): NodeId => index.toString(16).padStart(16, '0') as NodeId

/** One run of one node. */
export class MeshNode implements Channels, Membership {
  readonly self: NodeId
  readonly mesh: Mesh
  readonly meter = new Meter()
  readonly stamps: StampClock
  readonly opened = new Map<string, Opened>()
  readonly #members = new Map<NodeId, MemberView>()
  readonly #listeners: ((member: MemberView) => void)[] = []
  /** The mesh's time, and a wall clock of its own. */
  readonly clock: Clock

  constructor(mesh: Mesh, self: NodeId, wallMs: number) {
    this.mesh = mesh
    this.self = self
    const { clock } = mesh
    this.clock = {
      now: () => clock.now(),
      wall: () => wallMs + clock.now(),
      after: (delayMs, name, run) => clock.after(delayMs, name, run),
      soon: (run) => clock.soon(run),
    }
    this.stamps = new StampClock(self, () => wallMs + mesh.clock.now())
  }

  get world() {
    return { clock: this.clock, random: this.mesh.random, log: silentLog, meter: this.meter }
  }

  open(name: string, options: ChannelOptions, handler: ChannelHandler): Channel {
    this.opened.set(name, { options, handler, owed: new Set() })
    return {
      name,
      peers: () => this.mesh.peersOf(this.self),
      send: (peer, message) => this.mesh.send(this, peer, name, message),
      pendingBytes: (peer) => this.mesh.pendingBytes(this.self, peer, name),
    }
  }

  member(id: NodeId): MemberView | null {
    return this.#members.get(id) ?? null
  }

  onChange(listener: (member: MemberView) => void): void {
    this.#listeners.push(listener)
  }

  /** What this node now thinks of a member. */
  sees(id: NodeId, state: MemberView['state'], linked = this.mesh.linked(this.self, id)): void {
    const before = this.#members.get(id)
    if (before?.state === state && before.linked === linked) return
    const member = { id, state, linked }
    this.#members.set(id, member)
    for (const listener of this.#listeners) listener(member)
  }
}

export class Mesh {
  readonly clock = new VirtualClock()
  /** Rules that were broken, as the reasons of closed links. */
  readonly errors: string[] = []
  readonly #nodes = new Map<NodeId, MeshNode>()
  readonly #wires = new Map<string, Wire>()
  readonly random: Random
  delayMs = 1
  /** Sees every message that is delivered. */
  watch: ((from: NodeId, to: NodeId, channel: string, message: Buffer) => void) | null = null

  constructor(seed = 1) {
    let state = seed
    const fraction = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 2 ** 32
    }
    this.random = {
      fraction,
      bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(fraction() * 256))),
    }
  }

  /** A node starts; a run of it from before is gone. */
  start(id: NodeId, wallMs = 1_700_000_000_000): MeshNode {
    for (const peer of this.peersOf(id)) this.cut(id, peer)
    const node = new MeshNode(this, id, wallMs)
    this.#nodes.set(id, node)
    return node
  }

  linked(a: NodeId, b: NodeId): boolean {
    return this.#wires.has(`${a}>${b}`)
  }

  peersOf(id: NodeId): NodeId[] {
    return [...this.#nodes.keys()].filter((peer) => this.linked(id, peer))
  }

  link(a: NodeId, b: NodeId): void {
    if (this.linked(a, b)) return
    this.#wires.set(`${a}>${b}`, { queue: [], stalled: false })
    this.#wires.set(`${b}>${a}`, { queue: [], stalled: false })
    for (const [one, other] of [[a, b] as const, [b, a] as const]) {
      const node = this.#nodes.get(one)!
      node.sees(other, 'alive', true)
      for (const { handler } of node.opened.values()) handler.linked(other)
    }
  }

  /** What is on its way is lost; both notice at once. */
  cut(a: NodeId, b: NodeId): void {
    if (!this.linked(a, b)) return
    this.#wires.delete(`${a}>${b}`)
    this.#wires.delete(`${b}>${a}`)
    for (const [one, other] of [[a, b] as const, [b, a] as const]) {
      const node = this.#nodes.get(one)!
      for (const { handler, owed } of node.opened.values()) {
        owed.delete(other)
        handler.unlinked(other)
      }
      node.sees(other, 'suspect', false)
    }
  }

  /** Holds back what `from` sends to `to`, or lets it go. */
  stall(from: NodeId, to: NodeId, stalled: boolean): void {
    const wire = this.#wires.get(`${from}>${to}`)
    if (wire === undefined) return
    wire.stalled = stalled
    if (!stalled) for (let index = wire.queue.length; index > 0; index--) this.#deliverLater(from, to, wire)
  }

  send(node: MeshNode, peer: NodeId, channel: string, message: Buffer): 'sent' | 'full' | 'unlinked' {
    const wire = this.#wires.get(`${node.self}>${peer}`)
    if (wire === undefined || this.#nodes.get(node.self) !== node) return 'unlinked'
    const { options, owed } = node.opened.get(channel)!
    const pending = this.pendingBytes(node.self, peer, channel)
    if (pending > 0 && pending + message.length > options.queueBytes) {
      owed.add(peer)
      return 'full'
    }
    if (pending + message.length > options.queueBytes / 2) owed.add(peer)
    wire.queue.push({ channel, message: Buffer.from(message) })
    if (!wire.stalled) this.#deliverLater(node.self, peer, wire)
    return 'sent'
  }

  pendingBytes(from: NodeId, to: NodeId, channel: string): number {
    let bytes = 0
    for (const queued of this.#wires.get(`${from}>${to}`)?.queue ?? []) {
      if (queued.channel === channel) bytes += queued.message.length
    }
    return bytes
  }

  /** Sends bytes as if `from` had, to see what `to` makes of them. */
  inject(from: NodeId, to: NodeId, channel: string, message: Buffer): void {
    this.#hand(from, to, channel, message)
  }

  #deliverLater(from: NodeId, to: NodeId, wire: Wire): void {
    this.clock.after(this.delayMs, 'mesh.deliver', () => {
      if (wire.stalled || this.#wires.get(`${from}>${to}`) !== wire) return
      const queued = wire.queue.shift()
      if (queued === undefined) return
      this.#hand(from, to, queued.channel, queued.message)
      const sender = this.#nodes.get(from)?.opened.get(queued.channel)
      if (!sender?.owed.has(to) || this.pendingBytes(from, to, queued.channel) > sender.options.queueBytes / 2) return
      sender.owed.delete(to)
      this.clock.soon(() => {
        if (this.#wires.get(`${from}>${to}`) === wire) sender.handler.room?.(to)
      })
    })
  }

  #hand(from: NodeId, to: NodeId, channel: string, message: Buffer): void {
    this.watch?.(from, to, channel, message)
    const copy = Buffer.from(message)
    try {
      this.#nodes.get(to)?.opened.get(channel)?.handler.received(from, copy)
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      this.errors.push(error.message)
      this.cut(from, to)
    }
    // Bytes are valid during the call only: whoever kept a view of them will read these.
    copy.fill(0xee)
  }
}
