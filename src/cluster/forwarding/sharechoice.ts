// Which box's consumers get a message of a share group, decided without side effects.

import type { NodeId } from '../../base/ids.ts'
import type { SharePolicy } from '../settings.ts'

/** What a member has of a group. */
export interface Holding {
  readonly peer: NodeId
  /** It is not dead. */
  readonly visible: boolean
  readonly connected: number
  readonly durable: boolean
}

/**
 * Whether a message published here is for the consumers of this box. `ready`: the best of them; `connected`: how many
 * are; `elsewhere`: those connected on living members; `turn`: counts the group's messages.
 */
export function isOurs(
  policy: SharePolicy,
  ready: 0 | 1 | 2,
  connected: number,
  elsewhere: number,
  turn: number,
): boolean {
  if (elsewhere === 0) return true
  if (ready === 0) return false
  return policy === 'local' || turn % (connected + elsewhere) < connected
}

/**
 * The member whose consumers get it: one with connected ones, each as often as it has them; else one where a persistent
 * session waits, else a dead one where one waits and nobody stands in yet. Null: there is none.
 */
export function choose<H extends Holding>(holdings: Iterable<H>, turn: number, connectedOnly = false): H | null {
  let connected = 0
  let waiting: H | null = null
  for (const one of holdings) {
    if (one.visible) connected += one.connected
    if (one.durable && (waiting === null || before(one, waiting))) waiting = one
  }
  if (connected === 0) return connectedOnly ? null : waiting
  let at = turn % connected
  for (const one of holdings) {
    if (!one.visible) continue
    if (at < one.connected) return one
    at -= one.connected
  }
  return null
}

/** Those that live first, then by their id, so that every box finds the same. */
const before = (a: Holding, b: Holding): boolean => (a.visible === b.visible ? a.peer < b.peer : a.visible)
