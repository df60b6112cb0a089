// What another box has of the subscriptions of a session that has gone on here: it was out of reach when its client moved, so
// the copy that it went on with may lack what was granted there last. Of each filter counts what the client has said last.

import { ProtocolError } from '../base/errors.ts'
import { parseTopicFilter } from '../topic/filter.ts'
import { RecordKind } from '../wire/record/batch.ts'
import { readSubscription, readUnsubscribed } from '../wire/record/session.ts'
import type { Tables } from './restore.ts'
import type { Session } from './session.ts'
import { Subscription } from './subscriptions.ts'
import { type Said, saidLater } from './unsubscribed.ts'

/** Takes a record of another box's, if it is one of these: whether the session had the filter or not, it agrees with it. */
export function merge(home: Tables, session: Session, kind: number, body: Buffer): boolean {
  if (kind === RecordKind.subscription) return mergeSubscribed(home, session, body)
  return kind === RecordKind.unsubscribed && mergeUnsubscribed(home, session, body)
}

/** Null: nothing is known of the filter, or what is known is older. */
function known({ keeping }: Tables, { kept, subscriptions }: Session, filter: string): Said | null {
  return subscriptions.get(filter) ?? (kept === null ? null : keeping.unsubscribed.get(kept, filter))
}

function mergeSubscribed(home: Tables, session: Session, body: Buffer): boolean {
  const stored = readSubscription(body)
  if (stored === null) return false
  const filter = parseTopicFilter(stored.filter, home.settings.limits.maxTopicLevels)
  if (filter instanceof ProtocolError || !session.access.maySubscribe(filter.filter)) return false
  const before = known(home, session, filter.text)
  if (before !== null && !saidLater(stored, before)) return false
  const subscription = new Subscription(session, filter, stored)
  subscription.brought = true
  home.subscriptions.put(subscription, stored)
  return true
}

function mergeUnsubscribed(home: Tables, session: Session, body: Buffer): boolean {
  const stored = readUnsubscribed(body)
  const subscription = stored === null ? undefined : session.subscriptions.get(stored.filter)
  if (stored === null || subscription === undefined || !saidLater(stored, subscription)) return false
  home.subscriptions.unsubscribe(session, stored.filter, stored)
  return true
}
