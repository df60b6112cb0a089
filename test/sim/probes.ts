// Clients of nobody's that look at every node at rest: what is retained there, as any subscriber would be told.

import { SimClient } from './client.ts'
import type { Received } from './ledger.ts'
import { goodQuality } from './network.ts'
import { streamsOf } from './streams.ts'
import type { SimNode, World } from './world.ts'

/** To connect, and for everything retained to come. */
const CONNECTED_MS = 400
const TOLD_MS = 1500
const GONE_MS = 300

/** Topic -> what is retained there. */
export type Shown = ReadonlyMap<string, Received>

/** Lets the world go on for a while; returns what each node showed. */
export function probe(world: World, nodes: readonly SimNode[]): ReadonlyMap<SimNode, Shown> {
  const machine = world.network.addMachine(0)
  const probes = nodes.map((node) => {
    for (const [from, to] of [
      [machine, node.machine],
      [node.machine, machine],
    ] as const) {
      world.network.path(from, to).quality = goodQuality
    }
    const id = `probe${node.index}`
    const clock = world.clock(id)
    const plan = { id, version: 5, clean: true, topicAliases: 0, keepAliveSec: 0, ackAfterMs: 0, will: false } as const
    const client = new SimClient(plan, clock, streamsOf(world.network, machine, clock), world.ledger)
    client.connect({ node: node.index, run: node.run!.number, endpoint: node.mqtt })
    return { node, client }
  })
  world.run(CONNECTED_MS)
  const first = world.ledger.received.length
  for (const { node, client } of probes) {
    if (!client.connected) world.problem(`at rest: nobody can connect to ${node.label}`)
    client.subscribe([{ filter: '#', qos: 1, noLocal: false, retainAsPublished: false, id: null }])
  }
  world.run(TOLD_MS)
  const shown = new Map<SimNode, Shown>()
  for (const { node, client } of probes) {
    const got = world.ledger.received.slice(first).filter((one) => one.connection === client.connection)
    shown.set(node, new Map(got.filter(({ fields }) => fields.retain).map((one) => [one.topic, one])))
    client.disconnect()
  }
  world.run(GONE_MS)
  return shown
}
