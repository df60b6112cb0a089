// This node under one identity: its members, links, channels, candidates and what stands on them. A box that finds a
// living copy of its card begins a new one; everything else of the cluster stays.

import { HostError } from '../base/errors.ts'
import type { ClusterId, InstanceId, NodeId } from '../base/ids.ts'
import type { Meter } from '../base/meter.ts'
import type { AddressUnit } from '../base/ports/addressunit.ts'
import type { Clock } from '../base/ports/clock.ts'
import type { Datagrams } from '../base/ports/datagrams.ts'
import type { Log } from '../base/ports/log.ts'
import type { Random } from '../base/ports/random.ts'
import type { ByteStream, Endpoint, Streams } from '../base/ports/streams.ts'
import type { ServiceIssuer, Trust } from '../base/ports/trust.ts'
import type { StampClock } from '../base/stamps.ts'
import type { LocalDelivery } from '../broker/ports.ts'
import type { GoodbyeReason } from '../wire/link/frame.ts'
import type { MemberEntry } from '../wire/link/members.ts'
import type { Revocation } from '../wire/link/revocations.ts'
import { ClusterPeers } from './clusterpeers.ts'
import { Candidates } from './discovery/candidates.ts'
import { Gossip } from './discovery/gossip.ts'
import type { Memory } from './discovery/memory.ts'
import { LettingIn } from './enrolment/lettingin.ts'
import { FloatingAddress } from './floatingaddress.ts'
import { Forwarding } from './forwarding/forwarding.ts'
import type { Safekeeping } from './forwarding/parking.ts'
import { Routes } from './forwarding/routes.ts'
import { Shares } from './forwarding/shares.ts'
import { LinkChannels } from './links/channels.ts'
import type { Hellos } from './links/greeting.ts'
import { Heartbeat } from './links/heartbeat.ts'
import type { Lanes } from './links/lanes.ts'
import type { Link, LinkEnd } from './links/link.ts'
import { Links, type LinksEvents, type LinksSelf } from './links/links.ts'
import type { Refusals } from './links/refusals.ts'
import { Relay } from './links/relay.ts'
import { RelayedDialling } from './links/relayeddialling.ts'
import { later } from './maps/lwwverdict.ts'
import type { Replicated } from './maps/replicated.ts'
import type { SharedSettings } from './maps/sharedsettings.ts'
import { MemberListeners } from './members/memberlisteners.ts'
import { Members } from './members/members.ts'
import { Copies } from './sessions/copies.ts'
import { SharedSessions } from './sessions/sharedsessions.ts'
import { Wills } from './sessions/wills.ts'
import type { SessionSeam } from './sessionseam.ts'
import type { ClusterSettings } from './settings.ts'
import type { ClusterTime } from './time/clustertime.ts'
import type { DatedTime, Papers } from './trust/custody.ts'
import { type TrustKept, TrustLife } from './trust/trustlife.ts'

export interface PresenceWorld {
  readonly clock: Clock
  readonly random: Random
  readonly streams: Streams
  readonly trust: Trust
  readonly datagrams: Datagrams
  /** Without it a floating address cannot be held here. */
  readonly addressUnit?: AddressUnit
  /** Null: no certificates for listeners and devices are made here. */
  readonly issuer: ServiceIssuer | null
  readonly log: Log
  readonly meter: Meter
  /** Of this node, whatever its id. */
  readonly stamps: StampClock
  /** Likewise. */
  readonly time: ClusterTime
  /** How late it surely is: what was believed for weeks ends by it. */
  readonly lived: DatedTime
  readonly replicated: Replicated
  /** What is set for the whole cluster. */
  readonly shared: SharedSettings
  /** Where messages are kept that a member cannot take. */
  readonly safekeeping: Safekeeping
}

/** What outlives an identity. */
export interface Surroundings extends TrustKept {
  readonly instance: InstanceId
  readonly refusals: Refusals
  readonly memory: Memory
  settings(): ClusterSettings
  /** Where this node takes links: its port, and its addresses in its own opinion. */
  port(): number
  endpoints(): readonly Endpoint[]
  local(): LocalDelivery | null
  /** Whether this box, a lone one, would itself ask that cluster to be let in. */
  asks(cluster: ClusterId): boolean
  readonly seam: SessionSeam
  /** A box with our identity, started at that time, is alive. */
  twin(instance: InstanceId): void
}

export class Presence implements LinksEvents, LinksSelf {
  readonly id: NodeId
  readonly members: Members
  readonly links: Links
  readonly candidates: Candidates
  readonly routes: Routes
  readonly shares: Shares
  readonly forwarding: Forwarding
  readonly peers: ClusterPeers
  readonly sessions: SharedSessions
  readonly copies: Copies
  readonly wills: Wills
  readonly listeners: MemberListeners
  readonly trust: TrustLife
  readonly lettingIn: LettingIn
  readonly address: FloatingAddress
  readonly relay: Relay
  readonly #relayed: RelayedDialling
  readonly #world: PresenceWorld
  readonly #around: Surroundings
  readonly #channels: LinkChannels
  readonly #gossip: Gossip
  readonly #heartbeat: Heartbeat

  constructor(id: NodeId, world: PresenceWorld, around: Surroundings) {
    this.id = id
    this.#world = world
    this.#around = around
    const { clock, random, meter } = world
    const settings = around.settings()
    this.members = new Members(id, world, (other) => this.removed(other, ''))
    this.#channels = new LinkChannels(clock)
    this.links = new Links(world, this, around.refusals, this)
    this.candidates = new Candidates(
      world,
      {
        id: () => id,
        instance: around.instance,
        cluster: () => this.cluster,
        floats: (address) => around.settings().address?.startsWith(`${address}/`) === true,
      },
      (to, expected, done) => this.links.dial(to, expected, done),
    )
    // Before all that is judged by it: channels are announced in the order in which they were opened.
    world.time.attach(this.#channels)
    this.#gossip = new Gossip(
      this.#channels,
      this.members,
      () => this.#entry(),
      meter,
      (node, endpoint) => this.#heard(node, endpoint),
    )
    const features = { clock, random, log: world.log, meter }
    const { trust, issuer } = world
    this.trust = new TrustLife(
      { ...features, trust, issuer, time: world.lived },
      this.#channels,
      this.members,
      around,
      {
        close: (peer) => this.links.to(peer)?.close('other CA', 'other CA'),
        closeProvenBy: (authority) => this.links.closeProvenBy(authority),
      },
    )
    around.revocations.watch((fresh) => this.#revoked(fresh))
    world.replicated.attach(this.#channels)
    this.lettingIn = new LettingIn(world, {
      ...{ channels: this.#channels, members: this.members, stamps: world.stamps, issuing: this.trust.issuing },
      ...{ refusals: around.refusals, keys: around.keys, shared: world.shared },
      papers: () => this.trust.custody.papers,
      about: () => this.about(),
      password: () => around.settings().password,
      asks: (cluster) => around.asks(cluster),
      remove: (node, done) =>
        this.trust.remove(node, false, (result) => done(result instanceof HostError ? result.message : null)),
    })
    this.routes = new Routes(features, this.#channels, this.members, world.stamps, world.safekeeping)
    const policy = () => around.settings().sharedSubscriptions
    this.shares = new Shares(features, this.#channels, this.members, world.stamps, policy)
    this.forwarding = new Forwarding(features, this.#channels, this.members, this.routes, {
      shares: this.shares,
      bounds: settings.linkQueue,
      local: () => around.local(),
      keeping: world.safekeeping,
      copies: () => around.settings().copies,
    })
    const before = around.memory.load().map(({ node }) => node)
    this.forwarding.expect(before)
    this.peers = new ClusterPeers(this.routes, this.shares, this.forwarding)
    const { seam } = around
    this.copies = new Copies(features, this.#channels, this.members, {
      ...{ directory: seam.directory, records: seam.records, positions: seam.positions, marks: seam.marks },
      local: () => seam.local,
      wanted: () => around.settings().copies,
      nameOf: (member) => this.members.get(member)?.name ?? member,
      backedUpBy: (session, backup) => this.sessions.backedUpBy(session, backup),
      stoodIn: (clientId) => this.sessions.look(clientId),
      stands: (owner, by) => this.forwarding.handOver(owner, by),
    })
    this.sessions = new SharedSessions(features, this.#channels, this.members, world.stamps, seam.directory, {
      local: () => seam.local,
      heartbeatMs: () => this.heartbeatMs(),
      before,
      copies: this.copies,
      barrier: (...ask) => this.forwarding.barriers.ask(...ask),
    })
    this.address = new FloatingAddress(features, this.#channels, this.members, {
      unit: world.addressUnit ?? null,
      settings: () => around.settings(),
      interfaces: () => world.datagrams.interfaces(),
      member: () => this.cluster !== null && !this.removed(id, ''),
      nameOf: (member) => this.members.get(member)?.name ?? member,
    })
    this.wills = new Wills(features, this.#channels, this.members, world.stamps, {
      local: () => seam.local,
      afterMs: () => around.settings().willAfterMs,
      lastConnect: (clientId) =>
        later(this.sessions.clients.epochOf(clientId), seam.directory.get(clientId)?.epoch ?? null),
    })
    const located = () => this.members.values()
    this.listeners = new MemberListeners(features, this.#channels, this.members, world.stamps, located)
    this.sessions.clients.watch((clientId, epoch) => this.wills.connected(clientId, epoch))
    this.relay = new Relay(features, this.#channels, {
      self: id,
      direct: (member) => this.members.get(member)?.straight === true,
      accepted: (stream, relay) => this.links.accept(stream, relay),
    })
    this.#relayed = new RelayedDialling(clock, id, {
      members: () => this.members.values(),
      vouchers: (member) => this.members.vouchers(member),
      open: (member, relay) => this.relay.dial(member, relay),
      link: (stream, relay, done) => this.links.dialThrough(stream, relay, done),
    })
    this.#heartbeat = new Heartbeat(
      clock,
      settings,
      () => this.links.used(),
      (nowMs, marginMs) => {
        this.members.look(nowMs, around.settings(), marginMs)
        const longestMs = 2 * around.settings().heartbeatMs - marginMs
        this.routes.look(nowMs, longestMs)
        this.forwarding.look(nowMs, longestMs)
        this.copies.look(nowMs, longestMs)
        this.address.look(nowMs)
        this.#relayed.look(nowMs, around.settings().deadAfterMs)
      },
    )
  }

  /** Null while this box waits to be let in. */
  get cluster(): ClusterId | null {
    return this.trust.custody.cluster
  }

  /** This box is a member: it links from now on. */
  admit(papers: Papers): void {
    this.trust.custody.hold(papers)
    this.#heartbeat.start()
    this.#world.time.start()
    if (this.removed(this.id, '')) return this.links.stop('leaving')
    // Of clients that were there before.
    for (const session of this.#around.seam.local?.all() ?? []) this.wills.willChanged(session)
    this.lettingIn.prepare()
    this.candidates.setStatic(this.#around.settings().peers)
    for (const { node, endpoint } of this.#around.memory.load()) {
      this.candidates.heard({ endpoint, source: 'memory', node, instance: null, cluster: null })
    }
    this.candidates.start()
  }

  /** The member that has let this box in is the first that it links with. */
  admittedBy(endpoint: Endpoint): void {
    this.candidates.heard({ endpoint, source: 'member', node: null, instance: null, cluster: this.cluster })
  }

  configure(settings: ClusterSettings): void {
    this.#heartbeat.configure(settings)
    this.candidates.setStatic(settings.peers)
    this.lettingIn.prepare()
  }

  /** This box has another identity from now on. */
  end(goodbye: GoodbyeReason): void {
    this.stop(goodbye)
    this.peers.forget()
  }

  stop(goodbye: GoodbyeReason): void {
    this.candidates.stop()
    this.#heartbeat.stop()
    this.address.stop()
    this.#world.time.stop()
    this.lettingIn.stop()
    this.links.stop(goodbye)
    this.routes.stop()
    this.shares.stop()
    this.forwarding.stop()
    this.sessions.stop()
    this.copies.stop()
    this.wills.stop()
    this.listeners.stop()
    this.trust.stop()
  }

  problems(): readonly string[] {
    const { parking, parkedCopies } = this.forwarding
    const parked = parking.problems((id) => this.members.get(id), parkedCopies.alone)
    return [...this.trust.problems(), ...parked, ...this.copies.problems(), ...this.address.problems()]
  }

  // What links ask of this node:

  greeter() {
    const { id, cluster } = this
    const { instance } = this.#around
    const versions = this.#around.settings().protocol
    return { id, cluster, instance, versions, credentials: this.trust.custody.credentials }
  }

  about() {
    const { nodeName, version } = this.#around.settings()
    return { clusterPort: this.#around.port(), endpoints: this.#around.endpoints(), name: nodeName, version }
  }

  removed(id: NodeId, key: string): boolean {
    return this.#around.revocations.has(id, key)
  }

  /** While a compromised CA is replaced, its certificates prove nothing about somebody new. */
  agrees(id: NodeId, key: string): boolean {
    const { keys } = this.#around
    return (!this.trust.custody.strict || keys.of(id) === key) && keys.agrees(id, key)
  }

  heartbeatMs(): number {
    return this.#around.settings().heartbeatMs
  }

  // What links tell:

  up(link: Link, stream: ByteStream): Lanes {
    const member = this.members.linkUp(link)
    // A box that is reached through another is still looked for.
    if (link.via === null) {
      const endpoint = link.dialled ?? { address: link.remote.address, port: link.told.clusterPort }
      this.candidates.linkUp(link.peer, endpoint)
      this.#around.memory.linked(link.peer, endpoint)
    }
    for (const other of link.told.endpoints) this.#heard(link.peer, other)
    this.#gossip.tell(member)
    return this.#channels.attach(link, stream)
  }

  down(link: Link, why: LinkEnd): void {
    if (link.lanes !== null) this.#channels.detach(link.lanes)
    const member = this.members.linkDown(link, why)
    this.candidates.linkDown(link.peer)
    if (member?.state === 'left') {
      this.candidates.forget(link.peer)
      this.#around.memory.forget(link.peer)
    }
    if (member !== null) this.#gossip.tell(member)
  }

  enrolling(stream: ByteStream, hellos: Hellos, leave: () => void): void {
    this.lettingIn.welcome(stream, hellos, leave)
  }

  sameIdentity(instance: InstanceId): void {
    this.#around.twin(instance)
  }

  weAreRemoved(by: NodeId): void {
    this.#world.log.error({ by }, 'this box was removed from the cluster')
    this.#around.revocations.add([{ node: this.id, key: '' }], () => {})
  }

  #revoked(fresh: readonly Revocation[]): void {
    this.links.closeRemoved()
    for (const { node } of fresh) {
      // One that was not heard of in this run may yet have routes and messages here.
      if (this.members.get(node) === undefined) this.peers.removed(node)
      else this.members.remove(node)
      this.candidates.forget(node)
      this.#around.memory.forget(node)
      this.#around.keys.forget(node)
    }
    if (!this.removed(this.id, '')) return this.trust.lookAfterKey()
    // For good: nobody of this cluster links with this identity again, and it asks nobody any more.
    this.candidates.stop()
    this.links.stop('leaving')
  }

  #heard(node: NodeId, endpoint: Endpoint): void {
    this.candidates.heard({ endpoint, source: 'member', node, instance: null, cluster: this.cluster })
  }

  #entry(): MemberEntry {
    const { name, version, endpoints } = this.about()
    return { id: this.id, instance: this.#around.instance, endpoints, name, version, linked: false, left: false }
  }
}
