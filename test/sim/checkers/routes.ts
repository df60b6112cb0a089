// After calm every node's routes are the union of the other members' live subscriptions.

import type { Ledger, Subscription } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'

/** Where the subscription is: at the node that took its client last, or may have since. */
function placesOf(one: Subscription, ledger: Ledger): readonly number[] {
  const places: number[] = []
  if (!one.persistent) return [one.connection.node]
  for (const { client, number, node, connectedAt, askedAt, closedAt } of ledger.connections.toReversed()) {
    if (client !== one.client || number < one.connection.number) continue
    if (connectedAt !== null) return [node, ...places]
    if (askedAt !== null && closedAt !== null) places.push(node)
  }
  return [one.connection.node, ...places]
}

/** What the nodes' route tables have too much or too little. */
export function wrongRoutes(scenario: Scenario, ledger: Ledger): string[] {
  const certain = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  // A SUBSCRIBE or UNSUBSCRIBE of a session that lives on, never answered, may or may not have been taken.
  const possible = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  for (const one of ledger.subscriptions) {
    const places = placesOf(one, ledger)
    if (one.endAskedAt === null && one.grantedAt !== null) certain.get(places[0]!)?.add(one.filter)
    if (one.endedAt === null) for (const place of places) possible.get(place)?.add(one.filter)
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
