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

  /** `wishes`: the filters that this node wants now, and which of them are durable. */
  become(peers: Peers, wishes: Iterable<readonly [filter: string, durable: boolean]>): void {
    this.#before = this.generation + 1
    this.#peers = peers
    for (const [filter, durable] of wishes) peers.wanted(filter, durable, () => {})
  }

  wanted(filter: string, durable: boolean, taken: () => void): void {
    this.#peers.wanted(filter, durable, taken)
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
