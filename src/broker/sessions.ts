// All sessions of this node by client id: begun, resumed, left behind, ended. Owns what happens to a session while its
// client is away: the will's delay and the session's expiry.

import { assert } from '../base/errors.ts'
import type { ClientId } from '../base/ids.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Stamp } from '../base/stamps.ts'
import type { WillPacket } from '../wire/mqtt/packets.ts'
import type { StoredSession } from '../wire/record/session.ts'
import type { Access } from './authorize.ts'
import { bounds } from './bounds.ts'
import { Deadline, type Deadlines } from './deadlines.ts'
import { Endings } from './endings.ts'
import type { Handover } from './handover.ts'
import { HERE } from './place.ts'
import type { Claims, WillWatch } from './ports.ts'
import { Session } from './session.ts'
import type { SessionConnection, SessionHome } from './session-home.ts'
import type { Subscriptions } from './subscriptions.ts'
import { willFate } from './will.ts'

const NEVER = Number.POSITIVE_INFINITY

export class Sessions {
  readonly #clock: Clock
  readonly #home: SessionHome
  readonly #deadlines: Deadlines
  readonly #subscriptions: Subscriptions
  readonly #handover: Handover
  readonly #claims: Claims
  readonly #wills: WillWatch
  readonly #publishWill: (session: Session, will: WillPacket) => void
  readonly #byClient = new Map<ClientId, Session>()
  readonly #endings: Endings
  #connected = 0
  /** All clients are being sent away: nobody hands anything to the next one. */
  #stopping = false

  constructor(
    home: SessionHome,
    deadlines: Deadlines,
    subscriptions: Subscriptions,
    publishWill: (session: Session, will: WillPacket) => void,
    handover: Handover,
    claims: Claims,
    wills: WillWatch,
  ) {
    this.#clock = home.clock
    this.#home = home
    this.#deadlines = deadlines
    this.#subscriptions = subscriptions
    this.#publishWill = publishWill
    this.#handover = handover
    this.#claims = claims
    this.#wills = wills
    this.#endings = new Endings(home.safety, home.tally)
  }

  get count(): number {
    return this.#byClient.size
  }

  /** Sessions whose client is connected. */
  get connected(): number {
    return this.#connected
  }

  /** What waits for clients or their acknowledgements. */
  waiting(): { readonly messages: number; readonly bytes: number } {
    let messages = 0
    let bytes = 0
    for (const { queue, inflight } of this.#byClient.values()) {
      messages += queue.length + inflight.size
      bytes += queue.bytes
    }
    return { messages, bytes }
  }

  all(): Iterable<Session> {
    return this.#byClient.values()
  }

  get(clientId: ClientId): Session | undefined {
    return this.#byClient.get(clientId)
  }

  /**
   * The session for a CONNECT that was accepted; no older connection uses it any more. `present`: there was one, and it
   * goes on. `safeAt`: when the one before it cannot come back. [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6]
   */
  open(
    access: Access,
    { clientId, expirySec }: { readonly clientId: ClientId; readonly expirySec: number },
    { cleanStart, will }: { readonly cleanStart: boolean; readonly will: WillPacket | null },
    epoch: Stamp | null = null,
  ): { readonly session: Session; readonly present: boolean; readonly safeAt: number } {
    let session = this.#byClient.get(clientId)
    // What waits for one account's client is not for another's that calls itself the same.
    if (session !== undefined && (cleanStart || session.access.account !== access.account)) {
      this.#end(session)
      session = undefined
    }
    const present = session !== undefined
    if (session === undefined) {
      session = new Session(clientId, this.#home)
      this.#byClient.set(clientId, session)
    }
    assert(session.connection === null, 'a session with two connections')
    // [MQTT-3.1.3-9] Back before the will delay has passed: the old will is not sent.
    session.access = access
    session.epoch = epoch
    // What its former owner still has of it comes when it comes.
    if (session.place.at !== 'arriving') session.place = HERE
    session.will = will
    session.willAt = NEVER
    session.endsAt = NEVER
    if (session.deadline !== null) this.#deadlines.clear(session.deadline)
    session.expirySec = expirySec
    this.#home.keeping.session(session)
    this.#connected++
    const { tally } = this.#home
    tally.connects++
    tally.clientsMaximum = Math.max(tally.clientsMaximum, this.#connected)
    this.#claims.opened(session, present, cleanStart)
    this.#wills.willChanged(session)
    return { session, present, safeAt: present ? 0 : this.#endings.safeAt(clientId) }
  }

  /** The client of the session that was opened for it is served from now on. */
  attach(session: Session, connection: SessionConnection, window: number): void {
    session.attach(connection, window)
    this.#subscriptions.attended(session)
  }

  /** The connection is gone. `said`: the client said goodbye with DISCONNECT 0x00, so its will is dropped. */
  left(session: Session, said: boolean): void {
    session.detach()
    this.#subscriptions.attended(session)
    this.#connected--
    this.#claims.left(session)
    const nowMs = this.#clock.now()
    const endsAt = nowMs + session.expirySec * 1000
    const will = session.will
    if (will !== null && (said || !this.#stopping)) {
      const fate = willFate(will, said, nowMs, endsAt)
      if (fate === 'drop') this.#dropWill(session)
      else if (fate !== 'now') session.willAt = fate.at
    }
    // [MQTT-4.1.0-2]
    if (endsAt <= nowMs) return this.end(session)
    session.endsAt = endsAt
    if (!this.#stopping) this.#handover.away(session)
    // Who is sent away is not dead: the next run waits for it, and others do while there are any.
    if (session.will !== null && session.willAt === NEVER && !this.#stopping) this.#fireWill(session)
    this.#home.keeping.session(session)
    session.deadline ??= new Deadline(() => this.#due(session))
    this.#deadlines.set(session.deadline, Math.min(session.willAt, session.endsAt))
  }

  /** [MQTT-3.1.2-8] A will that still waits goes out with the end of its session. */
  end(session: Session): void {
    this.#end(session)
    this.#claims.ended(session)
  }

  /** It keeps going here what another box owned: others of its share groups take what they can. */
  stoodIn(session: Session): void {
    this.#handover.stoodIn(session)
    // All boxes know of it, and one of them publishes it.
    session.will = null
  }

  /** It goes on in another box, or is `over` there: here it never was. */
  drop(session: Session, over = false): void {
    this.hold(session)
    this.#byClient.delete(session.clientId)
    this.#subscriptions.removeAll(session)
    // [MQTT-4.8.2-4] What only it had of its share groups is for others of them.
    if (over) this.#handover.ended(session)
    if (session.queue.qos0 > 0) this.#home.tally.drop('moved', session.queue.qos0)
    session.clear(false)
    this.#home.keeping.sessionEnded(session)
  }

  /** Its time is counted elsewhere. */
  hold(session: Session): void {
    if (session.deadline !== null) this.#deadlines.clear(session.deadline)
  }

  /** Its time is counted here again; its will is not ours to publish before the session ends. */
  countDown(session: Session): void {
    session.willAt = NEVER
    session.deadline ??= new Deadline(() => this.#due(session))
    this.#deadlines.set(session.deadline, session.endsAt)
  }

  #end(session: Session): void {
    if (session.deadline !== null) this.#deadlines.clear(session.deadline)
    this.#byClient.delete(session.clientId)
    this.#subscriptions.removeAll(session)
    this.#handover.ended(session)
    session.clear()
    const wasKept = session.kept !== null
    this.#home.keeping.sessionEnded(session)
    if (wasKept) this.#endings.add(session.clientId)
    this.#fireWill(session)
  }

  /**
   * A session of an earlier run. A client that was connected when that ended has as long as after any loss of its
   * connection; its will waits a while, since all clients have to come back.
   */
  restore(stored: StoredSession, access: Access): Session {
    const session = new Session(stored.clientId, this.#home)
    this.#byClient.set(stored.clientId, session)
    const nowMs = this.#clock.now()
    session.access = access
    session.epoch = stored.epoch
    session.expirySec = stored.expirySec
    session.will = stored.will
    session.endsAt = stored.away ? stored.endsAt : nowMs + stored.expirySec * 1000
    // It was connected when that run died, or was sent away when it was stopped.
    const waits = stored.will !== null && (!stored.away || stored.willAt === NEVER)
    session.willAt = waits ? nowMs + Math.max(stored.will!.delaySec * 1000, bounds.willHeldMs) : stored.willAt
    session.deadline = new Deadline(() => this.#due(session))
    this.#deadlines.set(session.deadline, Math.min(session.willAt, session.endsAt))
    return session
  }

  /** All of an earlier run are there: clients that do not come back soon leave behind what others of a group can take. */
  restored(): void {
    for (const session of this.#byClient.values()) if (session.will !== null) this.#wills.willChanged(session)
    if (![...this.#byClient.values()].some(({ heldShared }) => heldShared)) return
    const offer = new Deadline(() => {
      for (const session of this.#byClient.values()) if (session.connection === null) this.#handover.away(session)
    })
    this.#deadlines.set(offer, this.#clock.now() + bounds.willHeldMs)
  }

  /** The broker stops: no will of its clients is published now, and those of sessions that go on are kept. */
  stopping(): void {
    this.#stopping = true
    for (const session of this.#byClient.values()) if (session.kept === null) session.will = null
  }

  /** Another box has published the will of a client that was here, and is not. */
  willPublished(session: Session): void {
    if (session.connection !== null || session.will === null) return
    this.#dropWill(session)
    this.#home.keeping.session(session)
  }

  /** Who is sent away is not dead. */
  forgetWills(): void {
    for (const session of this.#byClient.values()) session.will = null
  }

  /** The broker has stopped: what is left of the sessions stays as it is. */
  freeze(): void {
    for (const { deadline } of this.#byClient.values()) if (deadline !== null) this.#deadlines.clear(deadline)
  }

  #due(session: Session): void {
    const nowMs = this.#clock.now()
    if (session.endsAt <= nowMs) {
      this.#home.tally.expired++
      return this.end(session)
    }
    if (session.willAt <= nowMs) {
      this.#fireWill(session)
      this.#home.keeping.session(session)
    }
    this.#deadlines.set(session.deadline!, Math.min(session.willAt, session.endsAt))
  }

  #fireWill(session: Session): void {
    const { will } = session
    if (will === null) return
    this.#dropWill(session)
    this.#publishWill(session, will)
  }

  #dropWill(session: Session): void {
    session.will = null
    session.willAt = NEVER
    this.#wills.willChanged(session)
  }
}
