// What of the broker is kept in the store: sessions that outlive their connections, with their subscriptions, what waits
// for them and what they have begun to send. Sessions that end with their connection cost nothing.

import type { ByteWriter } from '../base/bytes.ts'
import { Deque } from '../base/deque.ts'
import type { Message } from '../wire/message.ts'
import { type Recordable, RecordKind } from '../wire/record/batch.ts'
import { type StoredAwaiting, writeBegun, writeDelivery } from '../wire/record/delivery.ts'
import { writeMessage } from '../wire/record/message.ts'
import { writeSession, writeSubscription } from '../wire/record/session.ts'
import { Completed } from './completed.ts'
import { Delivery } from './delivery.ts'
import type { Keeper, Kept } from './ports.ts'
import type { Session } from './session.ts'
import { type Subscription, sameSubscription } from './subscriptions.ts'
import { Unsubscribed } from './unsubscribed.ts'

/** A message on disk once, for all who need it. */
class MessageRecord implements Recordable {
  readonly kind = RecordKind.message
  readonly message: Message
  kept: Kept | null = null
  users = 0

  constructor(message: Message) {
    this.message = message
  }

  write(into: ByteWriter, nowMs: number): void {
    writeMessage(into, this.message, nowMs)
  }
}

/** A delivery of its own for a session that is kept: written with its packet id and what it waits for. */
export class KeptDelivery extends Delivery implements Recordable {
  readonly kind = RecordKind.delivery
  readonly #keeping: Keeping
  readonly #session: Kept
  readonly #record: MessageRecord
  kept: Kept | null = null
  packetId = 0
  awaiting: StoredAwaiting = 'queued'
  #handedOn = false

  constructor(keeping: Keeping, session: Kept, record: MessageRecord, delivery: Delivery) {
    super(delivery.message, delivery.qos, delivery.retain, delivery.subscriptionIds, delivery.share)
    this.#keeping = keeping
    this.#session = session
    this.#record = record
  }

  override get record(): Kept | null {
    return this.kept
  }

  get sessionRecord(): Kept {
    return this.#session
  }

  get messageRecord(): Kept {
    return this.#record.kept!
  }

  override moved(awaiting: StoredAwaiting, packetId: number): number {
    this.awaiting = awaiting
    this.packetId = packetId
    return this.#keeping.keeper.changed(this.kept!)
  }

  override handedOn(): void {
    this.#handedOn = true
  }

  override forget(replaced = false): void {
    // Completed, or about to be. What was told as retained may yet come as it is published, and is owed then.
    if (this.awaiting === 'pubcomp' && !this.retain) {
      this.#keeping.completed.add(this.#session, this.message, this.share !== null)
    }
    if (this.#handedOn) this.#keeping.handedOn(this.kept!, this.#record)
    else this.#keeping.forget(this.kept!, this.#record, replaced)
  }

  write(into: ByteWriter): void {
    writeDelivery(into, {
      session: this.#session.id,
      message: this.#record.kept!.id,
      qos: this.qos,
      retain: this.retain,
      awaiting: this.awaiting,
      packetId: this.packetId,
      subscriptionIds: this.subscriptionIds,
      share: this.share,
    })
  }
}

class SessionRecord implements Recordable {
  readonly kind = RecordKind.session
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  get sessionRecord(): Kept | null {
    return this.#session.kept
  }

  write(into: ByteWriter, nowMs: number): void {
    const { clientId, access, connection, expirySec, endsAt, willAt, will, epoch } = this.#session
    const { account, listener } = access
    const away = connection === null
    writeSession(into, { clientId, account, away, expirySec, endsAt, willAt, will, epoch, listener }, nowMs)
  }
}

class SubscriptionRecord implements Recordable {
  readonly kind = RecordKind.subscription
  readonly #subscription: Subscription

  constructor(subscription: Subscription) {
    this.#subscription = subscription
  }

  get sessionRecord(): Kept | null {
    return this.#subscription.session.kept
  }

  write(into: ByteWriter): void {
    const { session, filter, qos, noLocal, retainAsPublished, ids, since, order } = this.#subscription
    writeSubscription(into, {
      session: session.kept!.id,
      filter: filter.text,
      qos,
      noLocal,
      retainAsPublished,
      identifier: ids[0] ?? null,
      since,
      order,
    })
  }
}

/** A QoS 2 message between PUBLISH and PUBREL. */
class MessageUse implements Recordable {
  readonly kind = RecordKind.begun
  readonly record: MessageRecord
  readonly #session: Kept
  readonly #packetId: number
  kept: Kept | null = null
  /** Its PUBREL has come, and members have not all said that it is safe there. */
  released = false

  constructor(record: MessageRecord, session: Kept, packetId: number) {
    this.record = record
    this.#session = session
    this.#packetId = packetId
  }

  get sessionRecord(): Kept | null {
    return this.#session
  }

  get messageRecord(): Kept {
    return this.record.kept!
  }

  write(into: ByteWriter): void {
    const ids = { session: this.#session.id, message: this.record.kept!.id, packetId: this.#packetId }
    writeBegun(into, { ...ids, released: this.released })
  }
}

/** Held by whoever uses a kept message: given back when it does not any more. */
export type Use = MessageUse

export class Keeping {
  readonly keeper: Keeper
  /** What clients have completed. */
  readonly completed: Completed
  /** What clients have unsubscribed from lately. */
  readonly unsubscribed: Unsubscribed
  /** The records of messages in use. */
  readonly #messages = new WeakMap<Message, MessageRecord>()

  /** QoS 2 messages that were released, and what they wait for. */
  readonly #released = new Deque<{ readonly use: Use; readonly position: number }>()

  /** Deliveries that were handed on to other nodes, and the positions that make them safe there. */
  readonly #onTheirWay = new Deque<{ readonly kept: Kept; readonly record: MessageRecord; readonly position: number }>()

  constructor(keeper: Keeper) {
    this.keeper = keeper
    this.completed = new Completed(keeper)
    this.unsubscribed = new Unsubscribed(keeper)
    keeper.watch(() => this.#safeMoved())
  }

  /** A session was begun, or changed: its expiry, its will, whether its client is there. */
  session(session: Session): void {
    if (session.kept !== null) this.keeper.changed(session.kept)
    else if (session.expirySec > 0 && this.keeper.durable) session.kept = this.keeper.put(new SessionRecord(session))
  }

  sessionEnded(session: Session): void {
    if (session.kept !== null) {
      this.completed.ended(session.kept)
      this.unsubscribed.ended(session.kept)
      this.keeper.remove(session.kept)
    }
    session.kept = null
  }

  subscribed(subscription: Subscription, replaced: Subscription | undefined): void {
    if (subscription.session.kept === null) return
    this.unsubscribed.forget(subscription.session.kept, subscription.filter.text)
    if (replaced?.brought) subscription.brought = true
    // Clients say their subscriptions again with every connection: nothing new is no write.
    if (replaced !== undefined && replaced.kept !== null && sameSubscription(subscription, replaced)) {
      subscription.kept = replaced.kept
      subscription.safeAt = replaced.safeAt
      return
    }
    if (replaced !== undefined) this.forgetSubscription(replaced, true)
    subscription.kept = this.keeper.put(new SubscriptionRecord(subscription))
    subscription.safeAt = this.keeper.position
  }

  forgetSubscription({ kept }: Subscription, replaced = false): void {
    if (kept !== null) this.keeper.remove(kept, replaced)
  }

  /** The delivery as the session is to hold it: kept, when the session is. */
  delivery(session: Session, delivery: Delivery): Delivery {
    if (session.kept === null || delivery.qos === 0) return delivery
    const own = new KeptDelivery(this, session.kept, this.#use(delivery.message), delivery)
    own.kept = this.keeper.put(own)
    return own
  }

  begun(session: Session, packetId: number, message: Message): Use | null {
    if (session.kept === null) return null
    return this.#keep(new MessageUse(this.#use(message), session.kept, packetId))
  }

  /**
   * Its PUBREL has come, and members are to say that it is safe there: until `position` is, it is known here, to be sent
   * to them again after a restart.
   */
  released(use: Use, position: number): void {
    use.released = true
    this.keeper.changed(use.kept!)
    this.#released.push({ use, position })
  }

  /** `replaced`: by another that is kept already. */
  done(use: Use | null, replaced = false): void {
    if (use !== null) this.forget(use.kept!, use.record, replaced)
  }

  forget(kept: Kept, record: MessageRecord, replaced: boolean): void {
    this.keeper.remove(kept, replaced)
    if (--record.users > 0) return
    this.#messages.delete(record.message)
    this.keeper.remove(record.kept!, replaced)
  }

  handedOn(kept: Kept, record: MessageRecord): void {
    this.#onTheirWay.push({ kept, record, position: this.keeper.position })
    this.#safeMoved()
  }

  // For what was found at start.

  adoptSession(session: Session, kept: Kept): Recordable {
    session.kept = kept
    return new SessionRecord(session)
  }

  adoptSubscription(subscription: Subscription, kept: Kept): Recordable {
    subscription.kept = kept
    return new SubscriptionRecord(subscription)
  }

  adoptMessage(message: Message, kept: Kept): Recordable {
    const record = new MessageRecord(message)
    record.kept = kept
    this.#messages.set(message, record)
    return record
  }

  adoptDelivery(session: Session, delivery: Delivery, kept: Kept): KeptDelivery {
    const own = new KeptDelivery(this, session.kept!, this.#use(delivery.message), delivery)
    own.kept = kept
    return own
  }

  adoptUse(session: Session, packetId: number, message: Message, kept: Kept): Use {
    const use = new MessageUse(this.#use(message), session.kept!, packetId)
    use.kept = kept
    return use
  }

  /** Whether anybody uses a message found at start. */
  isUsed(message: Message): boolean {
    return (this.#messages.get(message)?.users ?? 0) > 0
  }

  #safeMoved(): void {
    const { safe } = this.keeper
    for (let next = this.#released.peek(); next !== undefined && next.position <= safe; next = this.#released.peek()) {
      this.#released.shift()
      this.done(next.use)
    }
    const way = this.#onTheirWay
    for (let next = way.peek(); next !== undefined && next.position <= safe; next = way.peek()) {
      way.shift()
      this.forget(next.kept, next.record, false)
    }
  }

  #keep(use: MessageUse): MessageUse {
    use.kept = this.keeper.put(use)
    return use
  }

  #use(message: Message): MessageRecord {
    let record = this.#messages.get(message)
    if (record === undefined) {
      record = new MessageRecord(message)
      record.kept = this.keeper.put(record)
      this.#messages.set(message, record)
    }
    record.users++
    return record
  }
}
