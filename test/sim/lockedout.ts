// What people do for boxes that were away while a compromised CA was replaced (CLUSTER 2): nothing leads from the CA that
// they believe to the one in use, so each leaves the cluster as it knows it, and comes back by a code.

import { HostError } from '../../src/base/errors.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { trustOf } from './guests.ts'
import type { SimNode, World } from './world.ts'

/** Boxes that need no help have found back by then. */
const PATIENCE_MS = 75_000
/** People wait for an answer before they type again. */
const AGAIN_MS = 15_000
const TTL_MS = 3_600_000

const fingerprintOf = (node: SimNode): string | null => trustOf(node)?.custody.papers?.authority.fingerprint ?? null

/** The CA on which most boxes stand. */
export function prevailing(nodes: readonly SimNode[]): string | null {
  const counts = new Map<string, number>()
  for (const node of nodes) {
    const fingerprint = fingerprintOf(node)
    if (fingerprint !== null) counts.set(fingerprint, (counts.get(fingerprint) ?? 0) + 1)
  }
  const [most] = [...counts].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
  return most?.[0] ?? null
}

export class LockedOut {
  readonly #world: World
  readonly #since: number
  readonly #asked = new Map<SimNode, number>()
  readonly #code = new Map<SimNode, string>()
  /** Boxes that have left to come back. */
  readonly #left = new Set<SimNode>()

  constructor(world: World) {
    this.#world = world
    this.#since = world.now
  }

  /** Boxes that were helped. */
  get count(): number {
    return this.#left.size
  }

  look(nodes: readonly SimNode[]): void {
    const { now } = this.#world
    if (now - this.#since < PATIENCE_MS) return
    const ca = prevailing(nodes)
    const inside = nodes.find((node) => fingerprintOf(node) === ca)
    if (inside === undefined) return
    for (const node of nodes) {
      if (node.run?.ready !== true || fingerprintOf(node) === ca) continue
      if (now - (this.#asked.get(node) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) continue
      this.#asked.set(node, now)
      if (this.#left.has(node)) this.#comesBack(node, inside)
      else this.#leaves(node)
    }
  }

  #leaves(node: SimNode): void {
    const { run } = node
    this.#world.timeline.after(0, run!.clock, 'people.leave', () => {
      run!.node.operator.leave((result) => {
        this.#world.trace(`people: ${node.label} leaves: ${result instanceof HostError ? result.message : 'done'}`)
        if (!(result instanceof HostError)) {
          this.#left.add(node)
          this.#asked.delete(node)
        } else if (/remove those that are gone/.test(result.message)) {
          // So say the words.
          for (const { id, self, state } of node.members()) {
            if (!self && state !== 'left') trustOf(node)?.remove(id as NodeId, true, () => {})
          }
        }
      })
    })
  }

  #comesBack(node: SimNode, inside: SimNode): void {
    this.#world.timeline.after(0, inside.run!.clock, 'people.invite', () => {
      const made = inside.run?.node.operator.invite({ ttlMs: TTL_MS, uses: 1, issuer: false })
      if (made !== undefined && !(made instanceof HostError)) this.#code.set(node, made.code)
    })
    const to = { address: inside.machine.address, port: inside.status().cluster.port ?? 0 }
    this.#world.timeline.after(1000, node.run!.clock, 'people.join', () => {
      node.run?.node.operator.join({ to, code: this.#code.get(node) ?? null, replaces: null }, ({ words }) => {
        this.#world.trace(`people: ${node.label} comes back: ${words}`)
      })
    })
  }
}
