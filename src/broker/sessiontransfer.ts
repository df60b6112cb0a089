// Sessions on their way from box to box, as the records that are kept of them: a copy, a move and a return are all made
// of the same stream. Whatever comes in gets records of this node's own.

import { ByteReader, type ByteWriter } from '../base/bytes.ts'
import type { ClientId, NodeId } from '../base/ids.ts'
import { Reason } from '../base/reasons.ts'
import { compareStamps, type Stamp } from '../base/stamps.ts'
import { matches } from '../topic/match.ts'
import { type Message, messageIdText, type Origin, type QoS } from '../wire/message.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { readDelivery, type StoredDelivery } from '../wire/record/delivery.ts'
import { readMessage } from '../wire/record/message.ts'
import { Access } from './authorize.ts'
import { Delivery, NO_IDS } from './delivery.ts'
import type { Interest } from './interest.ts'
import { merge } from './merging.ts'
import { Arrival, HERE } from './place.ts'
import type {
  Found,
  Kept,
  LocalSessions,
  OrphanedWill,
  RecordItem,
  SessionImport,
  SessionPlace,
  SessionView,
} from './ports.ts'
import type { Publisher } from './publish.ts'
import { remember, wentRound } from './recentids.ts'
import { type Seen, type Tables, take } from './restore.ts'
import type { Session } from './session.ts'
import { ShareGroup } from './shared.ts'
import type { Tally } from './tally.ts'

export interface TransferHome extends Tables {
  readonly clock: { now(): number }
  readonly tally: Tally
  readonly interest: Interest
  readonly origin: Origin
  readonly publisher: Pick<Publisher, 'counter' | 'orphanedWill'>
}

/** Only sessions of this broker come back from the views that it has given. */
const own = (view: SessionView): Session => view as Session

export class SessionTransfer implements LocalSessions {
  readonly #home: TransferHome

  constructor(home: TransferHome) {
    this.#home = home
  }

  get(clientId: ClientId): SessionView | undefined {
    return this.#home.sessions.get(clientId)
  }

  all(): Iterable<SessionView> {
    return this.#home.sessions.all()
  }

  belongsTo(view: SessionView, account: string | null): boolean {
    return own(view).access.account === account
  }

  disconnect(view: SessionView): void {
    const { connection } = own(view)
    if (connection === null) return
    this.#home.tally.count('mqtt.takeover')
    connection.close(Reason.sessionTakenOver, 'its client id connected at another box')
  }

  head(view: SessionView): readonly Kept[] {
    const { kept, subscriptions, inbound, inflight } = own(view)
    if (kept === null) return []
    const records: Kept[] = [kept]
    for (const subscription of subscriptions.values()) if (subscription.kept !== null) records.push(subscription.kept)
    records.push(...this.#home.keeping.unsubscribed.of(kept), ...this.#home.keeping.completed.of(kept))
    for (const use of inbound.uses()) records.push(use.kept!)
    for (const { delivery } of inflight.inOrder()) if (delivery.record !== null) records.push(delivery.record)
    return records
  }

  queued(view: SessionView, after: number): readonly Kept[] {
    return own(view)
      .queue.above(after)
      .map((delivery) => delivery.record!)
  }

  put(view: SessionView, place: Exclude<SessionPlace, { at: 'arriving' }>): void {
    const session = own(view)
    const { sessions, keeping } = this.#home
    session.place = place
    if (place.at === 'departing') sessions.hold(session)
    else if (session.connection === null) sessions.countDown(session)
    keeping.session(session)
  }

  take(from: NodeId, place: 'arriving' | 'standing-in'): SessionImport {
    return new Taking(this.#home, from, place)
  }

  join(view: SessionView, merges: boolean): SessionImport {
    return new Joining(this.#home, own(view), merges)
  }

  own(view: SessionView, epoch: Stamp): void {
    const session = own(view)
    session.epoch = epoch
    if (session.place.at !== 'arriving') session.place = HERE
    this.#home.keeping.session(session)
  }

  restamp(view: SessionView, epoch: Stamp): void {
    own(view).epoch = epoch
    this.#home.keeping.session(own(view))
  }

  whenRouted(view: SessionView, done: () => void): void {
    let missing = 1
    const taken = () => {
      if (--missing === 0) done()
    }
    for (const { filter } of own(view).subscriptions.values()) {
      missing++
      this.#home.interest.whenTaken(filter, taken)
    }
    taken()
  }

  drop(view: SessionView): void {
    this.#forget(own(view), false)
  }

  over(view: SessionView): void {
    this.#forget(own(view), true)
  }

  #forget(session: Session, over: boolean): void {
    this.disconnect(session)
    // One that was to end with its connection is gone by now.
    if (this.#home.sessions.get(session.clientId) === session) this.#home.sessions.drop(session, over)
  }

  willPublished(clientId: ClientId, epoch: Stamp): void {
    const { sessions } = this.#home
    const session = sessions.get(clientId)
    if (session?.epoch != null && compareStamps(epoch, session.epoch) >= 0) sessions.willPublished(session)
  }

  publishWill(clientId: ClientId, { epoch, account, listener, will }: OrphanedWill): void {
    const { rules, publisher, tally } = this.#home
    // The rules may have changed since its CONNECT.
    if (new Access(account, clientId, rules, listener).mayPublish(will.topic))
      publisher.orphanedWill(clientId, will, epoch)
    else tally.drop('not-authorized')
  }
}

/** The record of something that is just being taken from elsewhere. */
class Taken implements Recordable {
  readonly kind: number
  value: Recordable | null = null

  constructor(kind: number) {
    this.kind = kind
  }

  get sessionRecord() {
    return this.value?.sessionRecord ?? null
  }

  get messageRecord() {
    return this.value?.messageRecord
  }

  write(into: ByteWriter, nowMs: number): void {
    this.value?.write(into, nowMs)
  }
}

/** A whole session comes in. */
class Taking implements SessionImport {
  readonly #home: TransferHome
  readonly #from: NodeId
  readonly #place: 'arriving' | 'standing-in'
  readonly #seen: Seen = { sessions: new Map(), messages: new Map() }
  readonly #found: Found
  #lastId = 0
  session: Session | null = null

  constructor(home: TransferHome, from: NodeId, place: 'arriving' | 'standing-in') {
    this.#home = home
    this.#from = from
    this.#place = place
    const { keeper } = home.keeping
    this.#found = {
      records: [],
      adopt: (kept, value) => {
        ;(kept.value as Taken).value = value
        keeper.changed(kept)
      },
      remove: (kept) => keeper.remove(kept),
    }
  }

  add(items: readonly RecordItem[]): void {
    // Its client may have ended it meanwhile.
    if (this.session !== null && !this.#isThere(this.session)) return
    for (const item of items) {
      if (item.kind === RecordKind.session ? this.session === null : MOVED.has(item.kind)) this.#take(item)
    }
    this.session?.pump()
  }

  passed(member: NodeId): void {
    const { session } = this
    if (session === null || !this.#isThere(session) || session.place.at !== 'arriving') return
    for (const delivery of session.place.passed(member)) session.receive(delivery)
  }

  end(): void {
    const { keeping } = this.#home
    for (const { message, kept } of this.#seen.messages.values()) {
      if (!keeping.isUsed(message)) this.#found.remove(kept)
    }
    this.#seen.messages.clear()
    const { session } = this
    if (session === null || !this.#isThere(session)) return
    const { place } = session
    if (place.at === 'arriving') {
      session.place = HERE
      for (const delivery of place.settle()) session.receive(delivery)
    } else if (place.at === 'standing-in') {
      session.place = { ...place, after: this.#lastId }
      this.#home.sessions.stoodIn(session)
    }
    keeping.session(session)
  }

  #isThere(session: Session): boolean {
    return this.#home.sessions.get(session.clientId) === session
  }

  #take({ id, kind, body, countedFromMs = this.#home.clock.now() }: RecordItem): void {
    const { keeping } = this.#home
    const late = kind === RecordKind.session ? this.#lateOf(body) : []
    const kept = keeping.keeper.put(new Taken(kind))
    this.#lastId = kept.id
    const taken = take({ kept, id, kind, body, countedFromMs }, this.#found, this.#home, this.#seen)
    if (taken !== true) return this.#found.remove(kept)
    if (kind === RecordKind.session) this.#begun([...this.#seen.sessions.values()][0]!, late)
  }

  #begun(session: Session, late: readonly Delivery[]): void {
    this.session = session
    const { origin, publisher } = this.#home
    session.queue.since = publisher.counter
    session.inflight.startBehind((Number.parseInt(origin.node.slice(-4), 16) + publisher.counter) * SCATTER)
    if (this.#place === 'standing-in') {
      session.place = { at: 'standing-in', owner: this.#from, after: 0 }
      this.#home.sessions.countDown(session)
      return
    }
    const { settings, tally } = this.#home
    const { maxMessages } = settings.sessions.queue
    const arrival = new Arrival(this.#from, maxMessages, () => tally.count('sessions.held-full'))
    session.place = arrival
    for (const { message, qos, retain, subscriptionIds, share } of late) {
      arrival.keepsBack(
        this.#home.keeping.delivery(session, new Delivery(message, qos, retain, subscriptionIds, share)),
      )
    }
  }

  /** What has come for the session here while its owner was not heard: behind what the owner has. */
  #lateOf(body: Buffer): readonly Delivery[] {
    const { sessions } = this.#home
    const known = sessions.get(new ByteReader(body).text() as ClientId)
    if (known === undefined || known.place.at !== 'standing-in') return []
    const late = known.queue.above(known.place.after)
    sessions.drop(known)
    return late
  }
}

/**
 * A box that was cut off goes on giving packet ids of which nobody else hears, and its client may move in the middle of an
 * exchange: it would take another message with the id of that one for the same [MQTT-4.3.3-10], and drop it. So a session that
 * comes from elsewhere goes on with ids from anywhere, at each box from somewhere else.
 */
const SCATTER = 0x9e37

const MOVED: ReadonlySet<number> = new Set([
  RecordKind.subscription,
  RecordKind.message,
  RecordKind.delivery,
  RecordKind.begun,
  RecordKind.completed,
  RecordKind.unsubscribed,
])

/** Messages come in for a session that is here already. */
class Joining implements SessionImport {
  readonly #home: TransferHome
  readonly session: Session
  readonly #messages = new Map<number, Message>()
  readonly #known = new Set<string>()
  readonly #merges: boolean

  constructor(home: TransferHome, session: Session, merges: boolean) {
    this.#home = home
    this.session = session
    this.#merges = merges
    for (const { message, share } of session.queue.above(0)) this.#known.add(knownAs(message, share !== null))
    for (const { delivery } of session.inflight.inOrder()) {
      this.#known.add(knownAs(delivery.message, delivery.share !== null))
    }
  }

  add(items: readonly RecordItem[]): void {
    // Its client may have ended it meanwhile, and have begun another: that has nothing of this.
    if (this.#home.sessions.get(this.session.clientId) !== this.session) return
    for (const { id, kind, body } of items) {
      if (kind === RecordKind.message) {
        const message = readMessage(body, this.#home.clock.now())
        if (message !== null) this.#messages.set(id, message)
      } else if (kind === RecordKind.delivery) {
        this.#join(body)
      } else if (this.#merges && merge(this.#home, this.session, kind, body)) {
        this.#home.tally.count('sessions.subscription-joined')
      }
    }
  }

  passed(): void {}

  end(): void {
    this.#messages.clear()
  }

  #join(body: Buffer): void {
    const { tally, keeping } = this.#home
    const stored = readDelivery(body)
    const message = stored === null ? undefined : this.#messages.get(stored.message)
    if (stored === null || message === undefined) return
    const shared = stored.share !== null
    const id = knownAs(message, shared)
    // At 'pubcomp' its client has it.
    const { recent, since } = this.session.queue
    const { origin, counter } = message
    const wasHere = wentRound(since, origin, counter, this.#home.origin) || recent?.has(origin, counter, shared)
    const known = this.#known.has(id) || wasHere
    if (known || stored.awaiting === 'pubcomp') {
      return tally.count('sessions.joined-twice')
    }
    this.#known.add(id)
    const { qos, ids } = this.#formOf(message, stored)
    // What is wanted with QoS 0 is not owed to anybody; its own sender may still bring it.
    if (qos === 0) return tally.drop('unsubscribed')
    remember(this.session, message, qos, shared, true)
    const group = stored.share === null ? null : new ShareGroup(stored.share.share, stored.share.filter)
    if (group !== null) this.session.heldShared = true
    tally.count('sessions.joined')
    this.session.receive(keeping.delivery(this.session, new Delivery(message, qos, stored.retain, ids, group)))
  }

  /** By the session's own subscriptions: the box that stood in may have known older ones. QoS 0: none wants it. */
  #formOf(
    message: Message,
    { qos, retain, subscriptionIds, share }: StoredDelivery,
  ): { qos: QoS; ids: readonly number[] } {
    const { subscriptions } = this.session
    const wanting = [...subscriptions.values()].filter(({ filter }) => matches(filter.filter, message.topic))
    // What a group chose it for, or one subscription when it was made.
    const asItIs = share !== null || retain
    const most = wanting.reduce((least, one) => Math.max(least, one.qos), 0)
    const ids = asItIs ? subscriptionIds : wanting.filter((one) => one.filter.share === null).flatMap((one) => one.ids)
    // A retain flag, too, may come by a subscription that has ended: no message has more than those that there are give.
    const now = (share !== null ? qos : Math.min(asItIs ? qos : message.qos, most)) as QoS
    return { qos: wanting.length === 0 ? 0 : now, ids: ids.length === 0 ? NO_IDS : ids }
  }
}

/** A session may be owed a message twice: by its own subscriptions and as a member of a group. */
const knownAs = (message: Message, shared: boolean): string => `${messageIdText(message)}${shared ? ' shared' : ''}`
