// Links through a third member, in worlds of their own: where two boxes cannot reach each other and a third reaches both.

import { describe, expect, test } from 'vitest'
import { missingLinks, surplusLinks } from './checkers/links.ts'
import { clusterOf, cut, DEAD_AFTER_MS, simulateRelay } from './relay-story.ts'
import type { Scenario } from './scenario.ts'
import type { SimNode, World } from './world.ts'

function cluster(name: string, count: number): ReturnType<typeof clusterOf> {
  const made = clusterOf(name, count)
  expect(missingLinks({ members: made.nodes } as unknown as Scenario)).toEqual([])
  return made
}

const row = (node: SimNode, of: SimNode) => node.members().find(({ id }) => id === of.id)!
const counted = (node: SimNode, name: string) => node.status().counters[name] ?? 0

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

test.each([1, 2, 3, 4, 5, 6])('seed %i: nobody calls dead whom others are linked with', (seed) => {
  expect(simulateRelay(seed).problems).toEqual([])
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
