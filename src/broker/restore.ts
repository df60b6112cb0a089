// Takes up what an earlier run left in the store. Records come in the order of their ids, so whatever one refers to has
// come before it; one that refers to nothing, or cannot be read, is removed.

import { ProtocolError } from '../base/errors.ts'
import { parseTopicFilter } from '../topic/filter.ts'
import { matches } from '../topic/match.ts'
import type { Message } from '../wire/message.ts'
import { RecordKind } from '../wire/record/batch.ts'
import { readCompleted } from '../wire/record/completed.ts'
import { readBegun, readDelivery } from '../wire/record/delivery.ts'
import { readMessage } from '../wire/record/message.ts'
import { readRetained } from '../wire/record/retained.ts'
import { readSession, readSubscription, readUnsubscribed } from '../wire/record/session.ts'
import { readHorizon } from '../wire/record/shared.ts'
import { Access } from './authorize.ts'
import { Delivery, NO_IDS } from './delivery.ts'
import type { Keeping } from './keeping.ts'
import type { Found, FoundRecord, Kept, Rules } from './ports.ts'
import { remember } from './recentids.ts'
import { RETAINED_BOUNDS, type RetainedMessages } from './retained.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'
import type { BrokerSettings } from './settings.ts'
import { ShareGroup } from './shared.ts'
import { Subscription, type Subscriptions } from './subscriptions.ts'

export interface Tables {
  readonly settings: BrokerSettings
  readonly keeping: Keeping
  readonly rules: Rules
  readonly sessions: Sessions
  readonly subscriptions: Subscriptions
  readonly retained: RetainedMessages
}

export interface Seen {
  readonly sessions: Map<number, Session>
  readonly messages: Map<number, { readonly message: Message; readonly kept: Kept }>
}

/** `other` takes the records that are not the broker's. */
export function restore(found: Found, other: (record: FoundRecord) => void, tables: Tables): void {
  const seen: Seen = { sessions: new Map(), messages: new Map() }
  for (const record of found.records) {
    const taken = take(record, found, tables, seen)
    if (taken === 'other') other(record)
    else if (!taken) found.remove(record.kept)
  }
  for (const { message, kept } of seen.messages.values()) if (!tables.keeping.isUsed(message)) found.remove(kept)
  tables.sessions.restored()
}

export function take(record: FoundRecord, found: Found, tables: Tables, seen: Seen): boolean | 'other' {
  switch (record.kind) {
    case RecordKind.session:
      return takeSession(record, found, tables, seen)
    case RecordKind.subscription:
      return takeSubscription(record, found, tables, seen)
    case RecordKind.message:
      return takeMessage(record, found, tables, seen)
    case RecordKind.delivery:
      return takeDelivery(record, found, tables, seen)
    case RecordKind.begun:
      return takeBegun(record, found, tables, seen)
    case RecordKind.completed:
      return takeCompleted(record, found, tables, seen)
    case RecordKind.unsubscribed:
      return takeUnsubscribed(record, found, tables, seen)
    case RecordKind.retained:
      return takeRetained(record, found, tables)
    case RecordKind.horizon:
      return takeHorizon(record, found, tables)
    default:
      return 'other'
  }
}

function takeSession(
  { kept, id, body, countedFromMs }: FoundRecord,
  found: Found,
  tables: Tables,
  seen: Seen,
): boolean {
  const stored = readSession(body, countedFromMs)
  // One whose client had said that it was to end with its connection: that is gone.
  if (stored === null || stored.expirySec === 0 || tables.sessions.get(stored.clientId) !== undefined) return false
  const { account, clientId } = stored
  const session = tables.sessions.restore(stored, new Access(account, clientId, tables.rules, stored.listener))
  found.adopt(kept, tables.keeping.adoptSession(session, kept))
  seen.sessions.set(id, session)
  return true
}

function takeSubscription({ kept, body }: FoundRecord, found: Found, tables: Tables, seen: Seen): boolean {
  const stored = readSubscription(body)
  const session = stored === null ? undefined : seen.sessions.get(stored.session)
  if (stored === null || session === undefined) return false
  const filter = parseTopicFilter(stored.filter, tables.settings.limits.maxTopicLevels)
  if (filter instanceof ProtocolError || session.subscriptions.has(filter.text)) return false
  const subscription = new Subscription(session, filter, stored)
  subscription.brought = true
  subscription.since = stored.since
  subscription.order = stored.order
  found.adopt(kept, tables.keeping.adoptSubscription(subscription, kept))
  tables.subscriptions.restore(subscription)
  return true
}

function takeMessage(
  { kept, id, body, countedFromMs }: FoundRecord,
  found: Found,
  tables: Tables,
  seen: Seen,
): boolean {
  const message = readMessage(body, countedFromMs)
  if (message === null) return false
  found.adopt(kept, tables.keeping.adoptMessage(message, kept))
  seen.messages.set(id, { message, kept })
  return true
}

function takeDelivery({ kept, body }: FoundRecord, found: Found, tables: Tables, seen: Seen): boolean {
  const stored = readDelivery(body)
  if (stored === null) return false
  const session = seen.sessions.get(stored.session)
  const message = seen.messages.get(stored.message)?.message
  if (session === undefined || message === undefined) return false
  const { qos, retain, awaiting, packetId, subscriptionIds } = stored
  if (awaiting !== 'queued' && session.inflight.find(packetId) !== null) return false
  if (session.place.at === 'arriving') {
    if (!session.place.take(message, stored.share !== null)) return false
    // Its former box went by the subscriptions that it had there: the client may have ended them here since.
    if (awaiting === 'queued' && stored.share === null && !wants(session, message.topic)) return false
  }
  const ids = subscriptionIds.length === 0 ? NO_IDS : subscriptionIds
  // Only its name counts: the group itself stands where subscriptions are.
  const share = stored.share === null ? null : new ShareGroup(stored.share.share, stored.share.filter)
  if (share !== null) session.heldShared = true
  const delivery = tables.keeping.adoptDelivery(session, new Delivery(message, qos, retain, ids, share), kept)
  delivery.awaiting = awaiting
  delivery.packetId = packetId
  found.adopt(kept, delivery)
  remember(session, message, qos, share !== null)
  if (awaiting === 'queued') session.queue.restore(delivery)
  else session.inflight.restore(packetId, delivery, awaiting)
  return true
}

function wants({ subscriptions }: Session, topic: string): boolean {
  for (const { filter } of subscriptions.values()) if (matches(filter.filter, topic)) return true
  return false
}

function takeBegun({ kept, body }: FoundRecord, found: Found, tables: Tables, seen: Seen): boolean {
  const stored = readBegun(body)
  if (stored === null) return false
  const session = seen.sessions.get(stored.session)
  const message = seen.messages.get(stored.message)?.message
  if (session === undefined || message === undefined || session.inbound.has(stored.packetId)) return false
  const use = tables.keeping.adoptUse(session, stored.packetId, message, kept)
  use.released = stored.released
  found.adopt(kept, use)
  if (stored.released) tables.keeping.done(session.inbound.takeReleased(stored.packetId))
  if (stored.released) session.inbound.released(stored.packetId, use)
  else session.inbound.begin(stored.packetId, message, use)
  return true
}

function takeCompleted({ kept, body }: FoundRecord, found: Found, { keeping }: Tables, seen: Seen): boolean {
  const stored = readCompleted(body)
  const session = stored === null ? undefined : seen.sessions.get(stored.session)
  if (stored === null || session === undefined) return false
  found.adopt(kept, keeping.completed.adopt(session.kept!, stored, stored.shared, kept))
  remember(session, stored, 2, stored.shared)
  return true
}

function takeUnsubscribed({ kept, body }: FoundRecord, found: Found, { keeping }: Tables, seen: Seen): boolean {
  const stored = readUnsubscribed(body)
  const session = stored === null ? undefined : seen.sessions.get(stored.session)
  if (stored === null || session === undefined) return false
  const { filter, since, order } = stored
  found.adopt(kept, keeping.unsubscribed.adopt(session.kept!, filter, since, order, kept))
  return true
}

function takeRetained(record: FoundRecord, found: Found, { retained }: Tables): boolean {
  const stored = readRetained(record.body, record.countedFromMs)
  return stored !== null && retained.found(stored, record, found)
}

function takeHorizon(record: FoundRecord, found: Found, { retained }: Tables): boolean | 'other' {
  const stored = readHorizon(record.body)
  if (stored?.map !== RETAINED_BOUNDS.name) return 'other'
  retained.foundHorizon(stored.horizon, record, found)
  return true
}
