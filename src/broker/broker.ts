// The MQTT broker of one node: makes the tables and joins them; what happens in them stands in the files beside.

import type { ClientId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import { Turn } from '../base/outbox.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Log } from '../base/ports/log.ts'
import { ampleMemory, type Memory } from '../base/ports/memory.ts'
import type { Random } from '../base/ports/random.ts'
import { type ByteStream, type Endpoint, PLAIN_VISITOR, type Visitor } from '../base/ports/streams.ts'
import { Reason } from '../base/reasons.ts'
import { Seldom } from '../base/seldom.ts'
import { NoReplica } from '../base/shared.ts'
import { NO_TARGETS, type ShareTargets } from '../wire/link/sharetargets.ts'
import type { Late, Message, Origin } from '../wire/message.ts'
import { bounds } from './bounds.ts'
import { Connection } from './connection.ts'
import { Deadlines } from './deadlines.ts'
import { Fights } from './fights.ts'
import { guestOf, type NamedTerms } from './guest.ts'
import { Handover } from './handover.ts'
import type { ConnectionHome } from './home.ts'
import { Interest } from './interest.ts'
import { Keeping } from './keeping.ts'
import { MemoryGuard } from './memory-guard.ts'
import { MountedStream } from './mounted-stream.ts'
import {
  type Authenticator,
  type Claims,
  type Found,
  type FoundRecord,
  type Keeper,
  type LocalDelivery,
  type LocalSessions,
  NoClaims,
  NoKeeper,
  NoWillWatch,
  type Peers,
  type Rules,
  type WillWatch,
} from './ports.ts'
import { Publisher } from './publish.ts'
import { ReceiversCache } from './receivers.ts'
import { restore } from './restore.ts'
import { RetainedMessages, type ShareRetained } from './retained.ts'
import { RetainedDesk } from './retaineddesk.ts'
import { Safety } from './safety.ts'
import { Sessions } from './sessions.ts'
import { SessionTransfer } from './sessiontransfer.ts'
import type { BrokerSettings } from './settings.ts'
import { Subscriber } from './subscribe.ts'
import { Subscriptions } from './subscriptions.ts'
import { type Fact, Sys } from './sys.ts'
import { brokerFacts, type Holdings, loadCounts } from './sys-facts.ts'
import { isSys } from './sys-topic.ts'
import { Tally } from './tally.ts'
import { isMistaken } from './will.ts'

export interface BrokerWorld {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly meter: Meter
  readonly peers: Peers
  /** Without it every session is this node's alone. */
  readonly claims?: Claims
  /** Without it wills die with their box. */
  readonly wills?: WillWatch
  readonly authenticator: Authenticator
  /** Without it there is always enough. */
  readonly memory?: Memory
  readonly rules: Rules
  /** Keeps what must survive; absent: nothing does. */
  readonly keeper?: Keeper
  /** Makes the table of retained messages alike on all boxes; absent: there are no others. */
  readonly share?: ShareRetained
  /** Where this run of the node counts the messages it accepts. */
  readonly origin: Origin
  /** What else is to stand under $SYS. */
  facts?(): Iterable<Fact>
}

/** The broker's figures; messages and drops are cumulative. */
export interface BrokerCounts {
  readonly clients: number
  readonly sessions: number
  readonly subscriptions: number
  readonly retained: number
  readonly messagesIn: number
  readonly messagesOut: number
  readonly dropped: number
}

const MADE_UP_BYTES = 10

export class Broker implements LocalDelivery {
  #settings: BrokerSettings
  readonly #random: Random
  readonly #deadlines: Deadlines
  readonly #tally: Tally
  readonly #memory: MemoryGuard
  readonly #fights: Fights
  readonly #sessions: Sessions
  readonly #subscriptions: Subscriptions
  readonly #retained: RetainedMessages
  readonly #keeping: Keeping
  readonly #publisher: Publisher
  readonly #receivers: ReceiversCache
  readonly #home: ConnectionHome
  readonly #connections = new Set<Connection>()
  readonly #byListener = new Map<string, number>()
  /** Connections over the limits: on their way out. */
  #surplus = 0
  /** Of topics in which a will has been published by mistake, in this turn: what stood there before. */
  readonly #stood = new Map<string, Message | null>()
  /** What stands under $SYS. */
  readonly sys: Sys
  /** The retained messages, for operators. */
  readonly retained: RetainedDesk
  /** Its sessions on their way between boxes. */
  readonly transfer: LocalSessions
  #stopped = false

  constructor(settings: BrokerSettings, world: BrokerWorld) {
    const { clock, peers, log } = world
    this.#settings = settings
    this.#random = world.random
    this.#deadlines = new Deadlines(clock)
    const turn = new Turn(clock)
    this.#tally = new Tally(world.meter, turn)
    this.#memory = new MemoryGuard(clock, world.memory ?? ampleMemory, log, this.#tally)
    this.#fights = new Fights(clock, log, this.#tally)
    const receivers = new ReceiversCache(peers)
    const interest = new Interest(peers)
    const keeper = world.keeper ?? new NoKeeper()
    const safety = new Safety(keeper)
    const claims = world.claims ?? new NoClaims()
    this.#keeping = new Keeping(keeper)
    this.#subscriptions = new Subscriptions(interest, receivers, this.#keeping)
    receivers.attach(this.#subscriptions)
    this.#receivers = receivers
    this.#retained = new RetainedMessages(
      clock,
      this.#deadlines,
      keeper,
      world.share ?? ((_bounds, table) => new NoReplica(table)),
    )
    this.#publisher = new Publisher(clock, peers, world.origin, receivers, this.#retained)
    this.retained = new RetainedDesk(clock, this.#retained, this.#publisher)
    this.sys = new Sys({
      ...{ clock, origin: world.origin, publisher: this.#publisher, receivers },
      facts: () => [...brokerFacts(this.#tally, this.#holdings()), ...(world.facts?.() ?? [])],
      loads: () => loadCounts(this.#tally),
    })
    const settingsNow = () => this.#settings
    this.#sessions = new Sessions(
      {
        clock,
        tally: this.#tally,
        memory: this.#memory,
        keeping: this.#keeping,
        safety,
        get queueSettings() {
          return settingsNow().sessions.queue
        },
      },
      this.#deadlines,
      this.#subscriptions,
      (session, will) => {
        // The rules may have changed since its CONNECT.
        if (session.access.mayPublish(will.topic)) this.#publisher.will(session.clientId, will)
        else this.#tally.drop('not-authorized')
      },
      new Handover(clock, this.#tally, this.#subscriptions, this.#publisher, peers),
      claims,
      world.wills ?? new NoWillWatch(),
    )
    this.#retained.onWill = (will, before) => this.#willCame(will, before, clock)
    this.transfer = new SessionTransfer({
      ...{
        clock,
        settings,
        interest,
        origin: world.origin,
        publisher: this.#publisher,
        tally: this.#tally,
        rules: world.rules,
        keeping: this.#keeping,
      },
      ...{ sessions: this.#sessions, subscriptions: this.#subscriptions, retained: this.#retained },
    })
    this.#home = {
      get settings() {
        return settingsNow()
      },
      clock,
      log,
      turn,
      deadlines: this.#deadlines,
      tally: this.#tally,
      authenticator: world.authenticator,
      memory: this.#memory,
      fights: this.#fights,
      rules: world.rules,
      claims,
      sessions: this.#sessions,
      keeping: this.#keeping,
      safety,
      receivers,
      publisher: this.#publisher,
      subscriber: new Subscriber(this.#subscriptions, interest, this.#retained, this.sys, safety),
      tooLarge: new Seldom(clock, bounds.wordMs, bounds.wordsAtOnce),
      refused: new Seldom(clock, bounds.wordMs, bounds.wordsAtOnce),
      madeUpClientId: () => this.#madeUpClientId(),
      gone: (connection) => this.#gone(connection),
    }
  }

  /** Takes over an accepted stream. */
  accept(stream: ByteStream, listener: NamedTerms, visitor: Visitor = PLAIN_VISITOR): void {
    this.#tally.sockets++
    const { name, maxConnections = null } = listener
    if (this.#stopped) return stream.destroy()
    const full = this.#connections.size - this.#surplus >= this.#settings.limits.maxConnections
    const surplus = full || (maxConnections !== null && this.connections(name) >= maxConnections)
    if (surplus) {
      this.#tally.count('mqtt.refused.max-connections')
      if (this.#surplus >= bounds.surplusConnections) return stream.destroy()
      this.#surplus++
    } else {
      this.#byListener.set(name, this.connections(name) + 1)
    }
    const guest = guestOf(listener, visitor, surplus)
    const connection = new Connection(this.#home, this.#mounted(stream, listener), guest)
    this.#connections.add(connection)
    connection.begin()
  }

  #mounted(stream: ByteStream, { mountPoint = '' }: NamedTerms): ByteStream {
    if (mountPoint === '') return stream
    return new MountedStream(stream, mountPoint, () => this.#settings.limits.maxPacketSize)
  }

  /** Ends the connections of a listener that is no more. */
  closeAll(listener: string): void {
    for (const connection of [...this.#connections]) {
      if (connection.guest.terms.name !== listener) continue
      connection.close(Reason.administrativeAction, 'its listener was removed')
    }
  }

  /** Takes up what an earlier run left; before anything is accepted. */
  restore(found: Found, other: (record: FoundRecord) => void): void {
    restore(found, other, {
      settings: this.#settings,
      keeping: this.#keeping,
      rules: this.#home.rules,
      sessions: this.#sessions,
      subscriptions: this.#subscriptions,
      retained: this.#retained,
    })
  }

  deliverFromPeer(message: Message, late: Late = false, targets: ShareTargets = NO_TARGETS): number {
    if (isSys(message.topic)) return 0
    return this.#publisher.fromPeer(message, late, targets)
  }

  connections(listener: string): number {
    return this.#byListener.get(listener) ?? 0
  }

  counts(): BrokerCounts {
    return {
      clients: this.#sessions.connected,
      sessions: this.#sessions.count,
      subscriptions: this.#subscriptions.count,
      retained: this.#retained.count,
      messagesIn: this.#tally.messagesIn,
      messagesOut: this.#tally.messagesOut,
      dropped: this.#tally.dropped,
    }
  }

  /** What an operator should know of; `named`: who reads it may see client ids. */
  problems(named: boolean): readonly string[] {
    const memory = this.#memory.problem()
    return [...(memory === null ? [] : [memory]), ...this.#fights.problems(named)]
  }

  /** Connections keep the terms they were told at their CONNECT; everything else follows at once. */
  configure(settings: BrokerSettings): void {
    this.#settings = settings
  }

  /** The rules say something else than before: it counts from the next message on. */
  rulesChanged(): void {
    this.#receivers.rulesChanged()
  }

  /** Closes the connections of an account that is gone or has another password. */
  disconnect(account: string, why: string): void {
    for (const connection of [...this.#connections]) {
      if (connection.account === account) connection.close(Reason.notAuthorized, why)
    }
  }

  /** A will was published because this box was cut off, and its client is here. */
  #willCame(will: Message, before: Message | null, clock: Clock): void {
    const session = this.#sessions.get(will.publisher)
    if (session === undefined || session.connection === null || session.epoch === null) return
    if (!isMistaken(session.epoch, will.willOf!, will.stamp)) return
    // Of two that come in one turn, from two sides, the first has taken the place of what counts.
    if (before?.willOf === undefined || !this.#stood.has(will.topic)) this.#stood.set(will.topic, before)
    // At the end of the turn: the will may be going round its receivers.
    clock.soon(() => {
      const stood = this.#stood.get(will.topic)
      this.#stood.delete(will.topic)
      if (stood === undefined || this.#retained.get(will.topic)?.message?.willOf === undefined) return
      this.#tally.count('wills.written-back')
      this.#publisher.putBack(will.topic, stood, will.publisher)
    })
  }

  /** Sends all clients to other boxes, `elsewhere` by the listener that they came by; wills are not published here. */
  drain(elsewhere: (listener: string) => readonly Endpoint[]): void {
    this.#sessions.forgetWills()
    this.#sendAway('this box leaves its cluster', elsewhere)
  }

  #sendAway(why: string, elsewhere: (listener: string) => readonly Endpoint[]): void {
    for (const connection of [...this.#connections]) {
      const servers = elsewhere(connection.guest.terms.name)
      connection.close(servers.length === 0 ? Reason.serverShuttingDown : Reason.useAnotherServer, why, servers)
    }
  }

  /** MQTT 5 clients are told, and where else they may go; streams end, wills are not published here. */
  stop(elsewhere: (listener: string) => readonly Endpoint[] = () => []): void {
    this.#stopped = true
    this.#memory.stop()
    this.sys.stop()
    this.#sessions.stopping()
    this.#sendAway('the broker stops', elsewhere)
    this.#sessions.freeze()
    if (this.#connections.size === 0) this.#deadlines.stop()
  }

  #holdings(): Holdings {
    const { clients, sessions, subscriptions, retained } = this.counts()
    const { messages, bytes } = this.#sessions.waiting()
    const sharedSubscriptions = this.#subscriptions.sharedCount
    return { clients, sessions, subscriptions, sharedSubscriptions, retained, waiting: messages, waitingBytes: bytes }
  }

  #gone(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const { terms, surplus } = connection.guest
    if (surplus) this.#surplus--
    else this.#byListener.set(terms.name, this.connections(terms.name) - 1)
    if (this.#stopped && this.#connections.size === 0) this.#deadlines.stop()
  }

  #madeUpClientId(): string {
    for (;;) {
      const id = `auto-${this.#random.bytes(MADE_UP_BYTES).toString('hex')}`
      if (this.#sessions.get(id as ClientId) === undefined) return id
    }
  }
}
