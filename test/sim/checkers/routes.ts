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
    let count = 0
    for (const other of scenario.members) {
      if (other === node) continue
      const held = new Set(node.routesOf(other))
      count += held.size
      const lacking = [...certain.get(other.index)!].filter((filter) => !held.has(filter))
      const surplus = [...held].filter((filter) => !possible.get(other.index)!.has(filter))
      if (lacking.length > 0) wrong.push(`${node.label} lacks routes of ${other.label}: ${lacking.join(', ')}`)
      if (surplus.length > 0) wrong.push(`${node.label} has routes too many of ${other.label}: ${surplus.join(', ')}`)
    }
    const { routes } = node.status()
    if (routes !== count) wrong.push(`${node.label} says it has ${routes} routes, and has ${count}`)
  }
  return wrong
}
