// Members that this node was linked with before it began anew, and that have not said yet what they want. For a while each
// is taken to want whatever has to be safe: else a publisher that is quicker than the links would be told that nobody
// wants it. What they are known to have wanted durably is in the routes meanwhile, and stays there.

import type { NodeId } from '../../base/ids.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Routes } from './routes.ts'

/** How long a node that begins takes it that members it knew want everything. */
const UNHEARD_MS = 30_000

export class Unheard {
  readonly #clock: Clock
  readonly #routes: Routes
  readonly #peers = new Set<NodeId>()
  #untilMs = 0
  /** Counts with every change. */
  changes = 0

  constructor(clock: Clock, routes: Routes) {
    this.#clock = clock
    this.#routes = routes
  }

  get size(): number {
    return this.#peers.size
  }

  has(peer: NodeId): boolean {
    return this.#peers.has(peer)
  }

  /** This node begins. */
  expect(peers: Iterable<NodeId>): void {
    for (const peer of peers) this.#peers.add(peer)
    this.#untilMs = this.#clock.now() + UNHEARD_MS
    this.changes++
  }

  forget(peer: NodeId): void {
    if (this.#peers.delete(peer)) this.changes++
  }

  /** Those that are still not heard. */
  *left(nowMs: number): IterableIterator<NodeId> {
    for (const peer of this.#peers) {
      if (nowMs > this.#untilMs || this.#routes.knows(peer)) this.forget(peer)
      else yield peer
    }
  }
}
