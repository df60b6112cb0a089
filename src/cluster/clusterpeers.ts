// The cluster as the broker sees it: what this node wants, and where its clients' messages go.

import type { NodeId } from '../base/ids.ts'
import type { Peers } from '../broker/ports.ts'
import type { ShareCount } from '../wire/link/shares.ts'
import type { Message } from '../wire/message.ts'
import type { Forwarding } from './forwarding/forwarding.ts'
import type { Routes } from './forwarding/routes.ts'
import type { Shares } from './forwarding/shares.ts'

export class ClusterPeers implements Peers {
  readonly #routes: Routes
  readonly #shares: Shares
  readonly #forwarding: Forwarding

  constructor(routes: Routes, shares: Shares, forwarding: Forwarding) {
    this.#routes = routes
    this.#shares = shares
    this.#forwarding = forwarding
  }

  get generation(): number {
    return this.#forwarding.generation
  }

  wanted(filter: string, durable: boolean, taken: () => void): void {
    this.#routes.wanted(filter, durable, taken)
  }

  unwanted(filter: string): void {
    this.#routes.unwanted(filter)
  }

  grouped(group: string, count: ShareCount | null, taken: () => void): void {
    this.#shares.grouped(group, count, taken)
  }

  ours(group: string, ready: 0 | 1 | 2): boolean {
    return this.#shares.ours(group, ready)
  }

  handOn(message: Message, group: string, hops: number, connected: boolean): boolean {
    return this.#forwarding.handOn(message, group, hops, connected)
  }

  forward(message: Message, here?: readonly string[]): number {
    return this.#forwarding.forward(message, here)
  }

  interested(topic: string): boolean {
    return this.#forwarding.interested(topic)
  }

  /** It was removed from the cluster, and has not been heard of in this run. */
  removed(peer: NodeId): void {
    this.#routes.removed(peer)
    this.#forwarding.forget(peer)
  }

  /** This node has another identity: what is kept for members of the one before is for nobody. */
  forget(): void {
    this.#routes.forgetAll()
    this.#forwarding.forgetAll()
  }
}
