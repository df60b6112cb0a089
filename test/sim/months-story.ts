// Months in the life of a cluster, most of them with the boxes switched off: one is away while another removes what it
// holds, and while the CA is replaced; removals are forgotten; certificates grow old. A story without storms.

import { HostError } from '../../src/base/errors.ts'
import type { NodeId } from '../../src/base/ids.ts'
import type { ServiceIssuer } from '../../src/base/ports/trust.ts'
import type { ClusterSettings } from '../../src/cluster/settings.ts'
import { compose } from '../../src/compose.ts'
import { SimClient } from './client.ts'
import { trustOf } from './guests.ts'
import { goodQuality } from './network.ts'
import { noProperties } from './publish.ts'
import { QUIET_MS, QuietClock } from './quietclock.ts'
import { streamsOf } from './streams.ts'
import { SimTrust } from './trust.ts'
import type { PublishWish } from './wishes.ts'
import { type Build, type SimNode, World } from './world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SETTLED_MS = 60_000
/** The first look for what is to be forgotten comes sooner. */
const FORGETTING_MS = 0.25 * HOUR_MS

/** Boxes that have something to do once a minute. */
const QUIET = {
  ...{ heartbeatMs: 30_000, deadAfterMs: 150_000, mdns: { enabled: false } },
  beacon: { enabled: true, port: 4883, intervalMs: 20_000 },
}

/** For boxes that are on for months, with a quiet clock: a link is silent for half an hour. */
export const SLOW = { ...QUIET, heartbeatMs: 2 * HOUR_MS, deadAfterMs: 10 * HOUR_MS }

export class Months {
  readonly world: World
  readonly nodes: readonly SimNode[]
  readonly problems: string[]
  #quiet = false

  constructor(name: string, count: number, build: Build = compose, settings: Partial<ClusterSettings> = QUIET) {
    // Certificates of listeners say whose they are, and until when.
    const issuer: ServiceIssuer = {
      issueService: (ca, { commonName, fromMs, toMs }, publicKey, done) =>
        done(this.world.notary.issue(ca, `${commonName} from ${fromMs} until ${toMs}` as NodeId, publicKey)),
    }
    this.world = new World(name, (settings, ports) => {
      const clock = new QuietClock(ports.clock, () => this.#quiet)
      return build(settings, { ...ports, clock, issuer })
    })
    const { bundle } = this.world.authority('main')
    this.nodes = Array.from({ length: count }, (_, index) => {
      const cluster = { ...settings, port: 4883 + index }
      const machine = this.world.network.addMachine(0)
      return this.world.addNode({ machine, mqttPort: 1883 + index, cluster, bundle, durability: 'disk' })
    })
    this.problems = this.world.problems
  }

  on(...nodes: readonly SimNode[]): void {
    for (const node of nodes) node.start()
    this.world.run(SETTLED_MS)
  }

  off(...nodes: readonly SimNode[]): void {
    for (const node of nodes) node.stop()
    this.world.run(5000)
  }

  /** All are off until the day, counted from the first. */
  sleepUntil(day: number): void {
    this.off(...this.nodes.filter((node) => node.up))
    this.world.run(day * DAY_MS - this.world.now)
  }

  /** They go on until the day; `look` each day. */
  quietUntil(day: number, look: () => void = () => {}): void {
    const { world } = this
    this.#quiet = true
    for (let leftMs = day * DAY_MS - QUIET_MS - world.now; leftMs > 0; leftMs -= DAY_MS) {
      world.run(Math.min(DAY_MS, leftMs))
      look()
    }
    this.#quiet = false
    world.run(Math.max(0, day * DAY_MS - world.now))
  }

  cut(a: SimNode, b: SimNode, whether: boolean): void {
    const { network } = this.world
    for (const [from, to] of [[a, b] as const, [b, a] as const]) {
      if (whether) network.cut(from.machine, to.machine)
      else network.mend(from.machine, to.machine)
    }
  }

  /** Somebody writes a retained message of so many bytes at this box, 0: removes it. */
  write(node: SimNode, topic: string, payloadBytes: number): void {
    this.say(node, { topic, payloadBytes, retain: true, expirySec: null })
  }

  /** Somebody publishes at this box. */
  say(node: SimNode, wish: Pick<PublishWish, 'topic' | 'payloadBytes' | 'retain' | 'expirySec'>): void {
    const { world } = this
    const machine = world.network.addMachine(0)
    world.network.path(machine, node.machine).quality = goodQuality
    world.network.path(node.machine, machine).quality = goodQuality
    const id = `writer ${machine.index}`
    const clock = world.clock(id)
    const plan = { id, version: 5, clean: true, topicAliases: 0, keepAliveSec: 0, ackAfterMs: 0, will: false } as const
    const client = new SimClient(plan, clock, streamsOf(world.network, machine, clock), world.ledger)
    client.connect({ node: node.index, run: node.run!.number, endpoint: node.mqtt })
    world.run(500)
    client.publish({ ...wish, qos: 1, properties: noProperties, alias: false })
    world.run(500)
    client.disconnect()
    world.run(100)
  }

  /** What stands at the topic on each box: its length, null: nothing. */
  bytesAt(topic: string): readonly (number | null)[] {
    return this.nodes.map((node) => node.run?.node.retained.payload(topic)?.length ?? null)
  }

  /** The CA that each box stands on. */
  authorities(): readonly (string | null)[] {
    return this.nodes.map((node) => trustOf(node)?.custody.papers?.authority.fingerprint ?? null)
  }

  /** The certificate that each box's listeners show, '' for one that the CA in use has not signed. */
  certificates(): readonly string[] {
    const isSigned = (node: SimNode, certificate: string) => {
      const papers = trustOf(node)?.custody.papers
      const trust = new SimTrust(this.world.notary, this.world.clock('looker'), this.world.dice)
      return papers != null && trust.signedBy(certificate, papers.authority.certificate)
    }
    return this.nodes.map((node) => {
      const file = node.disk.files.get('listener.json')
      if (file === undefined) return ''
      const { certificate } = JSON.parse(file.toString()) as { certificate: string }
      return isSigned(node, certificate) ? certificate : ''
    })
  }

  /** From when to when what each box's listeners show is good. */
  listenerDates(): readonly (readonly [number, number])[] {
    return this.certificates().map((certificate) => {
      const [, from, to] = /from (\d+) until (\d+)/.exec(certificate) ?? []
      return [Number(from), Number(to)]
    })
  }

  linked(): boolean {
    return this.nodes.every((node) => {
      const rows = node.run?.ready === true ? node.members() : []
      return rows.filter((row) => !row.self && row.linked).length === this.nodes.length - 1
    })
  }

  rotate(node: SimNode): void {
    let done = false
    this.world.timeline.after(0, node.run!.clock, 'months.rotate', () => {
      trustOf(node)?.rotate(false, (result) => {
        done = !(result instanceof HostError)
      })
    })
    this.world.run(SETTLED_MS)
    if (!done) this.world.problem('the CA was not replaced')
  }
}

/** One box is away from the first day to `day`: what is wrong when it is back. */
export function away(day: number, build?: Build): readonly string[] {
  const months = new Months(`away until day ${day}`, 3, build)
  const { nodes, world } = months
  const [a, b, c] = nodes as [SimNode, SimNode, SimNode]
  months.on(...nodes)
  months.write(a, 'kept', 10)
  months.write(a, 'gone', 10)
  months.off(a, b)
  months.write(c, 'alone', 10)
  months.sleepUntil(1)
  months.on(a, b)
  months.write(b, 'gone', 0)
  months.rotate(a)
  const before = months.certificates()
  months.sleepUntil(day - 1)
  months.on(a, b)
  world.run(FORGETTING_MS)
  const forgotten = a.status().counters['lww.retained.forgotten'] ?? 0
  months.sleepUntil(day)
  months.on(...nodes)
  world.run(3 * SETTLED_MS)
  const wrong = [...world.problems]
  const say = (what: string, seen: readonly unknown[], wanted: unknown) => {
    if (seen.some((each) => each !== wanted)) wrong.push(`${what}: ${seen.join(', ')}, not ${wanted} on all`)
  }
  if (!months.linked()) wrong.push('not all are linked')
  say('the CA', months.authorities(), months.authorities()[0])
  say('kept', months.bytesAt('kept'), 10)
  say('gone', months.bytesAt('gone'), null)
  if (day < 30) say('alone', months.bytesAt('alone'), 10)
  if (day < 30 && forgotten > 0) wrong.push('a removal was forgotten before its time')
  const after = months.certificates()
  if (after.slice(0, 2).some((each, index) => each !== before[index])) wrong.push('a young certificate was renewed')
  if (after.includes('')) wrong.push('a listener shows a certificate that is not of the CA in use')
  return wrong
}
