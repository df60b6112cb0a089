// After calm every node's routes are the union of the other members' live subscriptions.

import type { Ledger, Subscription } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'
import type { SimNode } from '../world.ts'
import { groupOf } from './matching.ts'

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
  // What boxes have of share groups they tell each other apart from routes.
  const certainGroups = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  const possibleGroups = new Map<number, Set<string>>(scenario.members.map((node) => [node.index, new Set()]))
  for (const one of ledger.subscriptions) {
    const places = placesOf(one, ledger)
    const isShared = groupOf(one.filter) !== null
    const [sure, maybe] = isShared ? [certainGroups, possibleGroups] : [certain, possible]
    if (one.endAskedAt === null && one.grantedAt !== null) sure.get(places[0]!)?.add(one.filter)
    if (one.endedAt === null) for (const place of places) maybe.get(place)?.add(one.filter)
  }
  const elsewhere = (node: SimNode, groups: ReadonlyMap<number, ReadonlySet<string>>) =>
    new Set(scenario.members.flatMap(({ index }) => (index === node.index ? [] : [...groups.get(index)!]))).size
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
    const [least, most] = [elsewhere(node, certainGroups), elsewhere(node, possibleGroups)]
    if (routes < count + least || routes > count + most) {
      const groups = least === most ? `${least}` : `${least} to ${most}`
      wrong.push(`${node.label} says it has ${routes} routes, and has ${count} and those of ${groups} share groups`)
    }
  }
  return wrong
}
