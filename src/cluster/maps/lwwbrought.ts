// What a box brings along when it leaves a cluster of its own for another. It is stamped as the oldest there is, so that
// anything written there wins. But who knows the key no more takes so old a write for one that was removed long ago: so
// nobody's horizon counts against it here, and once all who are linked have been asked, what is left of it is written
// anew, like any other write.
//
//   nothing --renounce, or found so on disk--> brought --linked--> waiting, 60 s --all were asked--> nothing

import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { SharedEntry } from '../../base/shared.ts'
import type { Stamp } from '../../base/stamps.ts'
import type { FeatureWorld } from '../ports.ts'
import { type HashTree, LEAVES } from './hashtree.ts'

/** Before any clock. */
const OLDEST_MS = 1
/** So long the new members have to be linked and asked. */
const ASKED_MS = 60_000

export const broughtStamp = (node: NodeId): Stamp => ({ wallMs: OLDEST_MS, counter: 0, node })

/** As old as what is brought along, or older: what every box makes alike at its first start. */
export const isOldest = ({ wallMs }: Stamp): boolean => wallMs <= OLDEST_MS

export interface BroughtTo {
  readonly name: string
  readonly world: FeatureWorld
  readonly tree: HashTree
  /** This node, as its stamps name it. */
  self(): NodeId | null
  /** Whether somebody is linked, and all who are have given what they had. */
  asked(): boolean
  /** Writes it anew, and tells the others. */
  renew(entry: SharedEntry): void
}

export class LwwBrought {
  readonly #to: BroughtTo
  /** Whether there may be any. */
  #any = false
  #waiting: Timer | null = null

  constructor(to: BroughtTo) {
    this.#to = to
  }

  /** The cluster was left. */
  begin(): void {
    this.#any = true
  }

  /** An earlier run has kept this, perhaps one that ended before it was written anew. */
  found({ wallMs }: Stamp): void {
    if (wallMs === OLDEST_MS) this.#any = true
  }

  /** Whether an entry stays here, though somebody has forgotten that it was removed. */
  keeps({ wallMs, node }: Stamp): boolean {
    return this.#any && wallMs === OLDEST_MS && node === this.#to.self()
  }

  linked(): void {
    if (this.#any) this.#wait()
  }

  stop(): void {
    this.#waiting?.cancel()
    this.#waiting = null
  }

  #wait(): void {
    const { clock } = this.#to.world
    this.#waiting ??= clock.after(ASKED_MS, `${this.#to.name}.brought`, () => {
      this.#waiting = null
      if (this.#to.asked()) this.#renew()
      else this.#wait()
    })
  }

  #renew(): void {
    const { tree, world, name, renew } = this.#to
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      for (const entry of tree.entries(leaf)) {
        if (!this.keeps(entry.stamp)) continue
        renew(entry)
        world.meter.count(`${name}.brought`)
      }
    }
    this.#any = false
  }
}
