// A box is out of reach, and another parks what is published for its sessions; then that one dies: for good, for a while, or
// to begin anew with an empty memory. What it had acknowledged reaches the sessions all the same, because it stood at a
// second box; and not twice, when the one that had parked it comes back.

import { compose } from '../../src/compose.ts'
import { goodQuality } from './network.ts'
import { connected } from './power-story.ts'
import { noProperties } from './publish.ts'
import { type Build, type SimNode, World } from './world.ts'

/** For everybody to be linked, from the last start. */
const LINKED_MS = 20_000
/** For a box to be dead for all others, and its sessions to be kept going. */
const DEAD_MS = 10_000
/** For what a box had parked that is gone to be parked elsewhere, and to come. */
const TAKEN_OVER_MS = 40_000
const ACKNOWLEDGED_MS = 4000
const MESSAGES = 30

type End = 'gone for good' | 'back after all' | 'back before the member'

export interface ParkOutcome {
  readonly problems: readonly string[]
  readonly end: End
  /** Messages that the second box has parked in place of the first. */
  readonly takenOver: number
}

export function simulateParking(seed: number, build: Build = compose): ParkOutcome {
  const world = new World(`park ${seed}`, build)
  const dice = world.dice.fork('park')
  world.network.defaultQuality = goodQuality
  const { bundle } = world.authority('main')
  const durability = dice.pick(['disk', 'memory'] as const)
  for (let index = dice.whole(3, 4); index > 0; index--) {
    world.addNode({ machine: world.network.addMachine(0), mqttPort: 1883, cluster: {}, bundle, durability })
  }
  for (const node of world.nodes) node.start()
  world.run(LINKED_MS)
  const [away, parking, ...others] = dice.shuffle(world.nodes) as [SimNode, SimNode, ...SimNode[]]
  const { client: subscriber } = connected(world, away, 'subscriber', false)
  world.run(1000)
  subscriber.subscribe([{ filter: 'home/#', qos: 2, noLocal: false, retainAsPublished: false, id: null }])
  world.run(3000)

  // Some have parked for another box before, with this one for their second.
  if (dice.chance(0.5)) {
    const { client } = connected(world, others[0]!, 'other', false)
    world.run(1000)
    client.subscribe([{ filter: 'early', qos: 1, noLocal: false, retainAsPublished: false, id: null }])
    world.run(3000)
    for (const node of [away, parking]) cutOff(world, others[0]!, node)
    world.run(DEAD_MS)
    const { client: early } = connected(world, parking, 'early', true)
    world.run(1000)
    const rest = { retain: false, payloadBytes: 30, properties: noProperties, expirySec: null, alias: false }
    early.publish({ topic: 'early', qos: 1, ...rest })
    world.run(ACKNOWLEDGED_MS)
    for (const node of [away, parking]) reachAgain(world, others[0]!, node)
    world.run(LINKED_MS)
  }
  const stays = dice.chance(0.5)
  if (!stays) subscriber.disconnect()
  for (const node of [parking, ...others]) cutOff(world, away, node)
  if (dice.chance(0.8)) world.run(DEAD_MS)
  const { client: publisher } = connected(world, parking, 'publisher', true)
  world.run(1000)
  for (let count = 0; count < MESSAGES; count++) {
    const [topic, qos] = [`home/${dice.whole(1, 3)}`, dice.pick([1, 2] as const)]
    const rest = { retain: false, payloadBytes: 30, properties: noProperties, expirySec: null, alias: false }
    publisher.publish({ topic, qos, ...rest })
    world.run(dice.pick([0, 0, 100]))
  }
  world.run(ACKNOWLEDGED_MS)
  for (const { key, ackedAt } of world.ledger.sent)
    if (ackedAt === null) world.problem(`message ${key} was not acknowledged`)

  parking.kill()
  const end = dice.pick(['gone for good', 'back after all', 'back before the member'] as const)
  if (end === 'back before the member') {
    world.run(dice.pick([500, 20_000, TAKEN_OVER_MS]))
    parking.start()
    world.run(dice.pick([0, LINKED_MS]))
  }
  for (const node of [parking, ...others]) reachAgain(world, away, node)
  world.run(TAKEN_OVER_MS)
  if (end === 'back after all') parking.start()
  if (!subscriber.connected) subscriber.connect({ node: away.index, run: away.run!.number, endpoint: away.mqtt })
  world.run(TAKEN_OVER_MS)
  judge(world)
  const takenOver = others.map((node) => node.status().counters['park.taken-over'] ?? 0)
  return { problems: world.problems, end, takenOver: takenOver.reduce((sum, one) => sum + one, 0) }
}

function cutOff(world: World, a: SimNode, b: SimNode): void {
  world.network.cut(a.machine, b.machine)
  world.network.cut(b.machine, a.machine)
}

function reachAgain(world: World, a: SimNode, b: SimNode): void {
  world.network.mend(a.machine, b.machine)
  world.network.mend(b.machine, a.machine)
}

function judge(world: World): void {
  const { sent, received } = world.ledger
  for (const { key, qos, topic } of sent) {
    if (topic === 'early') continue
    const times = received.filter((one) => one.key === key && one.connection.client === 'subscriber').length
    if (times === 0) world.problem(`message ${key} (QoS ${qos}) is lost`)
    if (times > 1 && qos === 2) world.problem(`message ${key} (QoS 2) came ${times} times`)
  }
}
