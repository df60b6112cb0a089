// The wills of clients whose box is gone (DESIGN 4.8, CLUSTER 7): each comes in its time, once, and not while its client is
// there; and at rest every client that is there stands in its retained topic as it has said itself.

import type { Connection, Ledger, Received, Sent } from '../ledger.ts'
import type { Scenario } from '../scenario.ts'
import type { Ground } from './ground.ts'
import { DAY_MS, lastsAnywhere, type Shown } from './retained.ts'

export const isStatus = (topic: string): boolean => topic.startsWith('status/')

/** What is said at one box is known at all others this long after it. */
const KNOWN_MS = 2500
/** A member is looked at every so often, and wills are published in turns. */
const SLACK_MS = 2000
/** A box that is told to stop is gone this long after its clients were sent away. */
const STOPPING_MS = 2200
/** Links are looked at every so often. */
const SAMPLED_MS = 600
/** What onlookers subscribe to, and nobody else. */
const ONLOOKING = 'status/+'
/** A client that has said something this long ago is believed. */
const SAID_MS = 3000

export interface LastWords {
  readonly problems: string[]
  /** Wills of clients whose box had died that had to be published. */
  due: number
}

export function checkLastWords(ledger: Ledger, ground: Ground, scenario: Scenario): LastWords {
  const found: LastWords = { problems: [], due: 0 }
  if (!ground.promises.has('lastwords') || scenario.willAfterMs === null) return found
  const live = ledger.received.filter(({ topic, fields }) => isStatus(topic) && !fields.retain)
  for (const will of ledger.sent) {
    if (will.will === null || !isStatus(will.topic)) continue
    const got = live.filter(({ key }) => key === will.key)
    for (const one of got) {
      const there = isThere(will, one, ledger, ground, scenario)
      if (there !== null) found.problems.push(`${nameOf(will)} reached ${whoIs(one)}, and its client is ${there}`)
    }
    checkOnce(will, got, ground, found.problems)
    checkFired(will, got, ledger, ground, scenario, found)
  }
  return found
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(3)} s`
const nameOf = ({ key, connection }: Sent): string =>
  `the will ${key} of ${connection.client} at node ${connection.node} (since ${seconds(connection.connectedAt ?? 0)})`
const whoIs = ({ connection, at }: Received): string =>
  `${connection.client} at node ${connection.node} at ${seconds(at)}`

/** Where its client has been for long enough that everybody knows of it; null: nowhere. */
function isThere(will: Sent, one: Received, ledger: Ledger, ground: Ground, scenario: Scenario): string | null {
  const { client } = will.connection
  const { at, connection: onlooker } = one
  const { deadAfterMs, heartbeatMs, willAfterMs } = scenario
  for (const there of ledger.connections) {
    if (there.client !== client || there.connectedAt === null || there.number < will.connection.number) continue
    if (there.connectedAt > at - KNOWN_MS || (there.closedAt !== null && there.closedAt <= at)) continue
    const calledDeadMs = deadAfterMs + heartbeatMs + willAfterMs! + SLACK_MS
    const since = there === will.connection ? at - calledDeadMs - KNOWN_MS : there.connectedAt
    if (onlooker.connectedAt! > since || !allWell(since, at, ground)) continue
    return `at node ${there.node} since ${seconds(there.connectedAt)}`
  }
  return null
}

/** Whether no box came or went, and all had links with each other without a break. */
function allWell(from: number, to: number, { history, members, now }: Ground): boolean {
  const up: number[] = []
  for (let node = 0; node < members; node++) {
    const state = history.stateOf(node, from, Math.min(to, now))
    if (state === 'changed') return false
    if (state === 'up') up.push(node)
  }
  return up.every((a) => up.every((b) => a >= b || history.linkedSince(a, b, from, to) !== null))
}

/** Its id is the same whoever publishes it. */
function checkOnce(will: Sent, got: readonly Received[], { history }: Ground, problems: string[]): void {
  for (const [index, one] of got.entries()) {
    const before = got.slice(0, index).find(({ connection }) => connection === one.connection)
    if (before === undefined || history.hasForgotten(one.connection.node, will.connection.askedAt!)) continue
    problems.push(`${nameOf(will)} reached ${whoIs(before)} and at ${seconds(one.at)} again`)
  }
}

function checkFired(
  will: Sent,
  got: readonly Received[],
  ledger: Ledger,
  ground: Ground,
  { deadAfterMs, heartbeatMs, willAfterMs, members }: Scenario,
  found: LastWords,
): void {
  const { connection } = will
  const { history, now } = ground
  if (connection.connectedAt === null) return
  const { to: diedAt } = history.runOf(connection.node, connection.run)
  const sentAway = will.will === 'due' && connection.closedAt !== null && diedAt - connection.closedAt < STOPPING_MS
  if (will.will !== 'orphaned' && !sentAway) return
  // What it had told nobody when it died nobody knows.
  if (connection.connectedAt > diedAt - KNOWN_MS) return
  const by = diedAt + deadAfterMs + heartbeatMs + Math.max(willAfterMs!, will.delayMs ?? 0) + SLACK_MS
  const before = connection.connectedAt
  const again = (one: Connection) =>
    one.client === connection.client && one.number > connection.number && one.askedAt !== null && one.askedAt <= by
  if (by > now || ledger.connections.some(again)) return
  const isBack = history.stateOf(connection.node, diedAt + 1, by) !== 'down'
  const others = members.filter(({ index }) => index !== connection.node).map(({ index }) => index)
  const until = (b: number) => (b === connection.node ? diedAt - SAMPLED_MS : by)
  const knows = (a: number, b: number) => a === b || history.linkedSince(a, b, before, until(b)) !== null
  const well = others.every(
    (a) => history.stateOf(a, before, by) === 'up' && others.every((b) => knows(a, b)) && knows(a, connection.node),
  )
  if (isBack || !well || others.length === 0) return
  for (const { client, filter, grantedAt, endAskedAt, connection: onlooker } of ledger.subscriptions) {
    if (filter !== ONLOOKING) continue
    if (grantedAt === null || grantedAt > connection.connectedAt || (endAskedAt !== null && endAskedAt < by)) continue
    if (onlooker.node === connection.node || (onlooker.closedAt !== null && onlooker.closedAt < by)) continue
    found.due++
    if (!got.some((one) => one.connection.client === client)) {
      found.problems.push(`${nameOf(will)}, which died at ${seconds(diedAt)}, never reached ${client}`)
    }
  }
}

/** Clients that are there, and of which a retained message at some node says something else than they have said last. */
export function staleStatuses(all: readonly Shown[], ledger: Ledger, ground: Ground): string[] {
  const { promises, now, history } = ground
  // What comes from a box whose clock is more than a day ahead of one's own is refused.
  if (!promises.has('lastwords') || (history.clockOffMs > DAY_MS && !promises.has('clocks'))) return []
  const stale: string[] = []
  const latest = new Map(ledger.connections.map((one) => [one.client, one]))
  for (const [client, connection] of latest) {
    if (connection.connectedAt === null || connection.closedAt !== null) continue
    const topic = `status/${client}`
    const own = ledger.sent.filter((one) => one.connection === connection && one.topic === topic && one.will === null)
    const said = own.findLast((one) => lastsAnywhere(one, ground))
    if (said === undefined || said.ackedAt! > now - SAID_MS) continue
    for (const { label, topics } of all) {
      const key = topics.get(topic)?.key ?? null
      if (own.some((one) => one.key === key && one.key >= said.key)) continue
      stale.push(`${client} is there and has said ${said.key}, and ${label} retains ${key ?? 'nothing'} at ${topic}`)
    }
  }
  return stale
}
