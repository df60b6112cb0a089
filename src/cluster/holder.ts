// Who of one side of the cluster is to hold the floating address. Pure.

import type { NodeId } from '../base/ids.ts'
import { rendezvous } from './rendezvous.ts'

export interface Claimant {
  readonly node: NodeId
  readonly able: boolean
  readonly holds: boolean
}

/**
 * Who holds it goes on: each move breaks connections. After a heal there are two, and both sides find the same one of
 * them; when there is none, all find the same one of those that could.
 */
export function holderOf(address: string, claimants: readonly Claimant[]): NodeId | null {
  const holding = claimants.filter(({ holds }) => holds)
  const eligible = holding.length > 0 ? holding : claimants.filter(({ able }) => able)
  return rendezvous(
    address,
    eligible.map(({ node }) => node),
  )
}
