// After calm every node's routes are the union of the other members' live subscriptions.

import type { Ledger } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'

/** What the nodes' route tables have too much or too little. */
export function wrongRoutes(scenario: Scenario, ledger: Ledger): string[] {
  const wanted = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  for (const one of ledger.subscriptions) {
    if (one.endAskedAt === null && one.grantedAt !== null) wanted.get(one.connection.node)?.add(one.filter)
  }
  const wrong: string[] = []
  for (const node of scenario.members) {
    let expected = 0
    for (const [index, filters] of wanted) if (index !== node.index) expected += filters.size
    const { routes } = node.status()
    if (routes !== expected) wrong.push(`${node.label} has ${routes} routes, not ${expected}`)
  }
  return wrong
}
