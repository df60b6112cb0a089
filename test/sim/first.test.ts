// First setup and copied cards, in worlds of their own: what the storms leave out.

import { describe, expect, test } from 'vitest'
import { compose } from '../../src/compose.ts'
import { type NodePlan, type SimNode, World } from './world.ts'

const SEEDS = Array.from({ length: 25 }, (_, index) => index)

function freshNode(world: World, index: number, machine = world.network.addMachine()): SimNode {
  const cluster = { port: 4883 + index, heartbeatMs: 1000, deadAfterMs: 5000 }
  return world.addNode({ machine, mqttPort: 1883 + index, cluster, bundle: null })
}

const stateOf = (node: SimNode) => node.status().cluster.state

describe('boxes without a bundle', () => {
  test.each(SEEDS)('one of those that start at different times makes the CA, the others wait (seed %i)', (seed) => {
    const world = new World(`fresh ${seed}`, compose)
    const dice = world.dice.fork('starts')
    const nodes = [0, 1, 2].map((index) => freshNode(world, index))
    for (const [index, node] of nodes.entries()) {
      world.timeline.after(index * 2500 + dice.between(0, 1000), null, 'start', () => node.start())
    }
    world.run(60_000)
    expect(world.problems).toEqual([])
    expect(nodes.map(stateOf).sort()).toEqual(['alone', 'waiting', 'waiting'])
    const cluster = nodes.find((node) => stateOf(node) === 'alone')!
    for (const node of nodes) {
      expect(node.status().cluster.members.filter((member) => !member.self)).toEqual([])
      if (node !== cluster) expect(node.status().problems.join()).toContain('waiting to be let in')
    }
  })

  test('a lone box makes its cluster after listening, keeps it over a restart, and serves all the time', () => {
    const world = new World('lone', compose)
    const node = freshNode(world, 0)
    node.start()
    world.run(1000)
    expect([node.run?.ready, node.status().cluster.id]).toEqual([true, null])
    world.run(15_000)
    const { id } = node.status().cluster
    expect([stateOf(node), id?.length]).toEqual(['alone', 16])
    const before = node.id
    node.kill()
    node.start()
    world.run(1000)
    expect([stateOf(node), node.status().cluster.id, node.id]).toEqual(['alone', id, before])
  })
})

describe('a copied card', () => {
  const nameless = { machineId: '', boardSerial: '', firstMac: '' }

  /** A node that has run, and one in another box that starts with a copy of its card. */
  function copied(world: World, hardware: Pick<NodePlan, 'hardware'>): readonly [SimNode, SimNode] {
    const { bundle } = world.authority('main')
    const plan = () => ({ machine: world.network.addMachine(), mqttPort: 1883, cluster: {}, bundle, ...hardware })
    const [one, copy] = [world.addNode(plan()), world.addNode(plan())]
    one.start()
    world.run(5000)
    for (const [name, bytes] of one.disk.files) copy.disk.files.set(name, Buffer.from(bytes))
    copy.start()
    return [one, copy]
  }

  function expectTwoLinkedNodes(world: World, one: SimNode, copy: SimNode): void {
    expect(world.problems).toEqual([])
    const ids = [one.status().node.id, copy.status().node.id]
    expect(ids[1]).not.toBe(ids[0])
    for (const [index, node] of [one, copy].entries()) {
      const member = node.status().cluster.members.find(({ id }) => id === ids[1 - index])
      expect(member).toMatchObject({ linked: true, state: 'alive' })
    }
  }

  test.each(SEEDS)('is another node before anything is sent, where the hardware tells (seed %i)', (seed) => {
    const world = new World(`copied ${seed}`, compose)
    const [one, copy] = copied(world, {})
    const before = one.id
    world.run(200)
    expect(copy.status().node.id).not.toBe(before)
    world.run(15_000)
    expect(one.id).toBe(before)
    expectTwoLinkedNodes(world, one, copy)
  })

  test.each(SEEDS)('gives way when it meets the first, where the hardware does not tell (seed %i)', (seed) => {
    const world = new World(`twins ${seed}`, compose)
    const [one, copy] = copied(world, { hardware: nameless })
    const before = one.id
    world.run(40_000)
    expect(one.status().node.id).toBe(before)
    expectTwoLinkedNodes(world, one, copy)
  })
})
