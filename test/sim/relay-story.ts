// A story of boxes that cannot reach each other, for each seed: two of three to five are cut off from one another, both ways
// or one way, while all others reach both. Nobody may call dead whom others are linked with.

import { compose } from '../../src/compose.ts'
import { MemberWatch } from './checkers/members.ts'
import type { Scenario } from './scenario.ts'
import { type Build, type SimNode, World } from './world.ts'

export const DEAD_AFTER_MS = 5000
const HEARTBEAT_MS = 1000

/** Boxes on a good LAN that have found each other. */
export function clusterOf(name: string, count: number, build: Build = compose): { world: World; nodes: SimNode[] } {
  const world = new World(`relay ${name}`, build)
  const { bundle } = world.authority('main')
  const nodes = Array.from({ length: count }, (_, index) =>
    world.addNode({
      machine: world.network.addMachine(),
      mqttPort: 1883 + index,
      cluster: { port: 4883 + index, heartbeatMs: HEARTBEAT_MS, deadAfterMs: DEAD_AFTER_MS },
      bundle,
    }),
  )
  for (const node of nodes) node.start()
  world.run(30_000)
  return { world, nodes }
}

export function cut(world: World, one: SimNode, other: SimNode, bothWays = true): void {
  world.network.cut(one.machine, other.machine)
  if (bothWays) world.network.cut(other.machine, one.machine)
}

export function simulateRelay(seed: number, build: Build = compose): { readonly problems: readonly string[] } {
  const count = 3 + (seed % 3)
  const { world, nodes } = clusterOf(`${seed}`, count, build)
  const others = { guests: [], foreign: null, waiting: null }
  const scenario = { members: nodes, ...others, heartbeatMs: HEARTBEAT_MS, deadAfterMs: DEAD_AFTER_MS }
  new MemberWatch(world, scenario as unknown as Scenario).start()
  world.run(20_000)
  const [one, other] = world.dice.fork('story').shuffle(nodes)
  cut(world, one!, other!, world.dice.fork('ways').chance(0.5))
  world.run(20_000)
  return { problems: world.problems }
}
