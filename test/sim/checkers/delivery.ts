// Judges every delivery by what the clients saw: nothing that does not match, nothing altered, nothing twice, in
// order; and where links held and nothing disturbed the way, everything.

import type { Connection, Ledger, Received, Sent, Subscription } from '../ledger.ts'
import type { PublishProperties } from '../publish.ts'
import { excusedMistakes, type Ground, longestFlushMs, runEnded, SYNCHRONISED_MS } from './ground.ts'
import { isStatus } from './lastwords.ts'
import { filterMatches, groupOf } from './matching.ts'

/** A message is where it belongs this long after it was sent, on an undisturbed way. */
const UNDERWAY_MS = 2500

/** How long a fault may show after it has ended: a link breaks only when nothing was heard for long enough. */
const TROUBLE_MS = 6000

/** What is told over a link may not have arrived when it is cut this much later. */
const CUT_NOTICED_MS = 3000

/** From a client to its box, longer than it takes. */
const WAY_MS = 20

/** All subscriptions of one client, ever. */
class Wishes {
  readonly all: Subscription[] = []
  /** It works for a share group. */
  shares = false
  readonly #byTopic = new Map<string, readonly Subscription[]>()

  matching(topic: string): readonly Subscription[] {
    let found = this.#byTopic.get(topic)
    if (found === undefined) {
      found = this.all.filter((one) => filterMatches(one.filter, topic))
      this.#byTopic.set(topic, found)
    }
    return found
  }
}

export interface DeliveryFacts {
  readonly problems: string[]
  /** Deliveries that had to be, and those of them that crossed from box to box. */
  due: number
  crossed: number
}

export function checkDelivery(ledger: Ledger, ground: Ground): DeliveryFacts {
  const facts: DeliveryFacts = { problems: [...ledger.complaints], due: 0, crossed: 0 }
  const byClient = new Map<string, Wishes>()
  for (const one of ledger.subscriptions) {
    let wishes = byClient.get(one.client)
    if (wishes === undefined) byClient.set(one.client, (wishes = new Wishes()))
    wishes.all.push(one)
    if (groupOf(one.filter) !== null) wishes.shares = true
  }
  const { deliveries, unclear } = sortDeliveries(ledger, byClient, ground, facts.problems)
  const received = new Map<string, Received[]>()
  for (const one of ledger.received) {
    const list = received.get(one.connection.client)
    if (list === undefined) received.set(one.connection.client, [one])
    else list.push(one)
  }
  for (const [client, wishes] of byClient) {
    if (!wishes.shares) checkOrder(client, wishes, received.get(client) ?? [], ledger, ground, facts.problems)
    for (const sent of ledger.sent) {
      if (isStatus(sent.topic)) continue
      const matching = wishes.matching(sent.topic)
      if (matching.length === 0) continue
      const name = `${client} ${sent.key}`
      const got = deliveries.get(name) ?? []
      checkCopies(client, sent, matching, got, ground, facts.problems)
      const due = matching.find((one) => mustArrive(sent, one, ledger, ground))
      if (due === undefined) continue
      facts.due++
      if (due.connection.node !== sent.connection.node) facts.crossed++
      if (got.length === 0 && !unclear.has(name)) facts.problems.push(missing(sent, due))
      if (sent.reason === 0x10) facts.problems.push(`${nameOf(sent)}: "no matching subscribers", but ${client} is one`)
    }
  }
  return facts
}

export const nameOf = (sent: Sent): string =>
  `message ${sent.key} (${sent.topic}, QoS ${sent.qos}, by ${sent.connection.client} at node ${sent.connection.node}, ` +
  `${(sent.at / 1000).toFixed(3)} s)`

function missing(sent: Sent, due: Subscription): string {
  const granted = ((due.grantedAt ?? 0) / 1000).toFixed(3)
  return (
    `${nameOf(sent)} never reached ${due.client} at node ${due.connection.node}, ` +
    `subscribed to ${due.filter} (QoS ${due.qos}) since ${granted} s`
  )
}

interface Sorted {
  /** Live deliveries by client and message. */
  readonly deliveries: Map<string, Received[]>
  /** Client and message of what may be live or out of the store, where both look the same, and of what nobody can tell. */
  readonly unclear: Set<string>
}

/** Sorts deliveries by client and message; judges each by itself on the way. */
function sortDeliveries(
  ledger: Ledger,
  byClient: ReadonlyMap<string, Wishes>,
  ground: Ground,
  problems: string[],
): Sorted {
  const deliveries = new Map<string, Received[]>()
  const unclear = new Set<string>()
  for (const received of ledger.received) {
    const { client } = received.connection
    // Who shares has no other subscriptions, and a judge of its own.
    if (byClient.get(client)?.shares === true || isStatus(received.topic)) continue
    const sent = ledger.sent[received.key]
    if (received.fields.payload.length === 0 && ledger.removes(received.topic)) continue
    if (sent === undefined) {
      problems.push(`${client} received what nobody sent: ${received.topic}`)
      continue
    }
    const matching = byClient.get(client)?.matching(sent.topic) ?? []
    const wanted = matching.filter((one) => wants(one, sent, received))
    if (wanted.length === 0) problems.push(`${nameOf(sent)} reached ${client}, which has no subscription for it`)
    if (!ground.sameCluster(sent.connection.node, received.connection.node)) {
      problems.push(`${nameOf(sent)} reached ${client} in another cluster`)
    }
    const wasTroubled = ground.history.troubled(sent.at - TROUBLE_MS, received.at)
    if (
      sent.will === 'discarded' &&
      (ground.promises.has('wills') ? !diedUnwritten(sent.connection, sent.at, ground) : !wasTroubled)
    )
      problems.push(`${nameOf(sent)} is a will, and reached ${client} after a DISCONNECT`)
    for (const flaw of flaws(sent, received)) problems.push(`${nameOf(sent)} reached ${client} with ${flaw}`)
    const key = `${client} ${sent.key}`
    if (received.fields.retain && wanted.some((one) => !one.retainAsPublished)) {
      if (!sent.retain) problems.push(`${nameOf(sent)} reached ${client} as retained, but was not`)
      if (wanted.some((one) => one.retainAsPublished)) unclear.add(key)
      continue
    }
    const live = wanted.filter((one) => !(one.noLocal && one.client === sent.connection.client))
    for (const flaw of subscriptionFlaws(sent, received, live)) {
      problems.push(`${nameOf(sent)} reached ${client} with ${flaw}`)
    }
    const list = deliveries.get(key)
    if (list === undefined) deliveries.set(key, [received])
    else list.push(received)
  }
  for (const { connection, key } of excusedMistakes(ledger, ground)) unclear.add(`${connection.client} ${key}`)
  return { deliveries, unclear }
}

/** Whether the box of a client need not remember what it did for it then: it died before that was on its disk. */
function diedUnwritten(connection: Connection, at: number, ground: Ground): boolean {
  const { history } = ground
  const { node } = connection
  const endedAt = runEnded(ground, connection)
  // Neither a DISCONNECT nor a will waits for the disk, so none is held back while that is full.
  return (
    endedAt < at + WAY_MS + 2 * longestFlushMs(node, ground) ||
    history.unwrittenSince(node, endedAt) <= at ||
    history.hasForgotten(node, at)
  )
}

function wants(one: Subscription, sent: Sent, received: Received): boolean {
  if (one.askedAt > received.at) return false
  // A retained message is the topic's, not its publisher's: on subscribing No Local may or may not keep it back.
  if (one.noLocal && sent.connection.client === one.client && !(received.fields.retain && sent.retain)) return false
  return one.endedAt === null || sent.at <= one.endedAt
}

/** What must be as it was sent, whoever receives it. */
export function flaws(sent: Sent, received: Received): string[] {
  const found: string[] = []
  const { fields } = received
  if (received.topic !== sent.topic) found.push(`topic ${received.topic}`)
  if (!fields.payload.equals(sent.payload)) found.push('another payload')
  if (received.at < sent.at && sent.will === null) found.push('a time before it was sent')
  if (sent.expirySec !== null && fields.expirySec !== null) {
    const gone = Math.ceil((received.at - sent.at) / 1000)
    if (fields.expirySec > sent.expirySec || fields.expirySec < sent.expirySec - gone - 1) {
      found.push(`expiry ${fields.expirySec} s of ${sent.expirySec} s`)
    }
  }
  if (received.connection.version === 5) {
    if (!sameProperties(sent.properties, fields.properties)) {
      found.push(`properties ${JSON.stringify(fields.properties)}, not ${JSON.stringify(sent.properties)}`)
    }
    if ((sent.expirySec === null) !== (fields.expirySec === null)) found.push('an expiry gained or lost')
  }
  return found
}

/** What depends on the subscriptions: exact where they were at rest around the message, else one of what may be. */
function subscriptionFlaws(sent: Sent, received: Received, wanted: readonly Subscription[]): string[] {
  const found: string[] = []
  const { fields } = received
  const qosAllowed = new Set(wanted.map((one) => Math.min(one.qos, sent.qos)))
  const atRest = wanted.every((one) => isAtRest(one, sent, received.at))
  const highest = Math.max(0, ...qosAllowed)
  if (atRest ? fields.qos !== highest : !qosAllowed.has(fields.qos)) found.push(`QoS ${fields.qos}, not ${highest}`)
  const mayRetain = sent.retain && wanted.some((one) => one.retainAsPublished)
  if (fields.retain && !mayRetain) found.push('the retain flag')
  if (atRest && sent.retain && !fields.retain && wanted.every((one) => one.retainAsPublished)) {
    found.push('no retain flag')
  }
  if (received.connection.version === 4) return found
  const ids = wanted.flatMap((one) => (one.id === null ? [] : [one.id])).sort((a, b) => a - b)
  const got = [...fields.subscriptionIds].sort((a, b) => a - b)
  if (atRest && ids.join() !== got.join()) found.push(`subscription identifiers ${got.join()}, not ${ids.join()}`)
  return found
}

/** User properties in their order. */
function sameProperties(a: PublishProperties, b: PublishProperties): boolean {
  return (
    a.payloadFormat === b.payloadFormat &&
    a.contentType === b.contentType &&
    a.responseTopic === b.responseTopic &&
    a.correlation === b.correlation &&
    a.user.length === b.user.length &&
    a.user.every(([name, value], index) => b.user[index]![0] === name && b.user[index]![1] === value)
  )
}

const isAtRest = (one: Subscription, sent: Sent, until: number): boolean =>
  one.grantedAt !== null && one.grantedAt <= sent.at && (one.endAskedAt === null || one.endAskedAt > until)

/**
 * Never twice to one session. Allowed: QoS 1 that its publisher sent again; QoS 1 again over the next connection of a
 * session that lives on, as a duplicate; QoS 1 where its node has died meanwhile; QoS 0 and 1 of what a publisher released
 * again because the node that had its QoS 2 exchange has died.
 */
function checkCopies(
  client: string,
  sent: Sent,
  matching: readonly Subscription[],
  got: readonly Received[],
  ground: Ground,
  problems: string[],
): void {
  if (got.length < 2 || (sent.qos === 1 && sent.times > 1)) return
  // Not kept yet: what comes over a resumed link and from a stand-in, or from a parking place, is not always joined.
  if (!ground.promises.has('once') && ground.history.troubled(sent.at - TROUBLE_MS, got.at(-1)!.at)) return
  const nodes = [sent.connection.node, ...got.map(({ connection }) => connection.node)]
  if (nodes.some((node) => ground.history.hasForgotten(node, sent.at))) return
  const diedAt = sent.qos === 2 && sent.times > 1 ? runEnded(ground, sent.connection) : Number.POSITIVE_INFINITY
  const counted = got.filter((one, index) => {
    if (index === 0) return true
    return !isForgotten(one, got[0]!, sent, ground) && (one.at < diedAt || isOnce(one, sent, ground))
  })
  const connections = new Set(counted.map((one) => one.connection))
  // A clean client that moved has another session each time.
  const persistent = matching.some((one) => one.persistent)
  const again = counted.some((one, index) => index > 0 && !mayComeAgain(one, counted[index - 1]!, ground))
  if (connections.size < counted.length || (persistent && again)) {
    problems.push(`${nameOf(sent)} reached ${client} ${got.length} times`)
  }
}

/**
 * A node that has died since does not remember what it had of QoS 1: members that were not told so send it again. Of
 * QoS 2 one death brings nothing twice (DESIGN 4.4), that of both nodes may; so may that of a box without a disk, of whose
 * last doings nobody heard because it was cut off. Of a will the box is the publisher: it sends it again when it has died
 * before its disk knew that it had sent it. Waiting for the disk first would lose wills instead.
 */
function isForgotten({ fields, connection, at }: Received, first: Received, sent: Sent, ground: Ground): boolean {
  if (sent.will !== null && runEnded(ground, sent.connection) <= at && diedUnwritten(sent.connection, first.at, ground))
    return true
  if (ground.promises.has('sessions') && ground.history.deaths(sent.at, at) > 1) return true
  if (ground.history.runOf(connection.node, connection.run).from <= sent.at) return false
  const { node, run } = first.connection
  if (!ground.durable(node) && ground.history.runOf(node, run).to <= at && wasCutOff(node, first.at, ground))
    return true
  return fields.qos === 1 || (connection.node !== sent.connection.node && runEnded(ground, sent.connection) < at)
}

/** Whether the way between the node and any other was not what it should be then. */
function wasCutOff(node: number, at: number, { history, machineOf, members }: Ground): boolean {
  const [from, to] = [at - CUT_NOTICED_MS, at + CUT_NOTICED_MS]
  const others = Array.from({ length: members }, (_, other) => other).filter((other) => other !== node)
  return others.some((other) => history.disturbed(machineOf(node), machineOf(other), from, to))
}

/** Whether QoS 2 holds though the node that had the exchange has died: elsewhere it takes a memory of message ids. */
const isOnce = ({ fields, connection }: Received, sent: Sent, { promises }: Ground): boolean =>
  fields.qos === 2 && (connection.node === sent.connection.node || promises.has('delivery'))

function mayComeAgain({ fields, connection, at }: Received, before: Received, ground: Ground): boolean {
  // Who moves across a cut may get again what it completed on the other side.
  const { history, machineOf } = ground
  const [a, b] = [connection.node, before.connection.node]
  if (a !== b && history.disturbed(machineOf(a), machineOf(b), before.at - CUT_NOTICED_MS, at)) return true
  const sameRun = connection.node === before.connection.node && connection.run === before.connection.run
  return fields.qos === 1 && (fields.dup || !sameRun)
}

/**
 * Whether a copy with the retain flag is, or may be, a live one to a subscription that asked for the flag as published. The
 * message has then come, though it is not judged: another copy (of QoS 1 sent again) may come without the flag, when that
 * subscription has ended and another is left.
 */
function cameAsPublished(received: Received, sent: Sent, wishes: Wishes): boolean {
  return wishes.matching(sent.topic).some((one) => one.retainAsPublished && wants(one, sent, received))
}

/**
 * Whether the message was for nobody here when it was sent first, and is what its publisher sent again since, which
 * comes behind what was sent between the two.
 */
const cameTooEarly = (sent: Sent, wishes: Wishes): boolean =>
  sent.times > 1 &&
  wishes
    .matching(sent.topic)
    .every((one) => one.askedAt > sent.at || (one.endAskedAt !== null && one.endAskedAt <= sent.at + UNDERWAY_MS))

/**
 * Whether it came with QoS 0, for which nobody waits, to a client that was away when it was sent first, and is what its
 * publisher sent again since.
 */
function cameWhileAway({ fields, connection: { client } }: Received, sent: Sent, ledger: Ledger): boolean {
  if (sent.times < 2 || fields.qos > 0) return false
  return !ledger.connections.some(
    ({ client: one, connectedAt, closedAt }) =>
      one === client &&
      connectedAt !== null &&
      connectedAt <= sent.at &&
      (closedAt === null || closedAt > sent.at + UNDERWAY_MS),
  )
}

/** Per connection of a publisher, topic and QoS, what arrives for the first time arrives in the order sent. */
function checkOrder(
  client: string,
  wishes: Wishes,
  received: readonly Received[],
  ledger: Ledger,
  ground: Ground,
  problems: string[],
): void {
  const last = new Map<string, number>()
  const seen = new Set<number>()
  for (const one of received) {
    const { fields, key, connection } = one
    const sent = ledger.sent[key]
    if (sent === undefined || isStatus(sent.topic) || seen.has(sent.key)) continue
    if (fields.retain && !cameAsPublished(one, sent, wishes)) continue
    seen.add(sent.key)
    if (fields.retain) continue
    // Until order is kept when a subscriber moves, it is judged at each place by itself.
    const place = ground.promises.has('order') ? '' : ` ${connection.node}`
    const lane = `${sent.connection.number} ${sent.topic} ${sent.qos} ${fields.qos}${place}`
    const before = last.get(lane) ?? -1
    const mustFollow = ground.promises.has('order') || !ground.history.troubled(sent.at - TROUBLE_MS, one.at)
    if (before > sent.key && mustFollow && !cameTooEarly(sent, wishes) && !cameWhileAway(one, sent, ledger)) {
      problems.push(`${nameOf(sent)} reached ${client} after message ${before}`)
    }
    last.set(lane, Math.max(before, sent.key))
  }
  if (ground.promises.has('order')) checkNext(client, wishes, received, ledger, ground, problems)
}

/** What a publisher had acknowledged on one connection comes before what it sent on its next, while nothing is broken. */
function checkNext(
  client: string,
  wishes: Wishes,
  received: readonly Received[],
  ledger: Ledger,
  ground: Ground,
  problems: string[],
): void {
  const last = new Map<string, Sent>()
  const seen = new Set<number>()
  for (const one of received) {
    const { fields, key, at } = one
    const sent = ledger.sent[key]
    if (sent === undefined || isStatus(sent.topic) || fields.qos === 0 || seen.has(key)) continue
    if (fields.retain && !cameAsPublished(one, sent, wishes)) continue
    seen.add(key)
    if (fields.retain) continue
    const lane = `${sent.connection.client} ${sent.topic} ${sent.qos} ${fields.qos}`
    const before = last.get(lane)
    if (before === undefined || before.key < key) last.set(lane, sent)
    else if (before.connection !== sent.connection && sent.ackedAt !== null && sent.ackedAt <= before.at) {
      if (ground.history.troubled(sent.at, at)) continue
      problems.push(`${nameOf(sent)} reached ${client} after message ${before.key} of its publisher's next connection`)
    }
  }
}

/** Whether nothing excuses that the message did not arrive. */
function mustArrive(sent: Sent, one: Subscription, ledger: Ledger, ground: Ground): boolean {
  if (one.grantedAt === null || one.grantedAt > sent.at) return false
  if (one.noLocal && one.client === sent.connection.client) return false
  const accepted = acceptedBy(sent)
  if (accepted === null || sent.payload.length === 0) return false
  const until = accepted + UNDERWAY_MS
  if (one.endAskedAt !== null && one.endAskedAt <= until) return false
  if (runEnded(ground, sent.connection) <= until || hasMoved(one, until, ledger)) return false
  if (!reachable(sent, one, until, ledger)) return false
  return linksHeld(sent, one, until, ground)
}

/** When the broker has certainly taken the message, or null: it may not have. */
function acceptedBy(sent: Sent): number | null {
  if (sent.will !== null) return sent.will === 'due' ? sent.at : null
  if (sent.qos > 0) return sent.ackedAt !== null && sent.reason < 0x80 ? sent.ackedAt : null
  const { closedAt } = sent.connection
  return closedAt === null || closedAt > sent.at + UNDERWAY_MS ? sent.at + UNDERWAY_MS : null
}

/** Whether the subscriber was there all the time, or its session was, and it came back for it. */
function reachable(sent: Sent, one: Subscription, until: number, ledger: Ledger): boolean {
  const { closedAt } = one.connection
  if (closedAt === null || closedAt > until) return true
  if (!one.persistent || Math.min(one.qos, sent.qos) === 0) return false
  return ledger.connections.some(
    (later) =>
      later.client === one.client &&
      later.run === one.connection.run &&
      later.connectedAt !== null &&
      later.connectedAt > sent.at &&
      (one.endAskedAt === null || one.endAskedAt > later.connectedAt + UNDERWAY_MS) &&
      (later.closedAt === null || later.closedAt > Math.max(until, later.connectedAt + UNDERWAY_MS)),
  )
}

/** A session that has moved is not where its subscription was made; another checker judges what it is owed. */
function hasMoved(one: Subscription, until: number, ledger: Ledger): boolean {
  const { client, number, node } = one.connection
  return (
    one.persistent &&
    ledger.connections.some(
      (it) => it.client === client && it.number > number && it.node !== node && it.askedAt! < until,
    )
  )
}

function linksHeld(sent: Sent, one: Subscription, until: number, ground: Ground): boolean {
  const { node: from } = sent.connection
  const { node: to } = one.connection
  if (from === to) return sent.connection.run === one.connection.run
  if (!ground.sameCluster(from, to)) return false
  const since = ground.history.linkedSince(from, to, sent.at, until)
  if (since === null) return false
  // The SUBACK waits for members that are linked when it is asked for; what a link brings along comes a little later.
  if (one.askedAt < since && sent.at < since + SYNCHRONISED_MS) return false
  // A SUBACK does not wait for a suspect: a fault just before excuses, for as long as it takes to be heard again.
  const disturbedFrom = sent.at - 3 * ground.heartbeatMs
  return !ground.history.disturbed(ground.machineOf(from), ground.machineOf(to), disturbedFrom, until)
}
