// What the broker holds as its peers for as long as the node runs, while the identity behind it may change.

import type { Peers } from '../broker/ports.ts'
import type { Message } from '../wire/message.ts'

export class CurrentPeers implements Peers {
  #peers: Peers
  /** Generations of those before, so that the broker's caches never meet a number twice. */
  #before = 0

  constructor(peers: Peers) {
    this.#peers = peers
  }

  get generation(): number {
    return this.#before + this.#peers.generation
  }

  /** `filters` are those that this node wants now. */
  become(peers: Peers, filters: Iterable<string>): void {
    this.#before = this.generation + 1
    this.#peers = peers
    for (const filter of filters) peers.wanted(filter, () => {})
  }

  wanted(filter: string, taken: () => void): void {
    this.#peers.wanted(filter, taken)
  }

  unwanted(filter: string): void {
    this.#peers.unwanted(filter)
  }

  forward(message: Message): number {
    return this.#peers.forward(message)
  }

  interested(topic: string): boolean {
    return this.#peers.interested(topic)
  }
}
