// What a member is to us, by what we have seen of it. Pure.
//
//              lost, silent              overdue
//     alive ----------------> suspect ------------> dead
//       ^  \--- stopped ---------|----------------->  |
//       |<------- linked, heard -+-------- linked ----+        left: from every state; back only by a link

import { unreachable } from '../../base/errors.ts'
import type { MemberView } from '../ports.ts'

export type MemberState = MemberView['state']

/**
 * So long what a member had that has left counts as that of a dead one: boxes with copies of its sessions are yet to say
 * that they go on with them.
 */
export const LEFT_MS = 10_000

export type Evidence =
  /** A link with it is up. */
  | 'linked'
  /** Its link is not silent. */
  | 'heard'
  /** Its link has been silent for more than two heartbeats. */
  | 'silent'
  /** Its link is gone. */
  | 'lost'
  /** No link, and nothing heard for `dead_after`. */
  | 'overdue'
  /** It said that its daemon stops: it is not there, but will be. */
  | 'stopped'
  /** It said, or a member said of it, that it leaves the cluster. */
  | 'left'

export function transition(state: MemberState, evidence: Evidence): MemberState {
  switch (evidence) {
    case 'linked':
      return 'alive'
    case 'heard':
      return state === 'suspect' ? 'alive' : state
    case 'silent':
    case 'lost':
      return state === 'alive' ? 'suspect' : state
    case 'overdue':
    case 'stopped':
      return state === 'left' ? 'left' : 'dead'
    case 'left':
      return 'left'
    default:
      return unreachable(evidence)
  }
}
