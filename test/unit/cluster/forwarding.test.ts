import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { ClusterPeers, Forwarding } from '../../../src/cluster/forwarding.ts'
import { Routes } from '../../../src/cluster/routes.ts'
import { EMPTY, type Message, type QoS } from '../../../src/wire/message.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const bounds = { maxMessages: 1000, maxBytes: 10_000_000, whenFull: 'drop-oldest' as const }

function member(mesh: Mesh, id: NodeId, linkQueue = bounds) {
  const node = mesh.start(id)
  const got: Message[] = []
  const routes = new Routes(node.world, node, node, node.stamps)
  const local = {
    deliverFromPeer: (message: Message) => {
      // Bytes are valid during the call only.
      got.push({ ...message, payload: Buffer.from(message.payload), properties: Buffer.from(message.properties) })
      return 1
    },
  }
  const forwarding = new Forwarding(node.world, node, node, routes, linkQueue, () => local)
  return { node, meter: node.meter, routes, forwarding, peers: new ClusterPeers(routes, forwarding), got }
}

let counter = 0
const message = (topic: string, payload: string | Buffer, qos: QoS = 0, rest: Partial<Message> = {}): Message => ({
  origin: { node: A, incarnation: 7 },
  counter: qos === 0 ? 0 : ++counter,
  topic,
  qos,
  retain: false,
  payload: Buffer.from(payload),
  properties: EMPTY,
  expiresAt: Number.POSITIVE_INFINITY,
  publisher: 'publisher' as ClientId,
  stamp: null,
  ...rest,
})

const payloads = (messages: readonly Message[]) => messages.map((each) => each.payload.toString())

function three(linkQueue = bounds) {
  const mesh = new Mesh()
  const [a, b, c] = [member(mesh, A, linkQueue), member(mesh, B, linkQueue), member(mesh, C, linkQueue)]
  mesh.link(A, B)
  mesh.link(A, C)
  mesh.link(B, C)
  mesh.clock.advance(100)
  return { mesh, a, b, c }
}

test('a publish goes once to each member with a match, whole and as it was, and is never sent on', () => {
  const { mesh, a, b, c } = three()
  b.peers.wanted('x/+', () => {})
  b.peers.wanted('x/#', () => {})
  c.peers.wanted('x/1', () => {})
  a.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  expect(a.peers.interested('x/1')).toBe(true)
  expect(a.peers.interested('y')).toBe(false)
  const properties = Buffer.from('26000161000131', 'hex')
  const sent = message('x/1', 'hello', 1, { retain: true, properties, expiresAt: mesh.clock.now() + 5000 })
  expect(a.peers.forward(sent)).toBe(2)
  expect(a.peers.forward(message('y', 'nobody'))).toBe(0)
  mesh.clock.advance(100)
  expect(b.got).toEqual([{ ...sent, expiresAt: expect.any(Number) }])
  expect(c.got).toEqual(b.got)
  expect(b.got[0]!.expiresAt).toBeGreaterThan(mesh.clock.now() + 4500)
  expect(a.got).toEqual([])
})

test('a retained message goes to every member, once, and to those with a match it counts', () => {
  const { mesh, a, b, c } = three()
  b.peers.wanted('x/+', () => {})
  mesh.clock.advance(100)
  const stamped = (topic: string) => message(topic, 'hello', 1, { retain: true, stamp: a.node.stamps.next() })
  const wanted = stamped('x/1')
  expect(a.peers.forward(wanted)).toBe(1)
  const unwanted = stamped('y')
  expect(a.peers.forward(unwanted)).toBe(0)
  mesh.cut(A, C)
  a.peers.forward(stamped('z'))
  mesh.clock.advance(100)
  expect(b.got.map(({ topic }) => topic)).toEqual(['x/1', 'y', 'z'])
  expect(b.got[0]!.stamp).toEqual(wanted.stamp)
  expect(c.got).toEqual([])
})

test('small messages of a turn go in one batch, in order', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  let batches = 0
  mesh.watch = (_from, to, channel) => {
    if (channel === 'forward' && to === B) batches++
  }
  const names = Array.from({ length: 100 }, (_, index) => `m${index}`)
  for (const [index, name] of names.entries()) a.peers.forward(message(`t/${index % 3}`, name, (index % 3) as QoS))
  mesh.clock.advance(100)
  expect(batches).toBe(1)
  expect(payloads(b.got)).toEqual(names)
  expect(b.meter.get('forward.in')).toBe(100)
  expect(b.meter.get('forward.gap')).toBe(0)
})

test('messages of any size keep their order', () => {
  const { mesh, a, b, c } = three()
  b.peers.wanted('#', () => {})
  c.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  const sizes = [10, 16_000, 20_000, 5, 16_350, 300_000, 1, 0, 40_000, 16_384]
  for (const [index, size] of sizes.entries()) a.peers.forward(message('t', Buffer.alloc(size, index)))
  mesh.clock.advance(100)
  for (const { got } of [b, c]) {
    expect(got.map((each) => each.payload.length)).toEqual(sizes)
    for (const [index, each] of got.entries()) expect(each.payload.every((byte) => byte === index)).toBe(true)
  }
  expect(b.meter.get('forward.gap')).toBe(0)
})

test('what finds no room waits, in order; the oldest QoS 0 is dropped first and counted', () => {
  const { mesh, a, b, c } = three({ ...bounds, maxMessages: 20 })
  b.peers.wanted('#', () => {})
  c.peers.wanted('t', () => {})
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  const names: string[] = []
  for (let index = 0; index < 60; index++) {
    const name = `m${index}`
    names.push(name)
    a.peers.forward(message('t', Buffer.concat([Buffer.from(name), Buffer.alloc(10_000)]), index % 2 === 0 ? 0 : 1))
    mesh.clock.advance(2)
  }
  expect(a.forwarding.waiting(B)).toBeGreaterThan(19)
  mesh.stall(A, B, false)
  mesh.clock.advance(1000)
  const name = (each: Message) => each.payload.toString('utf8', 0, each.payload.indexOf(0))
  expect(c.got.map(name)).toEqual(names)
  const arrived = b.got.map(name)
  expect(arrived).toEqual(names.filter((each) => arrived.includes(each)))
  const droppedQoS0 = a.meter.get('forward.dropped.full.qos0')
  const droppedOther = a.meter.get('forward.dropped.full.qos12')
  expect(droppedQoS0).toBeGreaterThan(0)
  expect(arrived.length + droppedQoS0 + droppedOther).toBe(60)
  expect(a.forwarding.dropped).toBe(droppedQoS0 + droppedOther)
  expect(a.forwarding.waiting(B)).toBe(0)
  expect(b.meter.get('forward.gap')).toBe(0)
})

test('what waits too long expires, and the rest says what is left', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  const big = Buffer.alloc(15_000)
  for (let index = 0; index < 40; index++) {
    a.peers.forward(message('t', big, 0, { expiresAt: mesh.clock.now() + (index % 2 === 0 ? 1000 : 60_000) }))
  }
  const waiting = a.forwarding.waiting(B)
  expect(waiting).toBeGreaterThan(10)
  mesh.clock.advance(10_000)
  const until = mesh.clock.now() + 50_000
  mesh.stall(A, B, false)
  mesh.clock.advance(1000)
  const expired = a.meter.get('forward.dropped.expired.qos0')
  expect(expired).toBeGreaterThan(waiting / 2 - 2)
  expect(b.got).toHaveLength(40 - expired)
  // What waited behind the channel has been told the time that is left when it went, not when it came.
  expect(b.got.at(-1)!.expiresAt).toBeLessThan(until + 100)
  expect(a.peers.forward(message('t', 'late', 1, { expiresAt: mesh.clock.now() }))).toBe(0)
})

test('without a link nothing is kept, and all of it counted', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  mesh.cut(A, B)
  expect(a.peers.forward(message('t', 'one'))).toBe(0)
  expect(a.peers.forward(message('t', 'two', 1))).toBe(0)
  expect(a.meter.get('forward.dropped.unlinked.qos0')).toBe(1)
  expect(a.meter.get('forward.dropped.unlinked.qos12')).toBe(1)
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  for (let index = 0; index < 100; index++) a.peers.forward(message('t', Buffer.alloc(10_000), 1))
  mesh.cut(A, B)
  const { dropped } = a.forwarding
  expect(dropped).toBeGreaterThan(2)
  mesh.link(A, B)
  a.peers.forward(message('t', 'three'))
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['three'])
  expect(a.forwarding.dropped).toBe(dropped)
  expect(b.meter.get('forward.gap')).toBe(0)
})

test('a batch that is missing is noticed', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  a.peers.forward(message('t', 'one'))
  mesh.clock.advance(10)
  mesh.inject(A, B, 'forward', Buffer.from('0100000000000900000174000000000000', 'hex'))
  expect(b.meter.get('forward.gap')).toBe(1)
  expect(b.got.at(-1)).toMatchObject({ topic: 't', payload: EMPTY })
})

test('a member that sends nonsense loses its link; what came before it counts', () => {
  const { mesh, b, a } = three()
  b.peers.wanted('#', () => {})
  mesh.clock.advance(100)
  mesh.inject(A, B, 'forward', Buffer.from('010000000000010000017400000000000003', 'hex'))
  expect(mesh.linked(A, B)).toBe(false)
  expect(mesh.errors).toHaveLength(1)
  expect(b.got).toHaveLength(1)
  expect(a.peers.forward(message('t', 'x'))).toBe(0)
})

test('a node without a broker yet takes messages without harm', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const node = mesh.start(B)
  const routes = new Routes(node.world, node, node, node.stamps)
  const forwarding = new Forwarding(node.world, node, node, routes, bounds, () => null)
  routes.wanted('#', () => {})
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(a.peers.forward(message('t', 'x'))).toBe(1)
  mesh.clock.advance(100)
  expect(node.meter.get('forward.in')).toBe(1)
  expect(forwarding.dropped).toBe(0)
})
