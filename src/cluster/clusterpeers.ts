// The cluster as the broker sees it: what this node wants, and where its clients' messages go.

import type { Peers } from '../broker/ports.ts'
import type { Message } from '../wire/message.ts'
import type { Forwarding } from './forwarding.ts'
import type { Routes } from './routes.ts'

export class ClusterPeers implements Peers {
  readonly #routes: Routes
  readonly #forwarding: Forwarding

  constructor(routes: Routes, forwarding: Forwarding) {
    this.#routes = routes
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

  forward(message: Message): number {
    return this.#forwarding.forward(message)
  }

  interested(topic: string): boolean {
    return this.#forwarding.interested(topic)
  }
}
