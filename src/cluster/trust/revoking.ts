// Tells every member of the boxes that were removed, and learns who has it on disk: all that is known when a link comes
// up, and each new one at once.

import type { HostError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import { KiB } from '../../base/limits.ts'
import type { Timer } from '../../base/ports/clock.ts'
import { decodeRevocations, ENTRIES_MAX, encodeRevocations, type Revocation } from '../../wire/link/revocations.ts'
import type { Channel, Channels, FeatureWorld } from '../ports.ts'
import type { Revocations } from './revocations.ts'

/** 4,096 entries with their keys fit. */
const OPTIONS = { priority: 'urgent', queueBytes: 1024 * KiB, messageBytes: 64 * KiB } as const
/** How long a removal waits for the others' disks. */
const CONFIRM_MS = 5000

interface Awaited {
  readonly node: NodeId
  readonly left: Set<NodeId>
  readonly kept: NodeId[]
  readonly timer: Timer
  readonly done: (kept: readonly NodeId[]) => void
}

export class Revoking {
  readonly #world: FeatureWorld
  readonly #revocations: Revocations
  readonly #channel: Channel
  readonly #awaited = new Set<Awaited>()
  /** Members that had no room for something: they are told everything once they have. */
  readonly #owed = new Set<NodeId>()

  constructor(world: FeatureWorld, channels: Channels, revocations: Revocations) {
    this.#world = world
    this.#revocations = revocations
    this.#channel = channels.open('revocations', OPTIONS, {
      linked: (peer) => this.#send(peer, revocations.all()),
      unlinked: (peer) => this.#unlinked(peer),
      received: (peer, message) => this.#received(peer, message),
      room: (peer) => this.#again(peer),
    })
  }

  /** Removes a box for good. `done` gets who has it on disk, once this box has: the linked members, or those in time. */
  revoke(entry: Revocation, done: (result: readonly NodeId[] | HostError) => void): void {
    this.#revocations.add([entry], (error) => {
      if (error !== null) return done(error)
      const left = new Set(this.#channel.peers().filter((peer) => peer !== entry.node))
      const end = () => {
        this.#awaited.delete(awaited)
        done(awaited.kept)
      }
      const timer = this.#world.clock.after(CONFIRM_MS, 'revocations.confirm', end)
      const awaited: Awaited = { node: entry.node, left, kept: [], timer, done: end }
      this.#awaited.add(awaited)
      for (const peer of left) this.#send(peer, [entry])
      this.#look(awaited)
    })
  }

  /** This identity ends: what was confirmed until now is all there will be. */
  stop(): void {
    for (const awaited of [...this.#awaited]) {
      awaited.left.clear()
      this.#look(awaited)
    }
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeRevocations(bytes)
    if (message === null) return this.#world.meter.count('revocations.unknown')
    if (message.kind === 'kept') {
      for (const awaited of [...this.#awaited]) {
        if (message.nodes.includes(awaited.node) && awaited.left.delete(peer)) awaited.kept.push(peer)
        this.#look(awaited)
      }
      return
    }
    const { entries } = message
    const nodes = entries.map(({ node }) => node)
    const fresh = this.#revocations.add(entries, (error) => {
      if (error === null) this.#channel.send(peer, encodeRevocations({ kind: 'kept', nodes }))
    })
    if (fresh.length === 0) return
    this.#world.meter.count('revocations.learnt', fresh.length)
    this.#world.log.warn(
      { removed: fresh.map(({ node }) => node), teller: peer },
      'boxes were removed from the cluster',
    )
    // News passes each node once and comes to rest.
    for (const other of this.#channel.peers()) if (other !== peer) this.#send(other, fresh)
  }

  #again(peer: NodeId): void {
    if (this.#owed.delete(peer)) this.#send(peer, this.#revocations.all())
  }

  #unlinked(peer: NodeId): void {
    this.#owed.delete(peer)
    for (const awaited of [...this.#awaited]) {
      awaited.left.delete(peer)
      this.#look(awaited)
    }
  }

  #look(awaited: Awaited): void {
    if (awaited.left.size > 0) return
    awaited.timer.cancel()
    awaited.done(awaited.kept)
  }

  #send(peer: NodeId, entries: readonly Revocation[]): void {
    for (let from = 0; from < entries.length; from += ENTRIES_MAX) {
      const message = encodeRevocations({ kind: 'removed', entries: entries.slice(from, from + ENTRIES_MAX) })
      if (this.#channel.send(peer, message) !== 'full') continue
      this.#world.meter.count('revocations.unsent')
      this.#owed.add(peer)
    }
  }
}
