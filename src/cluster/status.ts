// What the cluster says of itself, in the shape of `edge-mqtt status --json` (stable; fields are only added).

import { type Endpoint, endpointText } from '../base/ports/streams.ts'

export interface MemberStatus {
  readonly id: string
  readonly name: string
  readonly self: boolean
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly linked: boolean
  /** address:port */
  readonly address: string
  readonly version: string
  readonly rttMs: number | null
  /** Milliseconds since 1970 at which it entered this state. */
  readonly sinceMs: number
  /** What waits for it here; not there of this box itself. */
  readonly queue?: MemberQueue
  /** Id of the member that carries the link; not there when nobody has to. */
  readonly via?: string
}

/** Messages for one member, as this box has them. */
export interface MemberQueue {
  /** Not sent yet: it is away, silent or slow. */
  readonly queued: number
  /** Of QoS 0, dropped since this box has started: a bound of the queue was reached, or the member was dead. */
  readonly dropped: number
  /** Of QoS 1 and 2, acknowledged and kept in this box's store until the member has them. */
  readonly parked: number
}

export interface RefusedStatus {
  readonly address: string
  readonly reason: string
  readonly count: number
  readonly lastMs: number
}

export interface WaitingStatus {
  readonly address: string
  readonly id: string
  readonly name: string
  /** To be compared with what that box shows. */
  readonly words: string
  /** The name of the member whose place it is to take. */
  readonly replaces: string | null
}

/** What `cluster join` asks for: a member at an address, to be let in by a code, or both. */
export interface JoinRequest {
  readonly to: Endpoint | null
  readonly code: string | null
  /** The name of the member whose place this box takes. */
  readonly replaces: string | null
}

/** What came of `cluster join`. */
export interface JoinOutcome {
  /** There is a link, by this or already, or will be at once: it was let in. */
  readonly linked: boolean
  /** It shows its words to people now. */
  readonly waiting: boolean
  readonly words: string
}

export interface ClusterStatus {
  readonly enabled: boolean
  readonly name: string
  readonly id: string | null
  readonly state: 'member' | 'waiting' | 'alone' | 'removed'
  readonly port: number | null
  readonly role: 'core' | 'worker'
  /** The floating address and who holds it; null: none is set. */
  readonly address: { readonly address: string; readonly holder: string | null } | null
  readonly members: readonly MemberStatus[]
  readonly refused: readonly RefusedStatus[]
  readonly waiting: readonly WaitingStatus[]
  /** What this box shows itself while it waits for people; null: it does not. */
  readonly asking: { readonly address: string; readonly words: string } | null
}

/** This box in its own list of members. */
export function ownRow(
  id: string,
  { nodeName, version }: { readonly nodeName: string; readonly version: string },
  endpoint: Endpoint | undefined,
  sinceMs: number,
): MemberStatus {
  const address = endpoint === undefined ? '' : endpointText(endpoint)
  return { id, name: nodeName, self: true, state: 'alive', linked: false, address, version, rttMs: null, sinceMs }
}

/** A problem of a box that others have removed. */
export const REMOVED =
  'this box was removed from its cluster and serves alone; "edge-mqtt cluster leave" gives it a new identity, with which it can be let in again'
