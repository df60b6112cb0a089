// A box comes back after a month: switched off all the time, with an old copy of its card put back, or with a blank card.
// What was removed meanwhile was forgotten by all others, and must not rise again; what was not removed must be there.

import { compose } from '../../src/compose.ts'
import { SimClient } from './client.ts'
import { goodQuality } from './network.ts'
import { probe } from './probes.ts'
import { noProperties } from './publish.ts'
import { streamsOf } from './streams.ts'
import { type Build, type SimNode, World } from './world.ts'

const DAY_MS = 86_400_000
const TOPICS = 12
/** For everybody to be linked, from the last start. */
const LINKED_MS = 40_000
/** For a write to be everywhere and on the disks. */
const WRITTEN_MS = 5000
/** Until a box that has just started has forgotten what is old enough. */
const FORGOTTEN_MS = 20 * 60_000
/** For two looks at a difference, and what comes of them. */
const COMPARED_MS = 60_000

type Absence = 'off' | 'old card' | 'blank card'

export interface MonthOutcome {
  readonly problems: readonly string[]
  readonly absence: Absence
  /** Removals that the boxes which stayed had forgotten when it came back. */
  readonly forgotten: number
}

export function simulateReturn(seed: number, build: Build = compose): MonthOutcome {
  const world = new World(`month ${seed}`, build)
  const dice = world.dice.fork('month')
  const absence = dice.pick(['off', 'old card', 'blank card'] as const)
  world.network.defaultQuality = goodQuality
  const { bundle } = world.authority('main')
  // Slow hearts: there is little to see in half an hour of waiting.
  const cluster = {
    heartbeatMs: 5000,
    deadAfterMs: 15_000,
    beacon: { enabled: true, port: 4883, intervalMs: 5000 },
  }
  for (let index = dice.whole(2, 4); index > 0; index--) {
    world.addNode({ machine: world.network.addMachine(0), mqttPort: 1883, cluster, bundle, durability: 'disk' })
  }
  const blank = world.nodes.map((node) => node.disk.copied())
  startAll(world, world.nodes)

  const clients = clientsOf(world)
  const away = dice.pick(world.nodes)
  const others = world.nodes.filter((node) => node !== away)
  const write = (nodes: readonly SimNode[], topic: string, payloadBytes: number): string => {
    const client = clients.get(dice.pick(nodes))!
    const key = world.ledger.sent.length
    client.publish({
      topic,
      qos: 1,
      retain: true,
      payloadBytes,
      properties: noProperties,
      expirySec: null,
      alias: false,
    })
    world.run(50)
    return String(key)
  }
  /** Topic -> the last message of it. */
  const expected = new Map<string, string>()
  const topics = Array.from({ length: TOPICS }, (_, index) => `month/${index}`)
  for (const topic of topics) expected.set(topic, write(world.nodes, topic, 30))
  world.run(WRITTEN_MS)

  const card = away.disk.copied()
  if (absence === 'off') away.powerCut()
  for (const topic of topics) {
    const fate = dice.weighted({ kept: 3, removed: 5, changed: 2 })
    if (fate === 'kept') continue
    const key = write(others, topic, fate === 'removed' ? 0 : 30)
    if (fate === 'removed') expected.delete(topic)
    else expected.set(topic, key)
  }
  world.run(WRITTEN_MS)

  // Nobody computes a month of heartbeats: the building has no power.
  for (const node of world.nodes) node.powerCut()
  world.run(dice.between(31, 60) * DAY_MS)
  startAll(world, others)
  world.run(FORGOTTEN_MS)
  const forgotten = others.map((node) => node.status().counters['lww.retained.forgotten'] ?? 0)
  if (absence === 'old card') card()
  if (absence === 'blank card') blank[away.index]!()
  startAll(world, [away])
  world.run(COMPARED_MS)
  for (const [node, shown] of probe(world, world.nodes)) {
    for (const topic of topics) {
      const got = shown.get(topic)?.key
      const due = expected.get(topic)
      if (due === undefined && got !== undefined) world.problem(`${node.label}: ${topic} has risen again (${absence})`)
      if (due !== undefined && String(got) !== due)
        world.problem(`${node.label} retains ${got ?? 'nothing'} at ${topic}, not message ${due} (${absence})`)
    }
  }
  return { problems: world.problems, absence, forgotten: forgotten.reduce((sum, one) => sum + one, 0) }
}

function startAll(world: World, nodes: readonly SimNode[]): void {
  for (const node of nodes) node.start()
  world.run(LINKED_MS)
  const up = world.nodes.filter((node) => node.up)
  for (const node of up) {
    const links = node.members().filter(({ linked }) => linked).length
    if (links !== up.length - 1) world.problem(`${node.label} is linked with ${links} of ${up.length - 1}`)
  }
}

/** A client at each node, connected. */
function clientsOf(world: World): ReadonlyMap<SimNode, SimClient> {
  const machine = world.network.addMachine(0)
  const clients = new Map<SimNode, SimClient>()
  for (const node of world.nodes) {
    const id = `writer${node.index}`
    const plan = { id, version: 5, clean: true, topicAliases: 0, keepAliveSec: 0, ackAfterMs: 0, will: false } as const
    const clock = world.clock(id)
    const client = new SimClient(plan, clock, streamsOf(world.network, machine, clock), world.ledger)
    client.connect({ node: node.index, run: node.run!.number, endpoint: node.mqtt })
    clients.set(node, client)
  }
  world.run(1000)
  return clients
}
