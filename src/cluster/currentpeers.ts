// What the broker holds as its peers for as long as the node runs, while the identity behind it may change.

import type { Peers } from '../broker/ports.ts'
import type { ShareCount } from '../wire/link/shares.ts'
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

  /** `wishes`: the filters that this node wants now, and which of them are durable; `groups`: what it has of each. */
  become(
    peers: Peers,
    wishes: Iterable<readonly [filter: string, durable: boolean]>,
    groups: Iterable<readonly [group: string, count: ShareCount]>,
  ): void {
    this.#before = this.generation + 1
    this.#peers = peers
    for (const [filter, durable] of wishes) peers.wanted(filter, durable, () => {})
    for (const [group, count] of groups) peers.grouped(group, count, () => {})
  }

  wanted(filter: string, durable: boolean, taken: () => void): void {
    this.#peers.wanted(filter, durable, taken)
  }

  unwanted(filter: string): void {
    this.#peers.unwanted(filter)
  }

  grouped(group: string, count: ShareCount | null, taken: () => void): void {
    this.#peers.grouped(group, count, taken)
  }

  ours(group: string, ready: 0 | 1 | 2): boolean {
    return this.#peers.ours(group, ready)
  }

  handOn(message: Message, group: string, hops: number, connected: boolean): boolean {
    return this.#peers.handOn(message, group, hops, connected)
  }

  forward(message: Message, here?: readonly string[]): number {
    return this.#peers.forward(message, here)
  }

  interested(topic: string): boolean {
    return this.#peers.interested(topic)
  }
}
