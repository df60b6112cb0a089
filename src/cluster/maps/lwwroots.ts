// Tells the other boxes now and then what our map looks like: at once on a new link, then when it has changed, and once
// a minute in any case.

import type { NodeId } from '../../base/ids.ts'
import { every, type Timer } from '../../base/ports/clock.ts'
import type { LwwHash } from '../../wire/link/lww.ts'
import type { FeatureWorld } from '../ports.ts'
import { type HashTree, sameHash } from './hashtree.ts'

const EVERY_MS = 10_000
/** Every so often also without a change. */
const ANYWAY = 6

export class LwwRoots {
  readonly #name: string
  readonly #world: FeatureWorld
  readonly #tree: HashTree
  readonly #send: (peer: NodeId, root: LwwHash) => void
  /** What each linked peer was told last. */
  readonly #told = new Map<NodeId, LwwHash>()
  #timer: Timer | null = null
  #ticks = 0

  constructor(name: string, world: FeatureWorld, tree: HashTree, send: (peer: NodeId, root: LwwHash) => void) {
    this.#name = name
    this.#world = world
    this.#tree = tree
    this.#send = send
  }

  /** Who is linked. */
  peers(): readonly NodeId[] {
    return [...this.#told.keys()]
  }

  linked(peer: NodeId): void {
    this.#tell(peer, this.#tree.root)
    const { clock, random } = this.#world
    this.#timer ??= every(clock, EVERY_MS, `${this.#name}.root`, this.#tick, () => random.fraction() * 0.1)
  }

  unlinked(peer: NodeId): void {
    this.#told.delete(peer)
    if (this.#told.size === 0) this.stop()
  }

  /** Tells all. */
  tell(): void {
    const { root } = this.#tree
    for (const peer of this.#told.keys()) this.#tell(peer, root)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  readonly #tick = (): void => {
    const { root } = this.#tree
    const anyway = ++this.#ticks % ANYWAY === 0
    for (const [peer, told] of this.#told) if (anyway || !sameHash(told, root)) this.#tell(peer, root)
  }

  #tell(peer: NodeId, root: LwwHash): void {
    this.#told.set(peer, root)
    this.#send(peer, root)
  }
}
