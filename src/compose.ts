// Builds one node from settings and ports, without I/O of its own: main.ts gives it the real world, the simulator its
// own.

import { HostError } from './base/errors.ts'
import type { ClusterId, NodeId } from './base/ids.ts'
import { Meter } from './base/meter.ts'
import type { AddressUnit } from './base/ports/addressunit.ts'
import { type Clock, every, type Timer } from './base/ports/clock.ts'
import type { Datagrams } from './base/ports/datagrams.ts'
import type { StoreEngine } from './base/ports/engine.ts'
import type { StateFiles } from './base/ports/files.ts'
import type { Log } from './base/ports/log.ts'
import type { Memory } from './base/ports/memory.ts'
import type { Names } from './base/ports/names.ts'
import type { Random } from './base/ports/random.ts'
import type { Endpoint, Streams } from './base/ports/streams.ts'
import type { CertificateAuthority, ServiceIssuer, Trust } from './base/ports/trust.ts'
import { Positions } from './base/positions.ts'
import { StampFloor } from './base/stampfloor.ts'
import { StampClock } from './base/stamps.ts'
import type { Account, GrantedRule } from './broker/accountfile.ts'
import { Accounts } from './broker/accounts.ts'
import { Broker } from './broker/broker.ts'
import { type ListenerSettings, type ListenerStatus, Listeners } from './broker/listeners.ts'
import { type Authenticator, NoKeeper } from './broker/ports.ts'
import { Rates } from './broker/rates.ts'
import type { RetainedDesk } from './broker/retaineddesk.ts'
import type { BrokerSettings } from './broker/settings.ts'
import type { Fact } from './broker/sys.ts'
import { Cluster } from './cluster/cluster.ts'
import { deviceServices } from './cluster/discovery/adverts.ts'
import { reachableAddresses } from './cluster/discovery/interfaces.ts'
import { Safekeeping } from './cluster/forwarding/parking.ts'
import { Replicated } from './cluster/maps/replicated.ts'
import { SharedSettings } from './cluster/maps/sharedsettings.ts'
import { clientPorts } from './cluster/members/memberlisteners.ts'
import { EVENTS, MemberTopics } from './cluster/members/membertopics.ts'
import type { Operator } from './cluster/operator.ts'
import { CopiedRecords } from './cluster/sessions/copiedrecords.ts'
import { handOver } from './cluster/sessions/draining.ts'
import type { Bundle, ClusterSettings, HardwareTies } from './cluster/settings.ts'
import type { ClusterStatus, MemberStatus } from './cluster/status.ts'
import { ClusterTime } from './cluster/time/clustertime.ts'
import { LivedTime } from './cluster/time/livedtime.ts'
import { Certificates, type Reached, reachedBy } from './cluster/trust/certificates.ts'
import { caOf, type Papers, rootsOf } from './cluster/trust/custody.ts'
import { MemoryRecords } from './store/memory-records.ts'
import { Store } from './store/store.ts'

export type { Bundle, HardwareTies } from './cluster/settings.ts'

/** The outside world of one node. */
export interface Ports {
  readonly clock: Clock
  readonly random: Random
  readonly streams: Streams
  readonly datagrams: Datagrams
  readonly names: Names
  readonly trust: Trust
  readonly files: StateFiles
  /** The disk under the store. */
  readonly engine: StoreEngine
  /** Whether this machine's wall clock is known to be right. */
  readonly synchronised: () => boolean
  readonly log: Log
  readonly authenticator: Authenticator
  /** Without it the listeners have the certificates that people give them, and no others. */
  readonly issuer?: ServiceIssuer
  /** Without it a floating address cannot be held here. */
  readonly addressUnit?: AddressUnit
  /** Without it there is always enough. */
  readonly memory?: Memory
  /**
   * The CA is this one, after so many replacements; null: without its key. Returns the accounts that every box of a
   * cluster makes alike, from the key of the first one: devices keep their password when that is replaced.
   */
  readonly firstAccounts?: (ca: CertificateAuthority | null, of: ClusterId, generation: number) => readonly Account[]
}

export interface StoreSettings {
  readonly durability: 'disk' | 'memory'
}

export interface NodeSettings {
  readonly broker: BrokerSettings
  readonly cluster: ClusterSettings
  readonly store: StoreSettings
  readonly listeners: readonly ListenerSettings[]
  /** The rules of the acl_file; null: there is none. */
  readonly fileRules: readonly GrantedRule[] | null
  /** Of the acl_files of listeners, by the listener's name. */
  readonly listenerRules?: ReadonlyMap<string, readonly GrantedRule[]>
  readonly bundle: Bundle | null
  readonly hardware: HardwareTies
  /** This machine's own name, where it is not the node's. */
  readonly hostName?: string
}

/** A running node, as lifecycle, command line and simulator see it. */
export interface Node {
  /** Opens the listeners and the cluster. `done` gets null when ready, or what an MQTT or cluster port said (exit 69). */
  start(done: (error: HostError | null) => void): void
  /** Clean stop: MQTT 5 clients get 0x8B, announcements are withdrawn first; `done` is called within 2 s. */
  stop(done: () => void): void
  /** `named`: who reads it may see client ids. */
  status(named?: boolean): NodeStatus
  /** Accounts and access rules, to look up and to change. */
  readonly accounts: Accounts
  readonly retained: RetainedDesk
  /** Certificates of the cluster's CA, for listeners and devices. */
  readonly certificates: Certificates
  /** What people ask of the cluster by commands. */
  readonly operator: Operator
  /** Applies settings that can change live; returns the keys (`cluster.port`) that need a restart. */
  configure(settings: NodeSettings): readonly string[]
}

export type { ListenerStatus } from './broker/listeners.ts'

/** The shape of `edge-mqtt status --json` (stable; fields are only added). */
export interface NodeStatus {
  readonly node: {
    readonly id: string
    readonly name: string
    readonly version: string
    readonly state: 'starting' | 'ready' | 'draining'
    readonly uptimeMs: number
  }
  readonly listeners: readonly ListenerStatus[]
  readonly cluster: ClusterStatus
  readonly clients: number
  readonly sessions: number
  readonly subscriptions: number
  readonly retained: number
  readonly routes: number
  readonly rates: { readonly inPerSecond: number; readonly outPerSecond: number }
  readonly dropped: number
  readonly problems: readonly string[]
  /** Every counter by name: drops, refusals, junk, close reasons. */
  readonly counters: Readonly<Record<string, number>>
}

/** How often the counts behind `rates` are taken. */
const RATES_MS = 2000

/** What can be looked at inside a node beyond its status. */
export interface Insight {
  /** The filters that a member wants as far as this node knows, by the member's id. */
  routesOf(member: string): readonly string[]
  /** The members of the status, without the rest of it. */
  memberRows(): readonly MemberStatus[]
}

export function compose(settings: NodeSettings, ports: Ports): Node & Insight {
  return new ComposedNode(settings, ports)
}

class ComposedNode implements Node, Insight {
  readonly #ports: Ports
  readonly #meter = new Meter()
  readonly #rates = new Rates()
  readonly #startedMs: number
  readonly #cluster: Cluster
  readonly #broker: Broker
  readonly accounts: Accounts
  readonly #listeners: Listeners
  readonly #floor: StampFloor
  readonly #stamps: StampClock
  /** Where this run counts its messages: among all runs of this node, by a stamp. */
  readonly #origin: { node: NodeId; incarnation: number }
  /** Null: nothing is kept over a restart. */
  readonly #store: Store | null
  /** What all boxes hold alike. */
  readonly #replicated: Replicated
  readonly #safekeeping: Safekeeping
  readonly certificates: Certificates
  readonly operator: Operator
  readonly retained: RetainedDesk
  readonly memberRows = () => this.#cluster.status().members
  #settings: NodeSettings
  #state: NodeStatus['node']['state'] = 'starting'
  #sampling: Timer | null = null
  readonly #members = new MemberTopics()

  constructor(settings: NodeSettings, ports: Ports) {
    const { clock } = ports
    this.#settings = settings
    this.#ports = ports
    this.#startedMs = clock.now()
    const positions = new Positions(clock)
    this.#floor = new StampFloor({ ...ports, meter: this.#meter }, () => time.now())
    const time = new ClusterTime({ ...ports, meter: this.#meter }, this.#floor.wasMs)
    this.#stamps = new StampClock(null, () => time.now(), this.#floor)
    const own = { ...ports, meter: this.#meter, stamps: this.#stamps, positions, issuer: ports.issuer ?? null }
    this.#store = settings.store.durability === 'memory' ? null : new Store(own)
    const memory = settings.cluster.enabled ? new MemoryRecords(positions) : new NoKeeper(positions)
    const keeper = new CopiedRecords(this.#store ?? memory, positions)
    const lived = new LivedTime(ports, time, this.#floor.wasMs)
    this.#replicated = new Replicated(own, this.#stamps, keeper, () => lived.now())
    this.#safekeeping = new Safekeeping(keeper, positions, () => this.#settings.broker.sessions.queue, this.#store)
    time.onStep((step) => this.#replicated.timeMoved(step))
    const shared = new SharedSettings(this.#replicated)
    const sharing = { time, lived, replicated: this.#replicated, shared, safekeeping: this.#safekeeping }
    const world = { ...own, ...sharing, records: keeper, named: this.#store?.records ?? null }
    this.#cluster = new Cluster(settings.cluster, world, {
      bundle: settings.bundle,
      hardware: settings.hardware,
      membersChanged: () => this.#membersChanged(),
      // A living copy of this card may count its messages under the id that was ours.
      renamed: (node) => Object.assign(this.#origin, { node, incarnation: this.#stamps.next().wallMs }),
      devicePorts: () => deviceServices(this.#listeners.rows()),
      joined: (papers) => this.#standsOn(papers),
      clientPorts: () => clientPorts(this.#listeners.rows()),
      drain: () => this.#broker.drain((listener) => this.#elsewhere(listener)),
      handOver: (done) => handOver(clock, positions, done),
      renewed: (papers) => this.#standsOn(papers),
    })
    this.operator = this.#cluster.operator
    this.#origin = { node: this.#cluster.self.id, incarnation: 0 }
    this.accounts = new Accounts(ports.files, ports.log, (...of) => this.#replicated.share(...of))
    this.accounts.setFileRules(settings.fileRules, settings.listenerRules)
    this.#broker = new Broker(settings.broker, {
      ...world,
      keeper,
      peers: this.#cluster.peers,
      ...{ claims: this.#cluster.seam, wills: this.#cluster.seam },
      rules: this.accounts,
      share: (...of) => this.#replicated.share(...of),
      origin: this.#origin,
      facts: () => this.#facts(),
    })
    this.retained = this.#broker.retained
    this.accounts.watch({
      rulesChanged: () => this.#broker.rulesChanged(),
      accountChanged: (name) => this.#broker.disconnect(name, 'the account has changed'),
    })
    this.#cluster.attach(this.#broker)
    this.#cluster.seam.local = this.#broker.transfer
    this.#listeners = new Listeners({ ...world }, settings.broker.limits, {
      accept: (stream, terms, visitor) => this.#broker.accept(stream, terms, visitor),
      closeAll: (listener) => this.#broker.closeAll(listener),
      changed: () => this.#cluster.listenersChanged(),
    })
    this.certificates = new Certificates(
      { ...world, sign: ports.issuer === undefined ? null : (...wish) => this.#cluster.operator.sign(...wish) },
      () => this.#reachedBy(),
      (certificate, authorities, why) => this.#listeners.certify(certificate, authorities, why),
    )
  }

  start(done: (error: HostError | null) => void): void {
    // First of all: nothing may be numbered that the next run could number again.
    this.#floor.begin(this.#stamps.timeMs, () => {
      if (this.#state !== 'starting') return done(null)
      this.#origin.incarnation = this.#stamps.next().wallMs
      this.#floor.keep(this.#ports.clock, () => this.#stamps.look())
      this.#openStore((failed) => {
        if (failed !== null || this.#state !== 'starting') return done(failed)
        this.#open(done)
      })
    })
  }

  /** Nobody is let in before everything that was promised is there again. */
  #openStore(done: (failed: HostError | null) => void): void {
    const store = this.#store
    if (store === null) return done(null)
    store.open((found) => {
      if (found instanceof HostError) return done(found)
      this.#broker.restore(found, (record) => {
        if (this.#replicated.found(record, found) || this.#safekeeping.found(record, found)) return
        store.records.found(record, found)
      })
      done(null)
    })
  }

  #open(done: (error: HostError | null) => void): void {
    this.#listeners.start(this.#settings.listeners, (failed) => {
      if (failed !== null) return done(failed)
      this.#cluster.start((error) => {
        if (error !== null) return done(error)
        if (this.#state === 'starting') this.#state = 'ready'
        this.#sampling = every(this.#ports.clock, RATES_MS, 'node.rates', () => this.#sample())
        done(null)
      })
    })
  }

  stop(done: () => void): void {
    if (this.#state === 'draining') return done()
    this.#state = 'draining'
    this.#sampling?.cancel()
    // Devices must not be sent to a listener that is about to close; the cluster goes last, with what clients still said.
    this.#cluster.announcing.withdrawDevices(() => {
      this.#listeners.stop()
      this.certificates.stop()
      this.#broker.stop((listener) => this.#elsewhere(listener))
      const closed = () => this.#floor.end(this.#stamps.lastMs, done)
      handOver(this.#ports.clock, this.#safekeeping.positions, () => {
        this.#replicated.stop()
        this.#cluster.stop(() => (this.#store === null ? closed() : this.#store.close(closed)))
      })
    })
  }

  /** Where clients of a listener may go instead. */
  #elsewhere(listener: string): readonly Endpoint[] {
    const type = this.#settings.listeners.find(({ name }) => name === listener)?.type
    return type === undefined ? [] : (this.#cluster.presence?.listeners.elsewhere(type) ?? [])
  }

  status(named = true): NodeStatus {
    const { clock } = this.#ports
    const { nodeName, version } = this.#settings.cluster
    const { clients, sessions, subscriptions, retained, dropped, messagesIn, messagesOut } = this.#broker.counts()
    return {
      node: {
        id: this.#cluster.self.id,
        name: nodeName,
        version,
        state: this.#state,
        uptimeMs: Math.round(clock.now() - this.#startedMs),
      },
      listeners: this.#listeners.rows().map(({ settings: { name, type, bind, path }, port }) => ({
        name,
        type,
        bind: type === 'unix' ? (path ?? '') : bind,
        port,
        connections: this.#broker.connections(name),
      })),
      cluster: this.#cluster.status(),
      clients,
      sessions,
      subscriptions,
      retained,
      routes: this.#cluster.routes(),
      rates: this.#rates.now(clock.now(), messagesIn, messagesOut),
      dropped: dropped + this.#meter.get('forward.dropped'),
      problems: [
        ...this.#cluster.problems(),
        ...this.#replicated.problems((node) => this.#cluster.presence?.trust.name(node) ?? node),
        ...this.#listeners.problems(),
        ...this.#broker.problems(named),
        ...(this.#store?.problems ?? []),
      ],
      counters: this.#meter.all(),
    }
  }

  routesOf(member: string): readonly string[] {
    return [...(this.#cluster.presence?.routes.of(member as NodeId) ?? [])]
  }

  configure(settings: NodeSettings): readonly string[] {
    const restart: string[] = []
    if (settings.cluster.nodeName !== this.#settings.cluster.nodeName) restart.push('node.name')
    if (settings.store.durability !== this.#settings.store.durability) restart.push('store.durability')
    this.#settings = {
      ...settings,
      store: this.#settings.store,
      cluster: { ...settings.cluster, nodeName: this.#settings.cluster.nodeName },
    }
    this.#broker.configure(settings.broker)
    this.accounts.setFileRules(settings.fileRules, settings.listenerRules)
    this.#listeners.configure(settings.listeners, settings.broker.limits)
    return [...restart, ...this.#cluster.configure(this.#settings.cluster)]
  }

  #reachedBy(): Reached {
    const { cluster, hostName = cluster.nodeName } = this.#settings
    return reachedBy(cluster.nodeName, hostName, reachableAddresses(cluster, this.#ports.datagrams.interfaces()))
  }

  #standsOn(papers: Papers): void {
    const { authority, generation } = papers
    const firsts = this.#ports.firstAccounts?.(caOf(authority), authority.clusterId, generation) ?? []
    this.accounts.joined(authority.clusterId, firsts)
    this.certificates.begin(rootsOf(papers))
  }

  *#facts(): IterableIterator<Fact> {
    const { clock, memory } = this.#ports
    yield ['$SYS/broker/version', `edge-mqtt version ${this.#settings.cluster.version}`]
    yield ['$SYS/broker/uptime', `${Math.floor((clock.now() - this.#startedMs) / 1000)} seconds`]
    if (memory !== undefined) yield ['$SYS/broker/heap/current', String(memory.bytes())]
    if (this.#settings.cluster.enabled) yield* this.#members.facts(this.#cluster.status())
  }

  #membersChanged(): void {
    const status = () => (this.#state === 'draining' ? null : this.#cluster.status())
    this.#members.changed(this.#ports.clock, status, (text) => this.#broker.sys.tell(EVENTS, text))
  }

  #sample(): void {
    const { messagesIn, messagesOut } = this.#broker.counts()
    this.#rates.sample(this.#ports.clock.now(), messagesIn, messagesOut)
  }
}
