// How the cluster grows, in the simulator: the time to a full mesh and what an idle node sends and costs, with many
// nodes; memory and the time to bring a new node up to date, with many routes. Virtual times are exact and the same
// everywhere; times of the processor are those of this machine.
//
//   npm run scale -- --nodes 64
//   npm run scale -- --routes 1000000

import { parseArgs } from 'node:util'
import { generate } from 'mqtt-packet'
import { HostError } from '../../src/base/errors.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import { defaultClusterSettings } from '../../src/cluster/settings.ts'
import { compose } from '../../src/compose.ts'
import { goodQuality } from './network.ts'
import { Pipe } from './stream.ts'
import { streamsOf } from './streams.ts'
import { type SimNode, World } from './world.ts'

const { values } = parseArgs({ options: { nodes: { type: 'string' }, routes: { type: 'string' } } })

const STEP_MS = 50
const MESH_WITHIN_MS = 300_000
const IDLE_MS = 120_000
const FILTERS_PER_PACKET = 500
const FILTERS_PER_CLIENT = 50_000

const print = (what: string, value: number, unit: string, digits = 1): void =>
  console.log(`${what.padEnd(58)} ${value.toFixed(digits).padStart(12)} ${unit}`)

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Bytes in use, after everything that is not has been collected. */
function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error('to be run with --expose-gc')
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Counts what passes between machines. */
const traffic = { bytes: 0, writes: 0 }
const push = Pipe.prototype.push
Pipe.prototype.push = function (this: Pipe, bytes) {
  traffic.bytes += bytes?.length ?? 0
  traffic.writes++
  push.call(this, bytes)
}

function makeWorld(name: string, count: number): World {
  const world = new World(name, compose)
  world.network.defaultQuality = goodQuality
  const { bundle } = world.authority('main')
  for (let index = 0; index < count; index++) {
    const cluster = { ...defaultClusterSettings, nodeName: `n${index}` }
    world.addNode({ machine: world.network.addMachine(0), mqttPort: 1883, cluster, bundle, durability: 'disk' })
  }
  return world
}

function runUntil(world: World, what: string, isSo: () => boolean): void {
  const deadline = world.now + MESH_WITHIN_MS
  while (!isSo()) {
    if (world.now > deadline || world.problems.length > 0) {
      console.error(`${what}: not within ${MESH_WITHIN_MS / 1000} s. ${world.problems.join('; ')}`)
      process.exit(1)
    }
    world.run(STEP_MS)
  }
}

const links = (node: SimNode): number => node.members().filter(({ linked }) => linked).length

function mesh(count: number): void {
  const before = heapBytes()
  const world = makeWorld(`mesh of ${count}`, count)
  const dice = world.dice.fork('starts')
  for (const node of world.nodes) world.timeline.after(dice.between(0, 2000), null, 'start', () => node.start())
  const beganCpu = cpuMs()
  world.run(2000)
  const started = world.now
  runUntil(world, 'full mesh', () => world.nodes.every((node) => links(node) === count - 1))
  print(`${count} nodes, all linked after the last start`, (world.now - started) / 1000, 's')
  print('  bytes between the nodes until then, for each node', traffic.bytes / count / 1024, 'KiB')
  print('  CPU until then, for each node', (cpuMs() - beganCpu) / count, 'ms')
  world.run(30_000)
  print('  memory of a node, its share of the simulator included', (heapBytes() - before) / count / 1024, 'KiB')
  const [bytes, writes, events, cpu] = [traffic.bytes, traffic.writes, world.timeline.events, cpuMs()]
  world.run(IDLE_MS)
  const seconds = (IDLE_MS / 1000) * count
  print('  idle: sent over links by a node', (traffic.bytes - bytes) / seconds, 'bytes/s')
  print('  idle: writes of a node', (traffic.writes - writes) / seconds, '/s')
  print('  idle: events of a node', (world.timeline.events - events) / seconds, '/s')
  print('  idle: CPU of a node, TLS and kernel not included', (100 * (cpuMs() - cpu)) / 1000 / seconds, '%', 3)
  const [gone] = world.nodes
  gone!.powerCut()
  const cutAt = world.now
  const dead = (node: SimNode) => node.members().some(({ id, state }) => id === gone!.id && state === 'dead')
  runUntil(world, 'a death', () => world.nodes.every((node) => node === gone || dead(node)))
  print('  a node without power is dead for all after', (world.now - cutAt) / 1000, 's')
  const backAt = world.now
  gone!.start()
  runUntil(world, 'a return', () => world.nodes.every((node) => links(node) === count - 1))
  print('  and linked with all after its return', (world.now - backAt) / 1000, 's')
  for (const problem of world.problems) console.error(problem)
}

/** A client that only subscribes. */
function subscriber(world: World, node: SimNode, name: string, filters: readonly string[], done: () => void): void {
  const machine = world.network.machines.at(-1)!
  const clock = world.clock(name)
  let waiting = Math.ceil(filters.length / FILTERS_PER_PACKET)
  const speak = (stream: ByteStream): void => {
    let at = 0
    const next = (): void => {
      const subscriptions = filters.slice(at, at + FILTERS_PER_PACKET).map((topic) => ({ topic, qos: 0 as const }))
      at += FILTERS_PER_PACKET
      if (subscriptions.length > 0) stream.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }))
    }
    stream.open({
      received: (buffer, start) => {
        if (buffer[start] === 0x20) return next()
        if (buffer[start] !== 0x90) throw new Error(`${name} received packet ${buffer[start]}`)
        if (--waiting === 0) done()
        next()
      },
      drained: () => {},
      closed: (why) => world.problem(`${name} is disconnected: ${why}`),
    })
    stream.write(
      generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: name, clean: true, keepalive: 0 }),
    )
  }
  streamsOf(world.network, machine, clock).dial(node.mqtt, 5000, (result) => {
    if (result instanceof HostError) throw result
    speak(result)
  })
}

function routes(count: number): void {
  const world = makeWorld(`${count} routes`, 3)
  const [owner, first, second] = world.nodes as [SimNode, SimNode, SimNode]
  world.network.addMachine(0)
  world.network.splitting = 0
  owner.start()
  runUntil(world, 'a start', () => owner.members().length > 0)
  world.run(10_000)
  const before = heapBytes()
  const cpuBefore = cpuMs()
  let left = 0
  for (let from = 0; from < count; from += FILTERS_PER_CLIENT) {
    const length = Math.min(FILTERS_PER_CLIENT, count - from)
    const filters = Array.from({ length }, (_, index) => `site/${(from + index) % 1000}/device/${from + index}/state`)
    left++
    subscriber(world, owner, `c${from}`, filters, () => left--)
  }
  runUntil(world, 'subscriptions', () => left === 0)
  const own = heapBytes()
  print(`${count} subscriptions: memory of each, its own route included`, (own - before) / count, 'bytes')
  print('  CPU for each', ((cpuMs() - cpuBefore) * 1000) / count, 'us')
  for (const [node, name] of [
    [first, 'a new node'],
    [second, 'another one'],
  ] as const) {
    const [heap, cpu, bytes] = [heapBytes(), cpuMs(), traffic.bytes]
    node.start()
    runUntil(world, 'a link', () => links(owner) > 0 && links(node) > 0)
    const linkedAt = world.now
    runUntil(world, 'all routes', () => node.status().routes === count)
    print(`${name} has all routes after its link, virtual`, (world.now - linkedAt) / 1000, 's')
    print('  CPU for it, of both together', (cpuMs() - cpu) / 1000, 's')
    print('  bytes for each route on the way', (traffic.bytes - bytes) / count, 'bytes')
    print('  memory for each route at the follower', (heapBytes() - heap) / count, 'bytes')
  }
  for (const problem of world.problems) console.error(problem)
}

if (values.nodes !== undefined) mesh(Number(values.nodes))
if (values.routes !== undefined) routes(Number(values.routes))
