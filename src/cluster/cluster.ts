// The cluster as one node sees it: brings identity, first setup, discovery and links together, and tells how it stands.
// It coordinates; what is decided is decided in the files named for it.

import { assert, HostError } from '../base/errors.ts'
import { type ClusterId, type InstanceId, instanceId, type NodeId, nodeId } from '../base/ids.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Names } from '../base/ports/names.ts'
import type { Endpoint, Listening } from '../base/ports/streams.ts'
import { type LocalDelivery, NoPeers, type Peers } from '../broker/ports.ts'
import type { GoodbyeReason } from '../wire/link/frame.ts'
import type { ClusterBox } from './clusterbox.ts'
import { CurrentPeers } from './currentpeers.ts'
import { Announcing } from './discovery/announcing.ts'
import type { Announced } from './discovery/beacons.ts'
import type { Sighting } from './discovery/candidates.ts'
import { ownEndpoints, withoutAddress } from './discovery/interfaces.ts'
import { Memory } from './discovery/memory.ts'
import { Enrolment, type EnrolmentSelf } from './enrolment/enrolment.ts'
import { Heals } from './heals.ts'
import { Leaving } from './leaving.ts'
import { Refusals } from './links/refusals.ts'
import { Operator } from './operator.ts'
import { Presence, type PresenceWorld, type Surroundings } from './presence.ts'
import { needRestart } from './restart.ts'
import { type SessionGround, SessionSeam } from './sessionseam.ts'
import type { ClusterSettings } from './settings.ts'
import { type ClusterStatus, ownRow, REMOVED } from './status.ts'
import { settleTwins } from './trust/clones.ts'
import { type Identity, keepId, loadIdentity, renewIdentity } from './trust/identity.ts'
import { KnownKeys } from './trust/keys.ts'
import { Revocations } from './trust/revocations.ts'
import { Setup, type SetupResult } from './trust/setup.ts'
import { Together } from './trust/together.ts'

export interface ClusterWorld extends PresenceWorld, SessionGround {
  readonly names: Names
  readonly files: StateFiles
}

export type { ClusterBox } from './clusterbox.ts'

/** How long `problems` tells of a copied card that was met. */
const TWIN_TOLD_MS = 60_000

/** Where this node stands: `setup` until its first setup has come to an end. */
type Standing =
  | { readonly at: 'setup' }
  | { readonly at: 'waiting'; readonly why: string }
  | { readonly at: 'failed'; readonly why: string }
  | { readonly at: 'member'; readonly cluster: ClusterId }
  | { readonly at: 'stopped' }

export class Cluster implements Surroundings, Announced {
  readonly instance: InstanceId
  readonly refusals: Refusals
  readonly keys: KnownKeys
  readonly memory: Memory
  readonly revocations: Revocations
  readonly together: Together
  /** For commands. */
  readonly operator: Operator
  readonly enrolment: Enrolment
  readonly announcing: Announcing
  readonly heals: Heals
  readonly #world: ClusterWorld
  readonly #box: ClusterBox
  readonly #peers: CurrentPeers | NoPeers
  readonly seam: SessionSeam
  readonly #sinceMs: number
  readonly #started: ClusterSettings
  #settings: ClusterSettings
  #identity: Identity | HostError
  /** Whether this box made its CA because it heard nobody. */
  #founded = false
  /** Null when the cluster is switched off, or the identity cannot be read. */
  #presence: Presence | null = null
  #setup: Setup | null = null
  #standing: Standing = { at: 'setup' }
  #listening: Listening | null = null
  #local: LocalDelivery | null = null
  /** When a living copy of this card was last met. */
  #twinMs = Number.NEGATIVE_INFINITY
  readonly #fallbackId: NodeId

  /** Reads the identity; opens and sends nothing. */
  constructor(settings: ClusterSettings, given: ClusterWorld, box: ClusterBox) {
    const world = { ...given, datagrams: withoutAddress(given.datagrams, () => this.#settings.address) }
    const { clock, random, files, log, meter } = world
    this.#started = settings
    this.#settings = settings
    this.#world = world
    this.#box = box
    this.#sinceMs = clock.wall()
    this.instance = instanceId(random, clock.wall())
    this.refusals = new Refusals(world)
    this.heals = new Heals(world)
    this.keys = new KnownKeys(files, log)
    this.memory = new Memory(world)
    this.revocations = new Revocations(files, log, meter)
    this.together = new Together(files)
    this.#fallbackId = nodeId(random)
    this.seam = new SessionSeam(world, () => this.#presence)
    this.#identity = loadIdentity(world, box)
    world.stamps.become(this.id())
    if (settings.enabled && !(this.#identity instanceof HostError)) this.#presence = this.#present(this.#identity.id)
    this.#peers = this.#presence === null ? new NoPeers() : new CurrentPeers(this.#presence.peers)
    this.enrolment = new Enrolment(
      { ...world, together: this.together },
      () => this.#forEnrolment(),
      () => this.#presence!.about(),
      (to, gaveUp) => this.#adopted(to, gaveUp),
    )
    this.operator = new Operator(this, new Leaving(world, this, box), world.time)
    world.time.onStep(({ byMs }) => this.#presence?.lettingIn.invites.timeMoved(byMs))
    this.announcing = new Announcing(world, settings, this, box.devicePorts, (sighting) => this.#heard(sighting))
  }

  /** Known from the beginning. The id changes when a living copy of this card makes us give way. */
  get self(): { readonly id: NodeId; readonly instance: InstanceId } {
    return { id: this.id(), instance: this.instance }
  }

  /** For the broker; the same object for the life of the node. */
  get peers(): Peers {
    return this.#peers
  }

  /** The broker, for what members send. */
  attach(local: LocalDelivery): void {
    this.#local = local
  }

  /**
   * Opens the cluster's port; `done` gets null once the node may serve. First setup and discovery go on behind it: a
   * fresh box listens for seconds before it makes a cluster, and its own clients must not wait for that.
   */
  start(done: (error: HostError | null) => void): void {
    if (!this.#settings.enabled) {
      keepId(this.#world, this.#identity)
      return done(null)
    }
    if (this.#identity instanceof HostError) return done(this.#identity)
    const { bind: address, port } = this.#settings
    const accepted = (stream: Parameters<Presence['links']['accept']>[0]) => this.#presence?.links.accept(stream)
    this.#world.streams.listen({ address, port }, accepted, (result) => {
      if (result instanceof HostError) {
        return done(new HostError(result.kind, `cluster.port: ${result.message}`))
      }
      if (this.#standing.at === 'stopped') {
        result.close()
        return done(null)
      }
      this.#listening = result
      this.#world.log.info({ port: result.port, id: this.id(), instance: this.instance }, 'cluster port open')
      this.together.finish(this.#world.log, () => {
        if (this.#standing.at === 'setup') this.#setUp(this.#settings.newCluster)
      })
      this.announcing.start()
      done(null)
    })
  }

  /** Says goodbye and closes everything; `done` comes within a second. */
  stop(done: () => void): void {
    this.#standing = { at: 'stopped' }
    this.#setup?.stop()
    this.enrolment.stop()
    this.#listening?.close()
    this.#presence?.stop('stopping')
    this.memory.stop()
    this.announcing.stop(done)
  }

  /** Applies what can change live; returns the keys that need a restart. */
  configure(settings: ClusterSettings): readonly string[] {
    const { enabled, bind, port, interfaces } = this.#started
    const { password } = this.#settings
    this.#settings = { ...settings, enabled, bind, port, interfaces }
    this.#presence?.configure(this.#settings)
    if (password !== settings.password) this.enrolment.again()
    return needRestart(this.#started, settings)
  }

  status(): ClusterStatus {
    const { enabled, name } = this.#settings
    const presence = this.#presence
    const endpoint = this.#listening === null ? undefined : this.endpoints()[0]
    const own = ownRow(this.id(), this.#settings, endpoint, this.#sinceMs)
    return {
      enabled,
      name,
      id: presence?.cluster ?? null,
      state: this.#state(),
      port: this.#listening?.port ?? null,
      role: 'core',
      address: presence?.address.status() ?? null,
      members: [own, ...(presence?.members.rows((member) => presence.forwarding.queue(member)) ?? [])],
      refused: this.refusals.rows(),
      waiting: presence?.lettingIn.waiting.rows() ?? [],
      asking: this.enrolment.asking(),
    }
  }

  /** Other listeners are open on this box than before. */
  listenersChanged(): void {
    this.announcing.devicesChanged()
    this.#presence?.listeners.open(this.#box.clientPorts?.() ?? [])
  }

  /** Visible routes of other members. */
  routes(): number {
    return (this.#presence?.routes.size ?? 0) + (this.#presence?.shares.size ?? 0)
  }

  /** The parts under the present identity, to look at; null when the cluster is off. */
  get presence(): Presence | null {
    return this.#presence
  }

  problems(): readonly string[] {
    const found: string[] = []
    const { at } = this.#standing
    if (at === 'waiting') found.push(`not a member of a cluster: ${this.#standing.why}`)
    const enrolment = this.enrolment.problem()
    if (enrolment !== null) found.push(enrolment)
    if (this.#removed()) found.push(REMOVED)
    if (at === 'failed') found.push(`first setup failed: ${this.#standing.why}`)
    if (this.#world.clock.now() - this.#twinMs < TWIN_TOLD_MS) {
      found.push('another box runs with a copy of the identity of this one (a copied card); one of them gets a new one')
    }
    return [...found, ...this.announcing.problems(), ...(this.#presence?.problems() ?? [])]
  }

  // What is announced, and what the presence asks:

  id(): NodeId {
    return this.#identity instanceof HostError ? this.#fallbackId : this.#identity.id
  }

  cluster(): ClusterId | null {
    return this.#presence?.cluster ?? null
  }

  port(): number {
    return this.#listening?.port ?? 0
  }

  settings(): ClusterSettings {
    return this.#settings
  }

  local(): LocalDelivery | null {
    return this.#local
  }

  inBundle(authority: string): boolean {
    const { bundle } = this.#box
    return bundle !== null && bundle.privateKey !== null && bundle.certificate === authority
  }

  endpoints(): readonly Endpoint[] {
    return ownEndpoints(this.#settings, this.port(), this.#world.datagrams.interfaces())
  }

  twin(instance: InstanceId): void {
    if (this.#standing.at !== 'member' || this.#identity instanceof HostError) return
    const verdict = settleTwins(this.instance, instance)
    if (verdict === 'ourselves') return
    this.#world.meter.count('cluster.twins')
    this.#world.log.warn({ id: this.id(), instance, verdict }, 'another living box has our identity')
    this.#twinMs = this.#world.clock.now()
    if (verdict === 'stay') return
    // Both started from one card and we started later: everything of the old identity ends before the new one begins.
    const identity = renewIdentity(this.#world, this.#box)
    if (identity instanceof HostError) {
      this.#world.log.error({ why: identity.message }, 'a new identity cannot be made')
      return
    }
    this.become(identity)
  }

  asks(cluster: ClusterId): boolean {
    return this.enrolment.asksFirst(cluster)
  }

  /** Another identity: everything of the one before ends, and first setup goes on from what is on disk. */
  become(identity: Identity, goodbye: GoodbyeReason = 'same identity'): void {
    const before = this.#presence!
    this.#world.stamps.become(identity.id)
    const presence = this.#present(identity.id)
    this.#identity = identity
    this.#presence = presence
    if (before.id !== identity.id) this.#box.renamed?.(identity.id)
    if (this.#peers instanceof CurrentPeers)
      this.#peers.become(presence.peers, before.routes.own(), before.shares.own())
    this.listenersChanged()
    before.end(goodbye)
    this.#standing = { at: 'setup' }
    // Who leaves is alone, whomever it hears.
    this.#setUp(goodbye === 'leaving')
    this.announcing.announce()
  }

  /** What makes this box a member of another cluster is on disk; what it leaves, it forgets. */
  #adopted(to: Endpoint, gaveUp: ClusterId | null): void {
    if (gaveUp !== null) {
      this.#world.log.warn({ gaveUp }, 'this box leaves the cluster that it made for itself')
      this.#presence?.lettingIn.invites.clear()
      this.keys.clear()
      this.#world.replicated.renounce(this.id())
    }
    const identity = loadIdentity(this.#world, this.#box)
    if (identity instanceof HostError) return this.#wasSetUp(identity, false)
    this.become(identity)
    this.#presence?.admittedBy(to)
  }

  #forEnrolment(): EnrolmentSelf {
    const identity = this.#identity
    assert(!(identity instanceof HostError), 'a box without an identity cannot be let in')
    const [founded, lone] = [identity.founded || this.#founded, this.lone()]
    return { identity, founded, lone, instance: this.instance, cluster: this.cluster(), settings: this.#settings }
  }

  interruptSetup(): () => void {
    if (this.#standing.at !== 'setup') return () => {}
    this.#setup?.stop()
    const joining: Standing = { at: 'waiting', why: 'people have asked for it to be let in somewhere' }
    this.#standing = joining
    return () => {
      if (this.#standing === joining) this.#setUp(this.#settings.newCluster)
    }
  }

  lone(): boolean {
    return this.#standing.at === 'member' && this.keys.size === 0 && (this.#presence?.members.size ?? 0) === 0
  }

  #setUp(newCluster: boolean): void {
    if (this.#identity instanceof HostError) return
    const setup = new Setup(this.#world, this.#identity, { instance: this.instance, newCluster })
    this.#setup = setup
    setup.start((result) => this.#wasSetUp(result, newCluster))
  }

  #wasSetUp(result: SetupResult | HostError, newCluster: boolean): void {
    if (result instanceof HostError) {
      this.#world.log.error({ why: result.message }, 'first setup failed; serving alone')
      this.#standing = { at: 'failed', why: result.message }
      return
    }
    if (result.state === 'waiting') {
      this.#standing = { at: 'waiting', why: result.why }
      if (!(this.#identity instanceof HostError)) this.#identity = { ...this.#identity, waitingFor: result.cluster }
      return this.enrolment.start()
    }
    this.#standing = { at: 'member', cluster: result.clusterId }
    this.#world.log.info({ cluster: result.clusterId, id: this.id() }, 'member of a cluster')
    this.#presence?.admit(result.papers)
    this.#box.joined?.(result.papers)
    this.announcing.announce()
    this.#founded = result.founded && !newCluster
    if (result.founded || this.keys.size > 0) this.#world.time.establish()
    this.enrolment.start()
  }

  #present(id: NodeId): Presence {
    const presence = new Presence(id, this.#world, this)
    presence.members.onChange(({ id }) => {
      this.heals.look(presence.members.get(id)!)
      this.#box.membersChanged?.()
    })
    presence.trust.custody.onChange((papers) => this.#box.renewed?.(papers))
    return presence
  }

  #heard(sighting: Sighting): void {
    this.#setup?.heard(sighting)
    if (this.#presence !== null) this.enrolment.heard(sighting)
    this.#presence?.candidates.heard(sighting)
  }

  /** For good: only another id is let in again. */
  #removed(): boolean {
    return this.#standing.at === 'member' && this.revocations.has(this.id())
  }

  #state(): ClusterStatus['state'] {
    if (this.#standing.at === 'waiting') return 'waiting'
    if (this.#removed()) return 'removed'
    return (this.#presence?.members.size ?? 0) === 0 ? 'alone' : 'member'
  }
}
