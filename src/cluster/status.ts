// What the cluster says of itself, in the shape of `edge-mqtt status --json` (stable; fields are only added).

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
  readonly words: string
}

/** What came of `cluster join ADDR`. */
export interface JoinOutcome {
  /** There is a link, by this or already. */
  readonly linked: boolean
  readonly words: string
}

export interface ClusterStatus {
  readonly enabled: boolean
  readonly name: string
  readonly id: string | null
  readonly state: 'member' | 'waiting' | 'alone' | 'removed'
  readonly port: number | null
  readonly role: 'core' | 'worker'
  readonly members: readonly MemberStatus[]
  readonly refused: readonly RefusedStatus[]
  readonly waiting: readonly WaitingStatus[]
}
