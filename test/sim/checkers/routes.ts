// After calm every node's routes are the union of the other members' live subscriptions.

import type { Ledger } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'

/** What the nodes' route tables have too much or too little. */
export function wrongRoutes(scenario: Scenario, ledger: Ledger): string[] {
  const certain = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  // A SUBSCRIBE or UNSUBSCRIBE of a session that lives on, never answered, may or may not have been taken.
  const possible = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  for (const one of ledger.subscriptions) {
    if (one.endAskedAt === null && one.grantedAt !== null) certain.get(one.connection.node)?.add(one.filter)
    if (one.endedAt === null) possible.get(one.connection.node)?.add(one.filter)
  }
  const wrong: string[] = []
  for (const node of scenario.members) {
    const least = countOthers(certain, node.index)
    const most = countOthers(possible, node.index)
    const { routes } = node.status()
    if (routes < least || routes > most) wrong.push(`${node.label} has ${routes} routes, not ${least} to ${most}`)
  }
  return wrong
}

function countOthers(filters: ReadonlyMap<number, ReadonlySet<string>>, self: number): number {
  let count = 0
  for (const [node, set] of filters) if (node !== self) count += set.size
  return count
}
