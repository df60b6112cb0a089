// Nothing that was acknowledged is missing at a session that lives on: whatever died, broke or was full meanwhile
// (DESIGN 4.4). This checker knows no excuse by time: once the publisher has its PUBACK or PUBCOMP, the message is there
// when the subscriber comes back.

import type { Span } from '../history.ts'
import type { Ledger, Sent, Subscription } from '../ledger.ts'
import { ClientRecord, COPIED_MS, excusedMistakes, type Ground, SYNCHRONISED_MS } from './ground.ts'
import { filterMatches } from './matching.ts'

/** A client that has been back for this long has had what waited for it. */
export const BACK_MS = 2000
/** What a fault may hold up has come, and routes are compared again, this long after it. */
const AFTER_FAULT_MS = 6000

export interface Acknowledged {
  readonly problems: string[]
  /** Messages and sessions judged, and those of them on different boxes. */
  due: number
  crossed: number
}

export function checkAcknowledged(ledger: Ledger, ground: Ground): Acknowledged {
  const found: Acknowledged = { problems: [], due: 0, crossed: 0 }
  const acknowledged = ledger.sent.filter(isAcknowledged)
  const mistaken = excusedMistakes(ledger, ground)
  for (const client of new Set(ledger.subscriptions.filter((one) => one.persistent).map((one) => one.client))) {
    const record = new ClientRecord(client, ledger)
    const { last } = record
    if (last === null || last.connectedAt! > ground.now - BACK_MS) continue
    const seen = [...ledger.received, ...mistaken].filter((one) => one.connection.client === client)
    const got = new Set(seen.map((one) => one.key))
    const wishes = record.subscriptions.filter((one) => one.persistent && one.qos > 0 && one.grantedAt !== null)
    const lasting = wishes.filter((one) => record.wantedUntil(one) === Number.POSITIVE_INFINITY)
    for (const sent of acknowledged) {
      const due = lasting.find((one) => mustArrive(sent, one, record, ground))
      if (due === undefined) continue
      found.due++
      const here = sent.connection.node === due.connection.node
      if (!here) found.crossed++
      if (!got.has(sent.key)) found.problems.push(lost(sent, due))
    }
  }
  return found
}

export const isAcknowledged = (sent: Sent): boolean =>
  sent.qos > 0 && sent.will === null && sent.ackedAt !== null && sent.reason < 0x80 && sent.payload.length > 0

function lost(sent: Sent, due: Subscription): string {
  const seconds = (ms: number | null) => `${((ms ?? 0) / 1000).toFixed(3)} s`
  return (
    `message ${sent.key} (${sent.topic}, QoS ${sent.qos}, by ${sent.connection.client} at node ${sent.connection.node}, ` +
    `${seconds(sent.at)}) was acknowledged at ${seconds(sent.ackedAt)} and is lost to the session of ${due.client}, ` +
    `subscribed to ${due.filter} (QoS ${due.qos}) at node ${due.connection.node} since ${seconds(due.grantedAt)}`
  )
}

function mustArrive(sent: Sent, one: Subscription, record: ClientRecord, ground: Ground): boolean {
  if (one.noLocal && one.client === sent.connection.client) return false
  return filterMatches(one.filter, sent.topic) && isOwed(sent, one, record, ground)
}

/** Whether the session is owed the message, or its group is, when it matches. */
export function isOwed(sent: Sent, one: Subscription, record: ClientRecord, ground: Ground): boolean {
  if (one.grantedAt! > sent.at) return false
  const { promises } = ground
  const from = sent.connection.node
  // What a disk has forgotten that somebody has put back is nobody's fault.
  if (places(record).some((node) => ground.history.hasForgotten(node, sent.at))) return false
  if (ground.history.hasForgotten(sent.again.connection.node, sent.at)) return false
  if (from === one.connection.node && !promises.has('sessions')) return promises.has('disk') && ground.durable(from)
  if (!promises.has('delivery') || !ground.sameCluster(from, one.connection.node)) return false
  return knowsOf(sent, one, record, ground) && isSafe(sent, ground)
}

const places = (record: ClientRecord): readonly number[] => record.connections.map(({ node }) => node)

/** Whether the node that took the message certainly knew of the subscription: from any node that had the session by then. */
function knowsOf(sent: Sent, one: Subscription, record: ClientRecord, ground: Ground): boolean {
  const { history } = ground
  const { at } = sent.again
  const { node, run } = sent.again.connection
  const began = history.runOf(node, run).from
  const places = record.connections.filter((place) => place.connectedAt !== null && place.persistent)
  return places.some((place) => {
    if (place.number < one.connection.number) return false
    const since = Math.max(one.grantedAt!, place.connectedAt!)
    if (since > at) return false
    if (place.node === node) return place.run === run
    return history.links(node, place.node).some((link) => {
      if (link.from < began) return false
      // The SUBACK waited for who was linked and not suspect; what a link brings along comes a little later.
      const waited = place === one.connection && link.from <= one.askedAt && link.to >= since
      if (waited && !wasDisturbed(sent, one, ground)) return true
      return synchronisedAt(link, since) <= Math.min(at, link.to)
    })
  })
}

const synchronisedAt = (link: Span, since: number): number =>
  Math.max(link.from + SYNCHRONISED_MS, since) + AFTER_FAULT_MS

function wasDisturbed(sent: Sent, one: Subscription, { history, machineOf, heartbeatMs }: Ground): boolean {
  const [a, b] = [machineOf(sent.connection.node), machineOf(one.connection.node)]
  return history.disturbed(a, b, one.askedAt - 3 * heartbeatMs, one.grantedAt!)
}

/** On disks everything lives on; in memory one death loses nothing, as long as there was time to copy before the next. */
function isSafe(sent: Sent, { history, promises, durable, now }: Ground): boolean {
  if (durable(sent.connection.node)) return true
  return promises.has('sessions') && history.deaths(sent.at - COPIED_MS, now) <= 1
}
