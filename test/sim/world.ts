// A world of nodes built by the product's own `compose`, on simulated machines: starts, kills, power cuts, stops and
// returns them, and remembers what happened.

import type { HostError } from '../../src/base/errors.ts'
import { type ClusterId, clusterId } from '../../src/base/ids.ts'
import { type Log, silentLog } from '../../src/base/ports/log.ts'
import type { Endpoint } from '../../src/base/ports/streams.ts'
import { plainListener } from '../../src/broker/listeners.ts'
import { defaultBrokerSettings } from '../../src/broker/settings.ts'
import {
  type Bundle,
  type ClusterSettings,
  defaultClusterSettings,
  type HardwareTies,
} from '../../src/cluster/settings.ts'
import type { MemberStatus } from '../../src/cluster/status.ts'
import type { Insight, Node, NodeSettings, NodeStatus, Ports } from '../../src/compose.ts'
import { SimClock, Timeline } from './clock.ts'
import { SimDatagrams } from './datagrams.ts'
import { Disk, SimFiles } from './disk.ts'
import { History } from './history.ts'
import { Ledger } from './ledger.ts'
import { NameService } from './names.ts'
import { type Machine, Network } from './network.ts'
import { Dice } from './random.ts'
import { SimEngine } from './store-disk.ts'
import { type SimStreams, streamsOf } from './streams.ts'
import { Notary, SimTrust } from './trust.ts'

export type Build = (settings: NodeSettings, ports: Ports) => Node & Insight

export interface NodePlan {
  readonly machine: Machine
  readonly mqttPort: number
  readonly cluster: Partial<ClusterSettings>
  readonly bundle: Bundle | null
  /** Absent: 'memory'. */
  readonly durability?: 'disk' | 'memory'
  /** What the hardware says of itself; null: the machine's own. */
  readonly hardware?: HardwareTies
}

/** One run of a node: what is gone when it dies. */
interface Run {
  readonly number: number
  readonly clock: SimClock
  readonly streams: SimStreams
  readonly datagrams: SimDatagrams
  readonly node: Node & Insight
  readonly engine: SimEngine
  /** Tells the history. */
  readonly ended: (now: number) => void
  ready: boolean
}

const STOP_MS = 2000
/** What a stop takes besides its flushes: copies get 0.3 s, links and names say goodbye. */
const STOP_BESIDES_MS = 700
const WALL_MS = 1_790_000_000_000

export class World {
  readonly timeline = new Timeline()
  readonly dice: Dice
  readonly network: Network
  readonly names: NameService
  readonly notary = new Notary()
  readonly ledger = new Ledger()
  readonly history = new History()
  readonly nodes: SimNode[] = []
  readonly problems: string[] = []
  readonly build: Build
  /** Set when tracing. */
  print: ((line: string) => void) | null = null
  readonly #byClock = new Map<SimClock, SimNode>()
  #clocks = 0

  constructor(seed: string, build: Build) {
    this.dice = new Dice(seed)
    this.build = build
    this.network = new Network(this.timeline, this.dice.fork('network'))
    this.names = new NameService(this.network)
    this.timeline.failed = (owner, error) => this.#failed(owner, error)
    this.network.streamClosed = (a, b) => this.#streamClosed(a, b)
  }

  get now(): number {
    return this.timeline.now
  }

  /** What a right clock shows. */
  get wallMs(): number {
    return WALL_MS + this.now
  }

  run(ms: number): void {
    this.timeline.runUntil(this.timeline.now + ms)
  }

  trace(line: string): void {
    this.print?.(`${this.now.toFixed(3).padStart(10)} ${line}`)
  }

  problem(text: string): void {
    if (this.problems.length < 20) this.problems.push(`${(this.now / 1000).toFixed(3)} s: ${text}`)
    this.trace(`PROBLEM ${text}`)
  }

  clock(label: string, monotonicOffset = 0, wallMs = WALL_MS): SimClock {
    return new SimClock(this.timeline, this.#clocks++, label, monotonicOffset, wallMs)
  }

  /** A CA to put into bundles. */
  authority(name: string): { id: ClusterId; bundle: Bundle } {
    const dice = this.dice.fork(`authority ${name}`)
    const id = clusterId(dice)
    return { id, bundle: this.notary.makeAuthority(id, dice) }
  }

  addNode(plan: NodePlan): SimNode {
    const node = new SimNode(this, this.nodes.length, plan)
    this.nodes.push(node)
    return node
  }

  owned(clock: SimClock, node: SimNode): void {
    this.#byClock.set(clock, node)
  }

  #streamClosed(a: SimClock | null, b: SimClock | null): void {
    const nodeA = a === null ? undefined : this.#byClock.get(a)
    const nodeB = b === null ? undefined : this.#byClock.get(b)
    if (nodeA !== undefined && nodeB !== undefined) this.history.streamEnded(nodeA.index, nodeB.index)
  }

  #failed(owner: SimClock | null, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.problem(`${owner?.label ?? 'the simulator'} threw ${text.split('\n').slice(0, 6).join(' | ')}`)
    const node = owner === null ? undefined : this.#byClock.get(owner)
    if (node?.run?.clock === owner) node?.kill()
  }
}

export class SimNode {
  readonly #world: World
  readonly index: number
  readonly label: string
  readonly plan: NodePlan
  readonly disk = new Disk()
  run: Run | null = null
  runs = 0
  /** When the current run began, or the last one ended. */
  sinceMs = 0
  /** The node's id as it told itself, kept over its death. */
  id = ''
  /** How far this box's clock is off. */
  wallOffsetMs = 0
  /** Told when a run is over. */
  onGone: (run: number) => void = () => {}
  /** Told when nobody reaches it any more where it was. */
  onMoved: () => void = () => {}

  constructor(world: World, index: number, plan: NodePlan) {
    this.#world = world
    this.index = index
    this.label = `n${index}`
    this.plan = plan
  }

  get up(): boolean {
    return this.run !== null
  }

  get machine(): Machine {
    return this.plan.machine
  }

  /** Whether what it has promised outlives its runs. */
  get durable(): boolean {
    return this.plan.durability === 'disk'
  }

  /** Where its clients connect. */
  get mqtt(): Endpoint {
    return { address: this.machine.address, port: this.plan.mqttPort }
  }

  status(): NodeStatus {
    return this.run!.node.status()
  }

  /** What its status says of the members, itself among them; none while it does not run. */
  members(): readonly MemberStatus[] {
    return this.run?.ready === true ? this.run.node.memberRows() : []
  }

  /** What it knows of another node's wishes. */
  routesOf(other: SimNode): readonly string[] {
    return this.run!.node.routesOf(other.id)
  }

  /** Starts the node in a turn of its own, with what its disk holds. */
  start(): void {
    if (this.run !== null) return
    const world = this.#world
    const number = this.runs++
    const ended = world.history.run(this.index, world.now)
    const dice = world.dice.fork(`${this.label}.${number}`)
    const clock = world.clock(this.label, dice.whole(0, 1_000_000), WALL_MS + world.now + this.wallOffsetMs)
    world.owned(clock, this)
    if (!this.machine.powered) world.network.powerOn(this.machine)
    const streams = streamsOf(world.network, this.machine, clock)
    const datagrams = new SimDatagrams(world.network, this.machine, clock)
    const log = world.print === null ? silentLog : new TraceLog(world, this.label, {})
    world.trace(`${this.label} starts, run ${number}, ${this.machine.address}`)
    world.timeline.after(0, clock, 'node.start', () => {
      const engine = new SimEngine(this.disk.store, clock, dice.fork('store'))
      const node = world.build(this.#settings(), {
        clock,
        random: dice.fork('node'),
        streams,
        datagrams,
        names: world.names.of(this.machine, clock),
        trust: new SimTrust(world.notary, clock, dice.fork('trust')),
        files: new SimFiles(this.disk, clock, dice.fork('disk')),
        engine,
        // Whose clock is off has nobody to ask.
        synchronised: () => this.wallOffsetMs === 0,
        log,
        authenticator: { authenticate: (_request, done) => done('allowed') },
      })
      const run: Run = { number, clock, streams, datagrams, node, engine, ended, ready: false }
      this.run = run
      this.sinceMs = world.now
      node.start((error) => this.#started(run, error))
    })
  }

  /** kill -9: its kernel closes what it had open. */
  kill(): void {
    const { run } = this
    if (run === null) return
    this.#gone(run, 'is killed')
    run.streams.kill()
  }

  /** The power of its machine goes; others learn nothing. All nodes of the machine go with it. */
  powerCut(): void {
    this.machine.powered = false
    for (const node of this.#world.nodes) {
      if (node.machine !== this.machine || node.run === null) continue
      const { run } = node
      node.#gone(run, 'loses its power')
      run.streams.fade()
    }
  }

  /**
   * A clean stop, as by SIGTERM; must be over within 2 s. Whoever is kept waiting by the disk for longer goes anyway, as
   * the daemon does: what is not written then was never acknowledged.
   */
  stop(): void {
    const { run } = this
    if (run === null) return
    const world = this.#world
    world.trace(`${this.label} is told to stop`)
    world.timeline.after(0, run.clock, 'node.stop', () => {
      const busyMs = run.engine.busyMs
      const late = world.timeline.after(STOP_MS, null, 'node.stop-late', () => {
        const waitedMs = run.engine.busyMs - busyMs
        if (this.run === run && STOP_MS - waitedMs > STOP_BESIDES_MS) {
          world.problem(`${this.label} did not stop within ${STOP_MS / 1000} s, of which its disk took ${waitedMs} ms`)
        }
        this.kill()
      })
      run.node.stop(() => {
        late.cancel()
        this.kill()
      })
    })
  }

  /** The network gives its machine another address. */
  move(): void {
    for (const node of this.#world.nodes) {
      if (node.machine !== this.machine) continue
      node.run?.streams.loseTouch()
      node.onMoved()
    }
    this.#world.network.moveMachine(this.machine)
    this.#world.names.moved(this.machine)
    this.#world.trace(`${this.label} is ${this.machine.address} now`)
  }

  #gone(run: Run, how: string): void {
    const world = this.#world
    world.trace(`${this.label} ${how}`)
    if (run.ready) this.id = run.node.status().node.id || this.id
    run.clock.kill()
    run.datagrams.kill()
    world.names.kill(run.clock)
    this.run = null
    this.sinceMs = world.now
    run.ended(world.now)
    this.onGone(run.number)
  }

  #started(run: Run, error: HostError | null): void {
    if (error !== null) {
      // As the daemon does: it says why, and goes.
      this.#world.problem(`${this.label} cannot start: ${error.message}`)
      return this.kill()
    }
    run.ready = true
    this.id = run.node.status().node.id
  }

  #settings(): NodeSettings {
    const { cluster, bundle, mqttPort } = this.plan
    const { index } = this.machine
    const own = { machineId: `machine ${index}`, boardSerial: `board ${index}`, firstMac: `02:00:00:00:00:${index}` }
    const hardware = this.plan.hardware ?? own
    return {
      broker: defaultBrokerSettings,
      cluster: { ...defaultClusterSettings, nodeName: this.label, version: '0.1.0', ...cluster },
      store: { durability: this.plan.durability ?? 'memory' },
      listeners: [plainListener('mqtt', '0.0.0.0', mqttPort)],
      bundle,
      hardware,
      fileRules: null,
    }
  }
}

class TraceLog implements Log {
  readonly #world: World
  readonly #label: string
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(world: World, label: string, fields: Readonly<Record<string, unknown>>) {
    this.#world = world
    this.#label = label
    this.#fields = fields
  }

  debug(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#line('debug', fields, message)
  }

  info(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#line('info', fields, message)
  }

  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#line('warn', fields, message)
  }

  error(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#line('error', fields, message)
  }

  child(fields: Readonly<Record<string, unknown>>): Log {
    return new TraceLog(this.#world, this.#label, { ...this.#fields, ...fields })
  }

  #line(level: string, fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#world.trace(`${this.#label} ${level}: ${message} ${JSON.stringify({ ...this.#fields, ...fields })}`)
  }
}
