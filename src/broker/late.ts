// A message from a member that may have come before, another way: for persistent sessions that have not had it. Those that
// end with their connection got it then, or were not there.
//
// One that is handed over was on its way to another box: it is for those subscriptions that have come from there. Who has
// subscribed here since would get it behind newer ones.

import { matches } from '../topic/match.ts'
import type { Origin, QoS } from '../wire/message.ts'
import { serveTargets } from './deliver.ts'
import type { Peers } from './ports.ts'
import type { Publication } from './publication.ts'
import type { Receivers } from './receivers.ts'
import { hasHad, remember, wentRound } from './recentids.ts'
import type { Session } from './session.ts'

/** Hands the message to every session that is to get it and has not; returns how many that were. */
export function deliverLate(
  publication: Publication,
  receivers: Receivers,
  own: Origin,
  handed: boolean,
  peers: Peers,
): number {
  const { groups } = receivers
  const { qos, targets } = publication
  // Asked before the same sessions are given it for another group.
  const served = groups.filter((group) => group.some(({ session }) => hasOrHad(session, publication, own, true)))
  const reached = targets?.only === true ? 0 : lateToOwn(publication, receivers, own, handed)
  return qos === 0 || targets === null ? reached : reached + serveTargets(publication, groups, served, peers)
}

function lateToOwn(publication: Publication, { entries }: Receivers, own: Origin, handed: boolean): number {
  const { topic, qos, retain, publisher } = publication
  let reached = 0
  for (let receiver of entries) {
    const { echo, session } = receiver
    if (echo !== receiver && session.clientId === publisher) {
      if (echo === null) continue
      receiver = echo
    }
    const least = Math.min(qos, receiver.qos) as QoS
    if (least === 0 || session.expirySec === 0 || hasOrHad(session, publication, own, false)) continue
    if (handed && !cameWithIt(session, topic)) continue
    session.takeLate(publication, least, retain && receiver.retainAsPublished, receiver.ids)
    remember(session, publication, least, false)
    reached++
  }
  return reached
}

/** Whether a subscription to the topic came along with the session. */
function cameWithIt({ subscriptions }: Session, topic: string): boolean {
  for (const { brought, filter } of subscriptions.values()) {
    if (brought && filter.share === null && matches(filter.filter, topic)) return true
  }
  return false
}

/** What an earlier run of this node left is not in its memory. */
function hasOrHad(session: Session, publication: Publication, own: Origin, shared: boolean): boolean {
  const { origin, counter } = publication
  const { queue, inflight } = session
  // What this node published went to a group here or elsewhere.
  if ((!shared && wentRound(queue.since, origin, counter, own)) || hasHad(session, publication, shared)) return true
  return queue.holds(origin, counter, shared) || inflight.holds(origin, counter, shared)
}
