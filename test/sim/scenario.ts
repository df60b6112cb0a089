// What kind of world a seed makes: how many nodes, on which machines and subnets, how they find each other, and who
// else lives on the LAN.

import type { ClusterId } from '../../src/base/ids.ts'
import { Guest, PASSWORD, WAYS } from './guests.ts'
import type { Quality } from './network.ts'
import type { Promises } from './promises.ts'
import type { Dice } from './random.ts'
import type { SimNode, World } from './world.ts'

export interface Scenario {
  readonly discovery: 'beacon' | 'mdns' | 'both'
  readonly subnets: 1 | 2
  readonly intervalMs: number
  readonly heartbeatMs: number
  readonly deadAfterMs: number
  /** When it counts. */
  readonly willAfterMs: number | null
  readonly quality: Quality
  /** Whether what the nodes have promised outlives them. */
  readonly durability: 'disk' | 'memory'
  /** The nodes of the one cluster. */
  readonly members: readonly SimNode[]
  readonly cluster: ClusterId
  /** A node of another cluster on the same LAN. */
  readonly foreign: SimNode | null
  /** Boxes that come while the story goes on. */
  readonly guests: readonly Guest[]
  /** A node without certificate, which hears the cluster and waits. */
  readonly waiting: SimNode | null
  /** From the last start until every pair is linked, on an undisturbed LAN. */
  readonly firstLinksMs: number
  /** From the end of all faults until every pair is linked: backoff has its cap, silence its limit. */
  readonly againMs: number
}

const BACKOFF_CAP_MS = 30_000

export function drawScenario(world: World, dice: Dice, promises: Promises): Scenario {
  const count = Number(dice.weighted({ '2': 30, '3': 40, '4': 20, '5': 10 }))
  const discovery = dice.weighted({ beacon: 35, mdns: 30, both: 35 })
  const subnets = count >= 3 && dice.chance(0.15) ? 2 : 1
  const intervalMs = dice.pick([1000, 2000, 5000])
  const heartbeatMs = dice.pick([500, 1000])
  const deadAfterMs = dice.pick([3, 5]) * heartbeatMs
  const quality = drawQuality(dice)
  world.network.defaultQuality = quality
  world.network.sendBufferBytes = dice.pick([16 * 1024, 64 * 1024, 256 * 1024])
  world.network.splitting = dice.pick([0, 0.02, 0.2])
  const { id, bundle } = world.authority('main')
  const disks = dice.fork('disks')
  const durability = disks.chance(0.7) ? 'disk' : 'memory'
  // The default would be longer than any story.
  const willAfterMs = promises.has('lastwords') ? dice.fork('wills').pick([500, 2000]) : null
  const common = {
    ...(willAfterMs === null ? {} : { willAfterMs }),
    heartbeatMs,
    deadAfterMs,
    beacon: { enabled: discovery !== 'mdns', port: 4883, intervalMs },
    mdns: { enabled: discovery !== 'beacon' },
    // In some worlds what waits for a member that is cut off soon is too much.
    ...(dice.chance(0.3)
      ? { linkQueue: { maxMessages: 100, maxBytes: 65_536, whenFull: 'drop-oldest' as const } }
      : {}),
  }
  const coming = dice.fork('guests')
  const ways = Array.from({ length: Number(coming.weighted({ '0': 75, '1': 18, '2': 7 })) }, () =>
    coming.weighted(WAYS),
  )
  const password = ways.includes('password') ? { password: PASSWORD } : {}
  const members: SimNode[] = []
  for (let index = 0; index < count; index++) {
    const subnet = subnets === 2 && index >= count / 2 ? 1 : 0
    const sameHost = index > 0 && subnets === 1 && dice.chance(0.15)
    const machine = sameHost ? members[index - 1]!.machine : world.network.addMachine(subnet)
    // One box of the first subnet knows one of the second by name: that is all that joins them.
    const peers = subnets === 2 && index === 0 ? [{ address: 'far.example', port: 4883 + Math.ceil(count / 2) }] : []
    const cluster = { ...common, ...password, peers, port: 4883 + index }
    const node = world.addNode({ machine, mqttPort: 1883 + index, cluster, bundle, durability })
    node.disk.store.flushMs = disks.pick([1, 4, 8, 20, 100])
    node.disk.store.lingering = disks.pick([0, 0, 3, 50])
    if (subnet === 1 && members.every((one) => one.machine.subnet === 0)) world.network.name('far.example', machine)
    members.push(node)
  }
  let foreign: SimNode | null = null
  if (dice.chance(0.15)) {
    const machine = dice.chance(0.3) ? members[0]!.machine : world.network.addMachine(0)
    const other = world.authority('foreign').bundle
    foreign = world.addNode({ machine, mqttPort: 1890, cluster: { ...common, port: 4890 }, bundle: other })
  }
  let waiting: SimNode | null = null
  if (dice.chance(0.12)) {
    const machine = world.network.addMachine(0)
    waiting = world.addNode({ machine, mqttPort: 1891, cluster: { ...common, port: 4891 }, bundle: null })
  }
  const guests = ways.map((way, index) => {
    const cluster = { ...common, ...(way === 'password' ? password : {}), port: 4900 + index }
    const machine = world.network.addMachine(0)
    const plan = {
      machine,
      mqttPort: 1900 + index,
      cluster,
      durability,
      bundle: way === 'bundle' ? bundle : null,
    } as const
    return new Guest(world, world.addNode(plan), way, members)
  })
  const heardMs = Math.max(discovery === 'beacon' ? 0 : 10_000, discovery === 'mdns' ? 0 : 2 * intervalMs)
  const slackMs = 1500 + (subnets === 2 ? 10_000 : 0) + (quality.loss > 0 ? 2 * heardMs : 0)
  return {
    discovery,
    subnets,
    intervalMs,
    heartbeatMs,
    deadAfterMs,
    willAfterMs,
    quality,
    durability,
    members,
    cluster: id,
    foreign,
    guests,
    waiting,
    firstLinksMs: heardMs + slackMs,
    againMs: heardMs + slackMs + deadAfterMs + BACKOFF_CAP_MS,
  }
}

/** The LAN's everyday state: never so bad that a heartbeat is missed. */
function drawQuality(dice: Dice): Quality {
  const kind = dice.weighted({ wire: 50, radio: 35, slow: 15 })
  if (kind === 'wire') return { delayMs: 0.3, jitterMs: 0.5, loss: 0, duplicate: 0 }
  if (kind === 'radio') return { delayMs: 1, jitterMs: 8, loss: dice.pick([0, 0.005]), duplicate: 0.01 }
  return { delayMs: dice.between(5, 40), jitterMs: 20, loss: 0, duplicate: 0.02 }
}

/** The scenario in one line, for the report of a failing seed. */
export function describe(scenario: Scenario): string {
  const { members, discovery, subnets, intervalMs, heartbeatMs, deadAfterMs, quality, foreign, guests, waiting } =
    scenario
  const flushes = members.map((node) => node.disk.store.flushMs).join(', ')
  const machines = new Set(members.map((node) => node.machine)).size
  return [
    `${members.length} nodes on ${machines} machines in ${subnets} subnets by ${discovery}`,
    `beacon ${intervalMs} ms, heartbeat ${heartbeatMs} ms, dead after ${deadAfterMs} ms`,
    `delay ${quality.delayMs.toFixed(1)}+${quality.jitterMs} ms, loss ${quality.loss}`,
    scenario.durability === 'disk' ? `disks that flush in up to ${flushes} ms` : 'no disks',
    ...(foreign === null ? [] : ['a foreign node']),
    ...(waiting === null ? [] : ['a waiting node']),
    ...guests.map(({ way }) => `a guest by ${way}`),
  ].join('; ')
}
