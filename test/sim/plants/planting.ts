// How a bug is planted: a method of the product replaced, settings changed, a port that lies. Each is one rule broken from
// outside, and taken out again after the story.

import type { Clock } from '../../../src/base/ports/clock.ts'
import { compose, type NodeSettings, type Ports } from '../../../src/compose.ts'
import type { PromiseName } from '../promises.ts'
import type { Build } from '../world.ts'

export interface Plant {
  readonly name: string
  /** What the checkers must say. */
  readonly found: RegExp
  /** Promises that have to be demanded for it to be found; without it, those that are kept. */
  readonly promises?: readonly PromiseName[]
  /** What is told of each seed; without it, the story of clients and storms (`simulate.ts`). */
  readonly story?: (seed: number, build: Build) => { readonly problems: readonly string[] }
  /** Puts the bug in; returns how to build nodes with it, and how to take it out again. */
  plant(): { readonly build: Build; readonly remove: () => void }
}

/** A method of the product replaced by another that may call it. */
export function patched<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  make: (original: Owner[Name]) => Owner[Name],
): () => void {
  const original = owner[name]
  owner[name] = make(original)
  return () => {
    owner[name] = original
  }
}

export const otherSettings =
  (change: (settings: NodeSettings) => NodeSettings): Plant['plant'] =>
  () => ({ build: (settings, ports) => compose(change(settings), ports), remove: () => {} })

export const otherPorts =
  (change: (ports: Ports) => Ports): Plant['plant'] =>
  () => ({ build: (settings, ports) => compose(settings, change(ports)), remove: () => {} })

/** A plant that is one method replaced. */
export const patching =
  (patch: () => () => void): Plant['plant'] =>
  () => ({ build: compose, remove: patch() })

/** A plant that has to know whose clock it is: `building` gives the clock of the node that is being built, or null. */
export function withClocks(patch: (building: () => Clock | null) => () => void): ReturnType<Plant['plant']> {
  let clock: Clock | null = null
  const remove = patch(() => clock)
  const build: Build = (settings, ports) => {
    clock = ports.clock
    try {
      return compose(settings, ports)
    } finally {
      clock = null
    }
  }
  return { build, remove }
}
