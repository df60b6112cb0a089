// Accounts at rest: the same on every box, and of each the last write that was acknowledged, or one that may have been
// later. Rules stand in the same map.

import type { AccountWrite } from '../people.ts'
import type { Ground } from './ground.ts'
import { certainlyLater, DAY_MS } from './retained.ts'

export interface ShownAccounts {
  readonly label: string
  /** Name -> group. */
  readonly groups: ReadonlyMap<string, string>
}

export function checkAccounts(
  all: readonly ShownAccounts[],
  writes: readonly AccountWrite[],
  ground: Ground,
): string[] {
  // What comes from a box whose clock is more than a day ahead of one's own is refused.
  if (ground.history.clockOffMs > DAY_MS && !ground.promises.has('clocks')) return []
  const problems: string[] = []
  const [first, ...others] = all
  for (const name of new Set(writes.map((write) => write.name))) {
    const shown = first?.groups.get(name) ?? null
    for (const { label, groups } of others) {
      const other = groups.get(name) ?? null
      if (other !== shown) problems.push(`${first!.label} has ${name} in ${shown}, ${label} in ${other}: not the same`)
    }
    const ofName = writes.filter((write) => write.name === name)
    const lasting = ofName.filter(({ node, at, ackedAt }) => ackedAt !== null && !ground.history.hasForgotten(node, at))
    const standing = ofName.filter(({ group }) => group === shown)
    if (shown !== null && standing.length === 0) problems.push(`${name} is in ${shown}, which nobody has written`)
    if (standing.length === 0 && lasting.length === 0) continue
    // Removals look all alike: one of them must be late enough.
    const outdone = (one: AccountWrite) => lasting.find((later) => isLater(later, one, ground))
    const worst = standing.map(outdone)
    if (worst.some((later) => later === undefined)) continue
    const later = worst[0] ?? lasting.at(-1)!
    problems.push(
      `${name} is in ${shown ?? 'no group, and gone'}, though ${later.group ?? 'its removal'} came after it`,
    )
  }
  return problems
}

const isLater = (a: AccountWrite, b: AccountWrite, ground: Ground): boolean =>
  a !== b && ((a.node === b.node && a.at > b.at) || certainlyLater(a, b, ground))
