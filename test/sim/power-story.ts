// The power of the whole building goes, with all boxes. One comes back first, alone and for longer than anybody waits for
// the others by guess; clients publish there; then the others come. What was acknowledged reaches every persistent
// session that had its SUBACK before, wherever that was: whoever is alone knows for whom it parks.

import { compose } from '../../src/compose.ts'
import { SimClient } from './client.ts'
import type { Connection, Sent } from './ledger.ts'
import { goodQuality } from './network.ts'
import { noProperties } from './publish.ts'
import { streamsOf } from './streams.ts'
import { type Build, type SimNode, World } from './world.ts'

/** For everybody to be linked, from the last start. */
const LINKED_MS = 20_000
/** For what was parked to be handed over, and what follows from the directory. */
const BACK_MS = 40_000
const ACKNOWLEDGED_MS = 4000
const MESSAGES = 20

export interface PowerOutcome {
  readonly problems: readonly string[]
  /** Messages and sessions judged. */
  readonly due: number
}

export function simulatePowerCut(seed: number, build: Build = compose): PowerOutcome {
  const world = new World(`power ${seed}`, build)
  const dice = world.dice.fork('power')
  world.network.defaultQuality = goodQuality
  const { bundle } = world.authority('main')
  for (let index = dice.whole(2, 4); index > 0; index--) {
    const node = {
      machine: world.network.addMachine(0),
      mqttPort: 1883,
      cluster: {},
      bundle,
      durability: 'disk',
    } as const
    // One flush in fifty takes 25 times as long: within what a SUBACK waits for another box's disk.
    world.addNode(node).disk.store.flushMs = dice.pick([2, 75])
  }
  for (const node of world.nodes) node.start()
  world.run(LINKED_MS)

  const subscribers = world.nodes.map((node) => connected(world, node, `sub${node.index}`, false))
  world.run(1000)
  const powerCut = () => {
    for (const node of world.nodes) node.powerCut()
    for (const { client } of subscribers) client.drop()
  }
  // Some have their SUBACK when the power goes: as it comes, or a while later.
  const enough = dice.whole(1, subscribers.length)
  let granted = 0
  for (const { client, node } of subscribers) {
    client.onGranted = () => {
      if (++granted !== enough) return
      world.timeline.after(dice.chance(0.7) ? 0 : dice.between(0, 3000), null, 'power', powerCut)
    }
    const filter = dice.pick([`home/${node.index}`, 'home/+', '#'])
    client.subscribe([{ filter, qos: 1, noLocal: false, retainAsPublished: false, id: null }])
    world.run(dice.pick([0, 0, 5, 500]))
  }
  world.run(10_000)
  if (granted < enough) world.problem(`only ${granted} of ${enough} have their SUBACK`)

  // One is alone.
  const first = dice.pick(world.nodes)
  first.start()
  world.run(dice.between(35_000, 90_000))
  if (dice.chance(0.3)) {
    first.powerCut()
    first.start()
    world.run(dice.between(1000, 60_000))
  }
  const { client: publisher } = connected(world, first, 'publisher', true)
  world.run(1000)
  for (let count = 0; count < MESSAGES; count++) {
    const topic = `home/${dice.pick(world.nodes).index}`
    const qos = dice.pick([1, 1, 2] as const)
    publisher.publish({
      topic,
      qos,
      retain: false,
      payloadBytes: 30,
      properties: noProperties,
      expirySec: null,
      alias: false,
    })
    world.run(dice.pick([0, 0, 300]))
  }
  world.run(ACKNOWLEDGED_MS)
  for (const sent of world.ledger.sent)
    if (sent.ackedAt === null) world.problem(`message ${sent.key} was not acknowledged`)
  if (dice.chance(0.3)) {
    first.powerCut()
    world.run(5000)
    first.start()
  }

  for (const node of dice.shuffle(world.nodes)) {
    if (node !== first) node.start()
    world.run(dice.pick([0, 3000, 20_000]))
  }
  world.run(BACK_MS)
  for (const { client, node } of subscribers) {
    const at = dice.chance(0.7) ? node : dice.pick(world.nodes)
    client.connect({ node: at.index, run: at.run!.number, endpoint: at.mqtt })
  }
  world.run(BACK_MS)
  return { problems: world.problems, due: judge(world) }
}

interface Connected {
  readonly client: SimClient
  readonly node: SimNode
}

/** A client of its own machine, about to be connected. */
export function connected(world: World, node: SimNode, id: string, clean: boolean): Connected {
  const plan = { id, version: 5, clean, topicAliases: 0, keepAliveSec: 0, ackAfterMs: 0, will: false } as const
  const clock = world.clock(id)
  const client = new SimClient(plan, clock, streamsOf(world.network, world.network.addMachine(0), clock), world.ledger)
  client.connect({ node: node.index, run: node.run!.number, endpoint: node.mqtt })
  return { client, node }
}

/** Every session is there, and has everything that it wants; returns how much that was. */
function judge(world: World): number {
  const { sent, subscriptions, received, connections } = world.ledger
  let due = 0
  for (const one of subscriptions) {
    if (one.grantedAt === null) continue
    const id = one.client
    const last = connections.findLast((connection: Connection) => connection.client === id)
    if (last?.sessionPresent !== true) world.problem(`the session of ${id} was gone`)
    const got = new Set(received.filter(({ connection }) => connection.client === id).map(({ key }) => key))
    const wanted = sent.filter(
      ({ topic }: Sent) => one.filter === '#' || one.filter === 'home/+' || one.filter === topic,
    )
    due += wanted.length
    const lost = wanted.filter(({ key }) => !got.has(key))
    if (lost.length > 0) world.problem(`${lost.length} of ${wanted.length} messages are lost to ${id} (${one.filter})`)
  }
  return due
}
