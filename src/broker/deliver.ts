// A message goes round its receivers. The inner loops of the broker: no closures, no values made per receiver.

import { HOPS_MAX } from '../wire/link/sharetargets.ts'
import type { QoS } from '../wire/message.ts'
import type { Peers } from './ports.ts'
import type { Publication, WireVersion } from './publication.ts'
import type { Receivers } from './receivers.ts'
import { hadBefore, remember } from './recentids.ts'
import type { ShareGroup } from './shared.ts'
import type { Subscription } from './subscriptions.ts'

/** Hands the message to every session that is to get it; returns how many that were. */
export function deliver(publication: Publication, receivers: Receivers, peers: Peers): number {
  const { groups } = receivers
  const { targets, foreign, qos } = publication
  if (groups.length === 0 && targets === null) return deliverToOwn(publication, receivers)
  // Asked before the same sessions are given it for another group.
  const served =
    foreign && qos > 0
      ? groups.filter((group) => group.some((one) => hadBefore(one.session, publication, qos, true)))
      : NO_GROUPS
  const reached = targets?.only === true ? 0 : deliverToOwn(publication, receivers)
  return (
    reached +
    (targets === null ? serve(publication, groups, served, peers) : serveTargets(publication, groups, served, peers))
  )
}

const NO_GROUPS: readonly ShareGroup[] = []

/** To those that have subscribed themselves. */
function deliverToOwn(publication: Publication, { entries }: Receivers): number {
  const { qos, retain, publisher, foreign } = publication
  let reached = 0
  for (let index = 0; index < entries.length; index++) {
    let receiver = entries[index]!
    const { echo, session } = receiver
    if (echo !== receiver && session.clientId === publisher) {
      if (echo === null) continue
      receiver = echo
    }
    // [MQTT-3.8.4-8] The lower of published and granted. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    const least = lower(qos, receiver.qos)
    if (foreign && qos > 0 && hadBefore(session, publication, least, false)) continue
    session.take(publication, least, retain && receiver.retainAsPublished, receiver.ids)
    // Also what is passed on with QoS 0: should it come again, the client may want it with more by then. And what was
    // numbered here, at its PUBLISH, before the session came, and goes round now, at its PUBREL (`wentRound`).
    if (qos > 0 && (foreign || (qos === 2 && session.queue.since !== null))) {
      remember(session, publication, least, false)
    }
    reached++
  }
  return reached
}

/** Published here: to the groups that have it from their consumers here, which are noted; the others get it elsewhere. */
function serve(
  publication: Publication,
  groups: readonly ShareGroup[],
  served: readonly ShareGroup[],
  peers: Peers,
): number {
  const { topic, qos, foreign, here } = publication
  let reached = 0
  for (let index = 0; index < groups.length; index++) {
    const group = groups[index]!
    if (served.includes(group)) {
      here.push(group.key)
      continue
    }
    const member = group.pick(topic)
    if (member === null || !peers.ours(group.key, member.session.readiness)) continue
    here.push(group.key)
    deliverToMember(publication, group, member)
    if (foreign && qos > 0) remember(member.session, publication, qos, true)
    reached++
  }
  return reached
}

/** From a member: to the groups that it has chosen us for. What nobody here can take now goes on to somebody who can. */
export function serveTargets(
  publication: Publication,
  groups: readonly ShareGroup[],
  served: readonly ShareGroup[],
  peers: Peers,
): number {
  const { topic, qos } = publication
  const targets = publication.targets!
  let reached = 0
  for (const key of targets.groups) {
    const group = groups.find((one) => one.key === key)
    if (group !== undefined && served.includes(group)) continue
    const member = group?.pick(topic) ?? null
    const away = member === null || member.session.connection === null
    const hops = targets.hops + 1
    if (away && hops <= HOPS_MAX && peers.handOn(publication.passing(), key, hops, member !== null)) {
      reached++
    } else if (member !== null) {
      deliverToMember(publication, group!, member)
      if (qos > 0) remember(member.session, publication, qos, true)
      reached++
    }
  }
  return reached
}

/** Hands the message to the member that was picked. [MQTT-4.8.2-3] */
export function deliverToMember(publication: Publication, group: ShareGroup, member: Subscription): void {
  const retain = publication.retain && member.retainAsPublished
  member.session.take(publication, lower(publication.qos, member.qos), retain, member.ids, group)
}

/**
 * Whether QoS 0 packets of this version can go to all receivers as they are, many in one piece: nobody in the cluster
 * wants them, no share group counts them one by one, and every receiver takes just these bytes.
 */
export function takesRuns(receivers: Receivers, wire: WireVersion): boolean {
  if (receivers.forwards || receivers.groups.length > 0) return false
  const { entries } = receivers
  for (let index = 0; index < entries.length; index++) {
    const { session, ids, echo } = entries[index]!
    const sender = session.connection === null ? null : session.connection.sender
    if (sender === null || sender.wire !== wire || !sender.plain) return false
    if (ids.length > 0 || echo !== entries[index] || session.queue.holdsQoS0) return false
  }
  return true
}

/** Copies a run of whole QoS 0 packets, bytes [start, end) of `buffer`, to each receiver. Only after `takesRuns`. */
export function deliverRun(receivers: Receivers, buffer: Buffer, start: number, end: number, count: number): void {
  const { entries } = receivers
  for (let index = 0; index < entries.length; index++) {
    const { session } = entries[index]!
    const { connection } = session
    if (connection === null || connection.sender.congested) session.missed(count)
    else connection.sender.run(buffer, start, end, count)
  }
}

const lower = (a: QoS, b: QoS): QoS => (a < b ? a : b)
