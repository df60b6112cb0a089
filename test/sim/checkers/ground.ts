// What the checkers know of the world besides the ledger.

import type { History } from '../history.ts'
import type { Connection, Ledger, Received, Subscription } from '../ledger.ts'
import type { Promises } from '../promises.ts'

export interface Ground {
  readonly history: History
  readonly promises: Promises
  /** The end of the story. */
  readonly now: number
  /** Machine index of a node. */
  readonly machineOf: (node: number) => number
  /** Whether both nodes belong to the one cluster. */
  readonly sameCluster: (a: number, b: number) => boolean
  /** Whether what the node has promised outlives its runs. */
  readonly durable: (node: number) => boolean
  /** How long the disk of a node takes for a flush, at most. */
  readonly flushMs: (node: number) => number
  /** How long a client takes at most before it answers. */
  readonly answersMs: (client: string) => number
  readonly heartbeatMs: number
  /** Members of the one cluster. */
  readonly members: number
}

/** Two boxes that die within so short a time may both have been away when the other was told something. */
export const COPIED_MS = 30_000

/** A fresh link has passed on all routes after this long. */
export const SYNCHRONISED_MS = 1500

/** A flush may be slow because the card is tidying up (`store-disk.ts`); the way to the disk takes a little, too. */
export const longestFlushMs = (node: number, { durable, flushMs }: Ground): number =>
  durable(node) ? 25 * flushMs(node) + 25 : 0

export const runEnded = ({ history }: Ground, { node, run }: Connection): number => history.runOf(node, run).to

/**
 * What a client took for a repetition because its node did not remember the packet id: excused where the disk of a node
 * that had the session was put back, because no broker can know then.
 */
export function excusedMistakes({ mistaken, connections }: Ledger, { history }: Ground): readonly Received[] {
  return mistaken.filter(({ connection: { client } }) =>
    connections.some((one) => one.client === client && history.hasForgotten(one.node, 0)),
  )
}

/** All that a client wanted and where it was, for many questions. */
export class ClientRecord {
  readonly client: string
  readonly connections: readonly Connection[]
  readonly subscriptions: readonly Subscription[]

  constructor(client: string, ledger: Ledger) {
    this.client = client
    this.connections = ledger.connections.filter((one) => one.client === client)
    this.subscriptions = ledger.subscriptions.filter((one) => one.client === client)
  }

  /** Where its session was last when the story ended, or null: it was not connected then. */
  get last(): Connection | null {
    const last = this.connections.at(-1)
    return last?.connectedAt != null && last.closedAt === null ? last : null
  }

  /** Until when it wanted what the subscription wanted, replacing ones included. */
  wantedUntil(subscription: Subscription): number {
    let one = subscription
    for (;;) {
      if (one.endAskedAt === null) return Number.POSITIVE_INFINITY
      const next = this.subscriptions.find(
        (later) =>
          later !== one && later.filter === one.filter && later.askedAt === one.endAskedAt && later.grantedAt !== null,
      )
      if (next === undefined || !next.persistent || next.qos === 0 || next.noLocal) return one.endAskedAt
      one = next
    }
  }
}
