// Share groups (DESIGN 4.7): each message goes to one client of a group; QoS 1 to another as well where the first goes away
// before it has acknowledged, QoS 2 once begun stays where it is; and what was acknowledged is not lost while somebody of
// the group has a session to keep it in.

import type { Ledger, Received, Sent, Subscription } from '../ledger.ts'
import { BACK_MS, isAcknowledged, isOwed } from './acknowledged.ts'
import { flaws, nameOf } from './delivery.ts'
import { ClientRecord, type Ground } from './ground.ts'
import { filterMatches, groupOf } from './matching.ts'

/** How long a fault may show after it has ended, and what broke then be on its way. */
const TROUBLE_MS = 6000
/** An acknowledgement is with the broker, and its copy, this long after the client has sent it. */
const SETTLED_MS = 300

export interface Groups {
  readonly problems: string[]
  /** Messages that had to come to somebody of a group. */
  due: number
}

interface Group {
  readonly wanted: string
  readonly subscriptions: Subscription[]
  readonly clients: Set<string>
  readonly records: Map<string, ClientRecord>
}

export function checkGroups(ledger: Ledger, ground: Ground): Groups {
  const found: Groups = { problems: [], due: 0 }
  const groups = groupsOf(ledger)
  if (groups.size === 0) return found
  const workers = new Set([...groups.values()].flatMap(({ clients }) => [...clients]))
  const received = new Map<string, Received[]>()
  for (const one of ledger.received) {
    const { client } = one.connection
    if (!workers.has(client)) continue
    const sent = ledger.sent[one.key]
    const group = [...groups.values()].find(({ clients }) => clients.has(client))!
    if (sent === undefined || !filterMatches(group.wanted, sent.topic)) {
      found.problems.push(`${client} received ${one.topic}, which its group does not want`)
      continue
    }
    for (const flaw of flaws(sent, one)) found.problems.push(`${nameOf(sent)} reached ${client} with ${flaw}`)
    const name = `${one.key}`
    const list = received.get(name)
    if (list === undefined) received.set(name, [one])
    else list.push(one)
  }
  for (const [name, group] of groups) {
    for (const sent of ledger.sent) {
      if (!filterMatches(group.wanted, sent.topic)) continue
      const got = (received.get(`${sent.key}`) ?? []).filter(({ connection }) => group.clients.has(connection.client))
      checkOnce(name, sent, got, ground, found.problems)
      checkLost(name, group, sent, got, ledger, ground, found)
    }
  }
  return found
}

function groupsOf(ledger: Ledger): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>()
  for (const one of ledger.subscriptions) {
    const shared = groupOf(one.filter)
    if (shared === null) continue
    let group = groups.get(one.filter)
    if (group === undefined) {
      group = { wanted: shared.wanted, subscriptions: [], clients: new Set(), records: new Map() }
      groups.set(one.filter, group)
    }
    group.subscriptions.push(one)
    if (!group.clients.has(one.client)) group.records.set(one.client, new ClientRecord(one.client, ledger))
    group.clients.add(one.client)
  }
  return groups
}

function checkOnce(name: string, sent: Sent, got: readonly Received[], ground: Ground, problems: string[]): void {
  if (got.length < 2 || (sent.times > 1 && sent.qos === 1)) return
  const { history } = ground
  for (const [index, one] of got.entries()) {
    const before = got[index - 1]
    if (before === undefined || mayComeAgain(before, one, sent, ground)) continue
    const nodes = [sent.connection.node, ...got.map(({ connection }) => connection.node)]
    if (nodes.some((node) => history.hasForgotten(node, sent.at))) continue
    const clients = got.map(({ connection, at }) => `${connection.client} (${(at / 1000).toFixed(3)} s)`)
    problems.push(`${nameOf(sent)} reached ${clients.join(' and ')} of the group ${name}`)
    return
  }
}

/** Whether the one that had it first may have gone away before anybody knew that it had it. */
function mayComeAgain(before: Received, again: Received, sent: Sent, ground: Ground): boolean {
  const { history } = ground
  const { connection, fields, at } = before
  if (history.troubled(sent.at - TROUBLE_MS, again.at)) return true
  if (fields.qos !== 1) return false
  const answeredAt = at + ground.answersMs(connection.client) + SETTLED_MS
  return connection.closedAt !== null && connection.closedAt < answeredAt
}

function checkLost(
  name: string,
  group: Group,
  sent: Sent,
  got: readonly Received[],
  ledger: Ledger,
  ground: Ground,
  found: Groups,
): void {
  if (!isAcknowledged(sent)) return
  const due = group.subscriptions.find((one) => {
    if (!one.persistent || one.qos === 0 || one.grantedAt === null) return false
    const record = group.records.get(one.client)!
    const { last } = record
    if (last === null || last.connectedAt! > ground.now - BACK_MS) return false
    return record.wantedUntil(one) === Number.POSITIVE_INFINITY && isOwed(sent, one, record, ground)
  })
  if (due === undefined) return
  found.due++
  if (got.length > 0 || wentDown(group, sent, ledger, ground)) return
  found.problems.push(
    `${nameOf(sent)} was acknowledged and reached nobody of the group ${name}, in which ${due.client} has been ` +
      `since ${((due.grantedAt ?? 0) / 1000).toFixed(3)} s`,
  )
}

/** Whether somebody may have had it chosen for him who kept nothing, and whose box died before it could tell. */
function wentDown(group: Group, sent: Sent, { connections }: Ledger, { history, now }: Ground): boolean {
  return connections.some((one) => {
    if (!group.clients.has(one.client) || one.connectedAt === null) return false
    if (one.persistent || (one.closedAt !== null && one.closedAt < sent.at)) return false
    const { to } = history.runOf(one.node, one.run)
    return to > sent.at && to <= Math.min(now, one.closedAt ?? now)
  })
}
