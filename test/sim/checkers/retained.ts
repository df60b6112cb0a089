// What is retained at rest: of each topic the last write that was acknowledged, or one that was made after it. A write
// is certainly later than another where one node took both in this order; in a cluster that keeps one set of retained
// messages also where the later one's node had heard of the earlier, or all clocks agree.

import type { Ledger, Received, Sent } from '../ledger.ts'
import { COPIED_MS, type Ground } from './ground.ts'
import { isStatus } from './lastwords.ts'

/** A write has reached every node that is linked after this long. */
const HEARD_MS = 2500
/** Clocks that agree and messages under way: writes further apart than this have stamps in their order. */
const APART_MS = 1000
/** Who has started again gives stamps a little ahead, and so does whoever has heard of them. */
const STARTED_APART_MS = 2000
export const DAY_MS = 86_400_000

/** What one node shows. */
export interface Shown {
  readonly node: number
  readonly run: number
  readonly label: string
  readonly topics: ReadonlyMap<string, Received>
}

export function checkRetained(all: readonly Shown[], ledger: Ledger, ground: Ground): string[] {
  const problems: string[] = []
  // What comes from a box whose clock is more than a day ahead of one's own is refused.
  const apart = ground.history.clockOffMs > DAY_MS && !ground.promises.has('clocks')
  const whole = ground.promises.has('retained') && !apart
  if (!whole && !ground.promises.has('disk')) return problems
  const writes = new Map<string, Sent[]>()
  for (const sent of ledger.sent) {
    // What was refused on the way to a full disk may be there all the same: it is only not promised.
    if (!sent.retain) continue
    const list = writes.get(sent.topic)
    if (list === undefined) writes.set(sent.topic, [sent])
    else list.push(sent)
  }
  for (const shown of all) {
    for (const topic of shown.topics.keys()) {
      if (!writes.has(topic)) problems.push(`${shown.label} retains ${topic}, which nobody has written`)
    }
    for (const [topic, everywhere] of writes) {
      if (isStatus(topic)) continue
      const list = everywhere.filter(({ connection }) => ground.sameCluster(connection.node, shown.node))
      const lasting = list.filter((one) => (whole ? lastsAnywhere(one, ground) : lastsAt(one, shown, ground)))
      const wrong = judge(shown.topics.get(topic), list, lasting, ground, whole)
      if (wrong !== null) problems.push(`${shown.label} ${wrong} at ${topic}`)
    }
  }
  if (whole) differences(all, problems)
  return problems
}

/** All nodes show the same. */
function differences(all: readonly Shown[], problems: string[]): void {
  const [first, ...others] = all
  if (first === undefined) return
  for (const other of others) {
    for (const topic of new Set([...first.topics.keys(), ...other.topics.keys()])) {
      const [a, b] = [first.topics.get(topic), other.topics.get(topic)]
      if (a?.key === b?.key) continue
      problems.push(
        `${first.label} retains ${a?.key ?? 'nothing'} at ${topic}, ${other.label} ${b?.key ?? 'nothing'}: not the same`,
      )
    }
  }
}

const isAcknowledged = (one: Sent): boolean => one.qos > 0 && one.ackedAt !== null && one.reason < 0x80

/** Whether the node itself has promised to keep the write, and still must. */
function lastsAt(one: Sent, { node, run }: Shown, { durable, history }: Ground): boolean {
  const { connection, whole } = one.again
  if (history.hasForgotten(node, one.at)) return false
  // Without a disk a PUBREL to a later run finds what its copy has: the copy's promise, not this node's (seed 7000418).
  const inMemory = connection.run === run && whole.node === node && whole.run === run
  return isAcknowledged(one) && connection.node === node && (durable(node) || inMemory)
}

/** Whether the cluster has: on its disks, or in the memory of more than one. */
export function lastsAnywhere(one: Sent, { durable, history, now }: Ground): boolean {
  if (!isAcknowledged(one) || history.hasForgotten(one.again.connection.node, one.at)) return false
  if (durable(one.again.connection.node)) return true
  // Nobody else has it whose box was cut off; one more fault is one too many.
  return history.deaths(one.at - COPIED_MS, now) <= 1 && !history.troubled(one.at, one.ackedAt! + HEARD_MS)
}

/** What is wrong with what is shown, or null. */
function judge(
  received: Received | undefined,
  writes: readonly Sent[],
  lasting: readonly Sent[],
  ground: Ground,
  whole: boolean,
): string | null {
  if (received === undefined) {
    if (lasting.length === 0 || writes.some((one) => isRemoval(one) && isLast(one, lasting, ground, whole))) return null
    return `has nothing retained, though message ${lasting.at(-1)!.key} was acknowledged`
  }
  const shown = writes.find((one) => one.key === received.key)
  if (shown === undefined) return `retains message ${received.key}, which was never to be retained`
  const later = lasting.find((one) => isLater(one, shown, ground, whole))
  return later === undefined ? null : `retains message ${shown.key}, though message ${later.key} came after it`
}

const isRemoval = (one: Sent): boolean => one.payload.length === 0

const isLast = (one: Sent, lasting: readonly Sent[], ground: Ground, whole: boolean): boolean =>
  !lasting.some((other) => isLater(other, one, ground, whole))

/** Whether `a` was certainly taken after `b`. */
function isLater(a: Sent, b: Sent, ground: Ground, whole: boolean): boolean {
  if (a === b) return false
  const [to, from] = [a.connection, b.again.connection]
  // One connection is read in its order; a QoS 2 message counts from its PUBREL.
  if (to === from && a.times === 1 && b.times === 1 && b.qos < 2 && a.key > b.key) return true
  if (b.ackedAt === null || b.ackedAt > a.at) return false
  if (to.node === from.node) return true
  if (!whole || !ground.sameCluster(to.node, from.node)) return false
  return certainlyLater({ ...to, at: a.at }, { node: from.node, at: b.at, ackedAt: b.ackedAt }, ground)
}

/** The same of writes of whatever all boxes hold alike, at two of them: clocks agree, or the one had heard of the other. */
export function certainlyLater(
  a: { readonly node: number; readonly run: number; readonly at: number },
  b: { readonly node: number; readonly at: number; readonly ackedAt: number | null },
  { history }: Ground,
): boolean {
  if (b.ackedAt === null || b.ackedAt > a.at) return false
  const apartMs = history.deaths(0, b.ackedAt) === 0 ? APART_MS : STARTED_APART_MS
  if (history.clockOffMs === 0 && b.ackedAt + apartMs < a.at) return true
  const heardAt = b.ackedAt + HEARD_MS
  const sameRun = history.runOf(a.node, a.run).from < b.at
  return sameRun && heardAt < a.at && history.linkedSince(b.node, a.node, b.at, heardAt) !== null
}

/**
 * Nobody who subscribes is told an older message than one that he has had live: what members publish is written where it
 * is delivered. Judged within one connection and one QoS, of messages whose order is sure, and between boxes that were
 * linked all the time: after a cut a message may come out of the queue of a session that another box has kept going, before
 * the two have compared what they retain.
 */
export function checkTold(ledger: Ledger, ground: Ground): string[] {
  if (!ground.promises.has('retained')) return []
  const problems: string[] = []
  const live = new Map<string, Sent>()
  for (const { connection, key, fields, topic, at } of ledger.received) {
    const sent = ledger.sent[key]
    if (sent === undefined || !sent.retain || isRemoval(sent) || isStatus(topic)) continue
    // One of QoS 2 waits for its packet id to be safe, and one of QoS 0 passes it meanwhile.
    const place = `${connection.number} ${topic} ${fields.qos}`
    const before = live.get(place)
    if (!fields.retain) {
      if (before === undefined || isLater(sent, before, ground, true)) live.set(place, sent)
    } else if (
      before !== undefined &&
      cameStraight(before, connection.node, at, ground) &&
      isLater(before, sent, ground, true)
    ) {
      problems.push(
        `${connection.client} is told of the older message ${key} at ${topic}, having had ${before.key} live`,
      )
    }
  }
  return problems
}

/** Whether the box of its publisher was linked with that node from when it was sent until then. */
function cameStraight({ again: { connection, at } }: Sent, node: number, until: number, { history }: Ground): boolean {
  return connection.node === node || history.linkedSince(connection.node, node, at, until) !== null
}
