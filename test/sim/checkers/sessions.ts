// What CONNACK says of the session is true: one that was promised is there, and none is there that cannot be.

import { SESSION_EXPIRY_SEC } from '../client.ts'
import type { Connection, Ledger, Subscription } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'
import type { Ground } from './ground.ts'

/** What was promised of a client's session so far. */
interface Session {
  /** The connections that had it. */
  readonly connections: Connection[]
}

export function checkSessions(ledger: Ledger, ground: Ground): string[] {
  const problems: string[] = []
  const sessions = new Map<string, Session>()
  for (const connection of ledger.connections) {
    const { client } = connection
    const before = sessions.get(client)
    if (connection.connectedAt === null) {
      // It may have reached the broker or not; a new session may have been begun and lost.
      if (connection.askedAt !== null && connection.cleanStart) sessions.delete(client)
      continue
    }
    if (connection.sessionPresent && connection.cleanStart) {
      problems.push(`${client} asked node ${connection.node} for a new session and was given the old one`)
    }
    if (!connection.sessionPresent && before !== undefined && !connection.cleanStart) {
      const promised = ledger.subscriptions.find((one) => isPromised(one, before, connection, ground))
      if (promised !== undefined) {
        const seconds = (connection.connectedAt / 1000).toFixed(3)
        problems.push(
          `${client} came back to node ${connection.node} at ${seconds} s and its session was gone, ` +
            `subscribed to ${promised.filter} at node ${promised.connection.node}`,
        )
      }
    }
    if (connection.sessionPresent && before !== undefined) before.connections.push(connection)
    else if (connection.persistent) sessions.set(client, { connections: [connection] })
    else sessions.delete(client)
  }
  return problems
}

/** An older connection of a client must be over this long after CONNACK of the next: everybody has heard of it by then. */
const ENDS_MS = 3000

/** Connections that a client has left behind and nobody has ended, though it was taken in elsewhere. */
export function surplusConnections(scenario: Scenario, ledger: Ledger, { history, promises, now }: Ground): string[] {
  const surplus: string[] = []
  for (const one of ledger.connections) {
    if (one.deserted === null || one.deserted.endedAt !== null || one.deserted.lostTouch()) continue
    if (history.runOf(one.node, one.run).to < now) continue
    const next = ledger.connections.find(
      ({ client, number, connectedAt }) => client === one.client && number > one.number && connectedAt !== null,
    )
    if (next === undefined || next.connectedAt! > now - ENDS_MS) continue
    if (next.node === one.node || promises.has('single')) {
      surplus.push(`${one.client} has a connection at node ${one.node} still, and one at node ${next.node} since`)
    }
  }
  if (!promises.has('single')) return surplus
  const open = ledger.connections.filter(({ connectedAt, closedAt }) => connectedAt !== null && closedAt === null)
  const here = open.filter(({ node }) => scenario.members.some(({ index }) => index === node)).length
  const everybody = new Set(ledger.connections.map(({ client }) => client)).size
  const count = scenario.members.reduce((sum, node) => sum + node.status().clients, 0)
  // Who is away may have left a connection behind that nobody has missed yet.
  if (open.length === everybody && count !== here)
    surplus.push(`the nodes have ${count} connections, of ${here} clients`)
  return surplus
}

/** Whether a SUBACK of the session must still be worth something when the client is back. */
function isPromised(one: Subscription, session: Session, back: Connection, ground: Ground): boolean {
  if (one.grantedAt === null || !one.persistent || !session.connections.includes(one.connection)) return false
  const left = session.connections.at(-1)!
  if (left.closedAt !== null && back.connectedAt! - left.closedAt > SESSION_EXPIRY_SEC * 1000) return false
  const { promises, history } = ground
  if (session.connections.some(({ node }) => history.hasForgotten(node, one.grantedAt!))) return false
  if (left.node === back.node && (left.run === back.run || ground.durable(back.node))) return promises.has('disk')
  if (!promises.has('sessions') || !ground.sameCluster(left.node, back.node)) return false
  // While neither owner nor backup can be reached there is nothing to be had.
  if (history.troubled(left.closedAt ?? back.askedAt!, back.connectedAt!)) return false
  return ground.durable(left.node) || history.deaths(one.grantedAt, back.connectedAt!) <= 1
}
