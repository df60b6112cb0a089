// Links through a third member, in worlds of their own: where two boxes cannot reach each other and a third reaches both.

import { describe, expect, test } from 'vitest'
import { Vouching } from '../../src/cluster/vouching.ts'
import { compose } from '../../src/compose.ts'
import { missingLinks, surplusLinks } from './checkers/links.ts'
import { MemberWatch } from './checkers/members.ts'
import { patched } from './plants/planting.ts'
import type { Scenario } from './scenario.ts'
import { type SimNode, World } from './world.ts'

const DEAD_AFTER_MS = 5000

function cluster(name: string, count: number): { world: World; nodes: SimNode[] } {
  const world = new World(`relay ${name}`, compose)
  const { bundle } = world.authority('main')
  const nodes = Array.from({ length: count }, (_, index) =>
    world.addNode({
      machine: world.network.addMachine(),
      mqttPort: 1883 + index,
      cluster: { port: 4883 + index, heartbeatMs: 1000, deadAfterMs: DEAD_AFTER_MS },
      bundle,
    }),
  )
  for (const node of nodes) node.start()
  world.run(30_000)
  expect(missingLinks({ members: nodes } as unknown as Scenario)).toEqual([])
  return { world, nodes }
}

const row = (node: SimNode, of: SimNode) => node.members().find(({ id }) => id === of.id)!
const counted = (node: SimNode, name: string) => node.status().counters[name] ?? 0

function cut(world: World, one: SimNode, other: SimNode, bothWays = true): void {
  world.network.cut(one.machine, other.machine)
  if (bothWays) world.network.cut(other.machine, one.machine)
}
function mend(world: World, one: SimNode, other: SimNode): void {
  world.network.mend(one.machine, other.machine)
  world.network.mend(other.machine, one.machine)
}

describe.each([
  ['both ways', true],
  ['one way', false],
])('two of three boxes are cut off from each other, %s', (name, bothWays) => {
  test('they link through the third; when the way is open again, straight, by one stream each', () => {
    const { world, nodes } = cluster(name, 3)
    const [a, b, c] = nodes as [SimNode, SimNode, SimNode]
    cut(world, a, c, bothWays)
    let dead = 0
    for (let second = 0; second < 60; second++) {
      world.run(1000)
      if (row(a, c).state === 'dead' || row(c, a).state === 'dead') dead++
    }
    expect(dead).toBe(0)
    for (const [one, other] of [
      [a, c],
      [c, a],
    ] as const) {
      expect(row(one, other)).toMatchObject({ linked: true, state: 'alive', via: b.id })
      expect(row(one, b)).not.toHaveProperty('via')
    }
    expect(counted(b, 'relay.joined')).toBeGreaterThan(0)
    mend(world, a, c)
    world.run(90_000)
    expect(row(a, c)).toMatchObject({ linked: true, state: 'alive' })
    expect(row(a, c)).not.toHaveProperty('via')
    expect(row(c, a)).not.toHaveProperty('via')
    expect(surplusLinks({ members: nodes } as unknown as Scenario)).toEqual([])
    expect(world.problems).toEqual([])
  })
})

test.each([
  ['who asks others calls nobody dead that they reach', false, []],
  ['the checkers find: "dead" by own evidence only', true, [/n0 calls n2 dead, which others are linked with/]],
])('%s', (_what, planted, found) => {
  const remove = planted ? patched(Vouching.prototype, 'for', () => () => []) : () => {}
  try {
    const { world, nodes } = cluster('evidence', 3)
    const others = { guests: [], foreign: null, waiting: null }
    const scenario = { members: nodes, ...others, heartbeatMs: 1000, deadAfterMs: DEAD_AFTER_MS }
    new MemberWatch(world, scenario as unknown as Scenario).start()
    world.run(20_000)
    cut(world, nodes[0]!, nodes[2]!)
    world.run(20_000)
    expect(world.problems.length > 0).toBe(planted)
    for (const problem of found) expect(world.problems.join()).toMatch(problem)
  } finally {
    remove()
  }
})

test('the relay dies: another takes its place; when there is none, they are dead for each other', () => {
  const { world, nodes } = cluster('death', 4)
  const [a, b, c, d] = nodes as [SimNode, SimNode, SimNode, SimNode]
  cut(world, a, c)
  world.run(20_000)
  const relays = [b, d]
  const first = relays.find(({ id }) => id === row(a, c).via)!
  const second = relays.find((node) => node !== first)!
  first.kill()
  world.run(10_000)
  expect(row(a, c)).toMatchObject({ linked: true, via: second.id })
  second.kill()
  world.run(DEAD_AFTER_MS + 3000)
  expect(row(a, c)).toMatchObject({ linked: false, state: 'dead' })
  expect(row(c, a)).toMatchObject({ linked: false, state: 'dead' })
})

test('a box that dies behind a relay is dead in time for those that it was carried to', () => {
  const { world, nodes } = cluster('end', 3)
  const [a, b, c] = nodes as [SimNode, SimNode, SimNode]
  cut(world, a, c)
  world.run(20_000)
  expect(row(a, c).via).toBe(b.id)
  c.kill()
  world.run(DEAD_AFTER_MS + 2000)
  expect(row(a, c)).toMatchObject({ linked: false, state: 'dead' })
})
