import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import { ClusterPeers } from '../../../../src/cluster/clusterpeers.ts'
import { Forwarding } from '../../../../src/cluster/forwarding/forwarding.ts'
import { Routes } from '../../../../src/cluster/forwarding/routes.ts'
import { Shares } from '../../../../src/cluster/forwarding/shares.ts'
import { LEFT_MS } from '../../../../src/cluster/members/memberstate.ts'
import { isBatch } from '../../../../src/wire/link/forward.ts'
import { EMPTY, type Late, type Message, type QoS } from '../../../../src/wire/message.ts'
import { RecordKind } from '../../../../src/wire/record/batch.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'
import { Shelf } from '../shelf.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const bounds = { maxMessages: 1000, maxBytes: 10_000_000, whenFull: 'drop-oldest' as const }

function member(mesh: Mesh, id: NodeId, linkQueue = bounds, shelf = new Shelf(mesh.clock)) {
  const node = mesh.start(id)
  const got: Message[] = []
  const late: string[] = []
  const routes = new Routes(node.world, node, node, node.stamps)
  const shares = new Shares(node.world, node, node, node.stamps, () => 'local')
  const local = {
    deliverFromPeer: (message: Message, isLate: Late = false) => {
      if (isLate) late.push(message.payload.toString())
      // What a broker keeps of a message is staged while it is delivered.
      if (message.qos > 0) shelf.put({ kind: 99, write: () => {} })
      // Bytes are valid during the call only.
      got.push({ ...message, payload: Buffer.from(message.payload), properties: Buffer.from(message.properties) })
      return 1
    },
  }
  const forwarding = new Forwarding(node.world, node, node, routes, {
    shares,
    ...{ bounds: linkQueue, local: () => local, keeping: shelf.keeping },
  })
  const peers = new ClusterPeers(routes, shares, forwarding)
  return { node, meter: node.meter, routes, forwarding, peers, got, late, shelf }
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
  b.peers.wanted('x/+', false, () => {})
  b.peers.wanted('x/#', false, () => {})
  c.peers.wanted('x/1', false, () => {})
  a.peers.wanted('#', false, () => {})
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
  b.peers.wanted('x/+', false, () => {})
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
  b.peers.wanted('#', false, () => {})
  mesh.clock.advance(100)
  let batches = 0
  mesh.watch = (_from, to, channel, bytes) => {
    if (channel === 'forward' && to === B && isBatch(bytes)) batches++
  }
  const names = Array.from({ length: 100 }, (_, index) => `m${index}`)
  for (const [index, name] of names.entries()) a.peers.forward(message(`t/${index % 3}`, name, (index % 3) as QoS))
  mesh.clock.advance(100)
  expect(batches).toBe(1)
  expect(payloads(b.got)).toEqual(names)
  expect(b.meter.get('forward.in')).toBe(100)
})

test('messages of any size keep their order', () => {
  const { mesh, a, b, c } = three()
  b.peers.wanted('#', false, () => {})
  c.peers.wanted('#', false, () => {})
  mesh.clock.advance(100)
  const sizes = [10, 16_000, 20_000, 5, 16_350, 300_000, 1, 0, 40_000, 16_384]
  for (const [index, size] of sizes.entries()) a.peers.forward(message('t', Buffer.alloc(size, index)))
  mesh.clock.advance(100)
  for (const { got } of [b, c]) {
    expect(got.map((each) => each.payload.length)).toEqual(sizes)
    for (const [index, each] of got.entries()) expect(each.payload.every((byte) => byte === index)).toBe(true)
  }
})

test('what finds no room waits, in order; the oldest QoS 0 is dropped first and counted', () => {
  const { mesh, a, b, c } = three({ ...bounds, maxMessages: 20 })
  b.peers.wanted('#', false, () => {})
  c.peers.wanted('t', false, () => {})
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  const names: string[] = []
  for (let index = 0; index < 200; index++) {
    const name = `m${index}`
    names.push(name)
    a.peers.forward(message('t', Buffer.concat([Buffer.from(name), Buffer.alloc(10_000)]), index % 2 === 0 ? 0 : 1))
    mesh.clock.advance(2)
  }
  expect(a.forwarding.queue(B).queued).toBeGreaterThan(19)
  mesh.stall(A, B, false)
  mesh.clock.advance(1000)
  const name = (each: Message) => each.payload.toString('utf8', 0, each.payload.indexOf(0))
  expect(c.got.map(name)).toEqual(names)
  const arrived = b.got.map(name)
  expect(arrived).toEqual(names.filter((each) => arrived.includes(each)))
  const droppedQoS0 = a.meter.get('forward.dropped.full.qos0')
  const droppedOther = a.meter.get('forward.dropped.full.qos12')
  expect(droppedQoS0).toBeGreaterThan(0)
  expect(arrived.length + droppedQoS0 + droppedOther).toBe(200)
  expect(a.forwarding.dropped).toBe(droppedQoS0 + droppedOther)
  expect(a.forwarding.queue(B).queued).toBe(0)
})

test('what waits too long expires, and the rest says what is left', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('#', false, () => {})
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  const big = Buffer.alloc(15_000)
  for (let index = 0; index < 120; index++) {
    a.peers.forward(message('t', big, 0, { expiresAt: mesh.clock.now() + (index % 2 === 0 ? 1000 : 60_000) }))
  }
  const waiting = a.forwarding.queue(B).queued
  expect(waiting).toBeGreaterThan(10)
  mesh.clock.advance(10_000)
  const until = mesh.clock.now() + 50_000
  mesh.stall(A, B, false)
  mesh.clock.advance(1000)
  const expired = a.meter.get('forward.dropped.expired.qos0')
  expect(expired).toBeGreaterThan(waiting / 2 - 2)
  expect(b.got).toHaveLength(120 - expired)
  // What waited behind the channel has been told the time that is left when it went, not when it came.
  expect(b.got.at(-1)!.expiresAt).toBeLessThan(until + 100)
  expect(a.peers.forward(message('t', 'late', 1, { expiresAt: mesh.clock.now() }))).toBe(0)
})

test('a member that sends nonsense loses its link; what came before it counts, and not again', () => {
  const { mesh, b, a } = three()
  b.peers.wanted('#', false, () => {})
  mesh.clock.advance(100)
  a.peers.forward(message('t', 'one'))
  mesh.clock.advance(100)
  mesh.inject(A, B, 'forward', Buffer.from('010000000000020000017400000000000003', 'hex'))
  expect(mesh.linked(A, B)).toBe(false)
  expect(mesh.errors).toHaveLength(1)
  expect(b.got).toHaveLength(2)
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.got).toHaveLength(2)
})

test('a node without a broker yet takes messages without harm', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const node = mesh.start(B)
  const routes = new Routes(node.world, node, node, node.stamps)
  const shares = new Shares(node.world, node, node, node.stamps, () => 'local')
  const forwarding = new Forwarding(node.world, node, node, routes, {
    shares,
    ...{ bounds, local: () => null, keeping: new Shelf(mesh.clock).keeping },
  })
  routes.wanted('#', false, () => {})
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(a.peers.forward(message('t', 'x'))).toBe(1)
  mesh.clock.advance(100)
  expect(node.meter.get('forward.in')).toBe(1)
  expect(forwarding.dropped).toBe(0)
})

/** Where A has been linked with B, which wants everything, durably. */
function pair(options: { quick?: boolean; durable?: boolean; linkQueue?: typeof bounds } = {}) {
  const mesh = new Mesh()
  const a = member(mesh, A, options.linkQueue)
  const b = member(mesh, B, bounds, new Shelf(mesh.clock, options.quick ?? true))
  mesh.link(A, B)
  b.peers.wanted('#', options.durable ?? true, () => {})
  mesh.clock.advance(100)
  let sent = 0
  const publish = (qos: QoS = 1, rest: Partial<Message> = {}) => {
    a.peers.forward(message('t', `${++sent}`, qos, rest))
    return a.shelf.position
  }
  return { mesh, a, b, publish, waits: (position: number) => position > a.shelf.safe }
}

const numbers = (...[first, last]: [number, number]) =>
  Array.from({ length: last - first + 1 }, (_, index) => `${first + index}`)

test('what was under way when a link broke comes over the next one, once and in order', () => {
  const { mesh, a, b, publish } = pair()
  for (let index = 0; index < 3; index++) publish()
  mesh.clock.advance(10)
  // On its way to B, and on its way back: A does not know what B has.
  publish()
  mesh.clock.advance(1)
  publish()
  mesh.clock.advance(1)
  mesh.cut(A, B)
  for (const qos of [0, 1, 2] as const) publish(qos)
  mesh.clock.advance(100)
  mesh.link(A, B)
  publish()
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(numbers(1, 9))
  expect(b.late).toEqual([])
  expect(a.forwarding.dropped).toBe(0)
})

test('over links that break again and again nothing is lost, doubled or overtaken', () => {
  const { mesh, a, b, publish } = pair()
  for (let round = 0; round < 60; round++) {
    for (let index = 0; index < 5; index++) publish((index % 3) as QoS)
    mesh.clock.advance(round % 7)
    if (round % 2 === 0) mesh.cut(A, B)
    else mesh.link(A, B)
    mesh.clock.advance(round % 3)
  }
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(numbers(1, 300))
  expect(a.forwarding.queue(B).queued).toBe(0)
  expect(a.shelf.size).toBe(0)
})

test('a publisher waits until the message is safe where a persistent session wants it', () => {
  const { mesh, a, b, publish, waits } = pair({ quick: false })
  const position = publish()
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1'])
  expect(waits(position)).toBe(true)
  b.shelf.commit()
  mesh.clock.advance(100)
  expect(waits(position)).toBe(false)
  expect(a.shelf.size).toBe(0)
})

test('for QoS 0, and where no persistent session wants it, nobody waits', () => {
  const { a, publish, waits } = pair({ quick: false })
  expect(waits(publish(0))).toBe(false)
  expect(a.shelf.position).toBe(0)
  const plain = pair({ quick: false, durable: false })
  expect(plain.waits(plain.publish())).toBe(false)
  expect(plain.a.shelf.position).toBe(0)
})

test('two members that send each other messages do not wait for each other', () => {
  const { mesh, a, b, publish, waits } = pair()
  a.peers.wanted('#', true, () => {})
  mesh.clock.advance(100)
  for (let round = 0; round < 20; round++) {
    const position = publish()
    b.peers.forward(message('t', 'back', 1))
    mesh.clock.advance(3)
    expect(waits(position)).toBe(false)
  }
  expect(a.meter.get('forward.late') + b.meter.get('forward.late')).toBe(0)
})

test('when the member is gone, what is awaited of it is parked, and then nobody waits', () => {
  const { mesh, a, b, publish, waits } = pair({ quick: false })
  a.shelf.quick = false
  const before = publish()
  mesh.clock.advance(100)
  const underway = publish()
  mesh.cut(A, B)
  mesh.clock.advance(1)
  const after = publish()
  mesh.clock.advance(10)
  expect([waits(before), waits(underway), waits(after)]).toEqual([true, true, true])
  expect(a.forwarding.parking.count).toBe(3)
  const problems = (linked: boolean) => a.forwarding.parking.problems(() => ({ name: 'gw-2', linked }))
  expect(problems(true)).toEqual([])
  expect(problems(false)).toEqual([
    'gw-2 is out of reach: 3 messages are parked here for its sessions until it is back',
  ])
  a.shelf.commit()
  mesh.clock.advance(1)
  expect(a.shelf.safe).toBe(a.shelf.position)
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1', '2', '3'])
  expect(a.shelf.size).toBe(3)
  b.shelf.commit()
  mesh.clock.advance(100)
  expect([a.shelf.size, a.forwarding.parking.count]).toEqual([0, 0])
  expect(problems(false)).toEqual([])
})

test('a member that is silent gets nothing and keeps nobody waiting, until it is heard again', () => {
  const { mesh, a, b, publish, waits } = pair()
  a.node.sees(B, 'suspect')
  publish()
  mesh.clock.advance(100)
  expect(b.got).toEqual([])
  expect([a.shelf.size, a.shelf.safe]).toEqual([1, a.shelf.position])
  a.node.sees(B, 'alive')
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1'])
  expect(a.shelf.size).toBe(0)
  expect(waits(publish())).toBe(true)
})

test('nor does it after a copy that is silent: what is parked is in the store, whatever copies of later ones say', () => {
  const { mesh, a, publish, waits } = pair({ quick: false })
  const copy = a.shelf.positions.lane('copies')
  copy.staged()
  const position = publish()
  copy.staged()
  a.node.sees(B, 'suspect')
  mesh.clock.settle()
  expect([a.forwarding.parking.count, waits(position)]).toEqual([1, true])
  copy.settled(position)
  mesh.clock.settle()
  expect(waits(position)).toBe(false)
})

test('a member that takes messages but does not get them safe keeps nobody waiting for long', () => {
  const { mesh, a, b, publish, waits } = pair({ quick: false })
  const position = publish()
  mesh.clock.advance(1900)
  a.forwarding.look(mesh.clock.now(), 2000)
  expect(waits(position)).toBe(true)
  mesh.clock.advance(100)
  a.forwarding.look(mesh.clock.now(), 2000)
  mesh.clock.settle()
  expect(waits(position)).toBe(false)
  expect([a.meter.get('forward.late'), a.forwarding.parking.count]).toEqual([1, 1])
  publish()
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1', '2'])
  expect([a.shelf.safe, a.forwarding.parking.count]).toEqual([a.shelf.position, 2])
  b.shelf.commit()
  mesh.clock.advance(100)
  expect(a.shelf.size).toBe(0)
  expect(waits(publish())).toBe(true)
})

test('what this node had parked goes on after its restart, marked as what may have come before', () => {
  const { mesh, a, b, publish } = pair()
  mesh.cut(A, B)
  publish(1, { expiresAt: mesh.clock.now() + 60_000 })
  publish(2)
  mesh.clock.advance(20_000)
  const shelf = new Shelf(mesh.clock)
  const found = a.shelf.found(shelf)
  const again = member(mesh, A, bounds, shelf)
  for (const record of found.records) shelf.keeping.found(record, found)
  expect(again.forwarding.queue(B).queued).toBe(2)
  expect(again.forwarding.parking.problems(() => undefined)[0]).toMatch(`${B} is out of reach: 2 messages`)
  mesh.clock.advance(10_000)
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.late).toEqual(['1', '2'])
  expect(b.got[0]!.expiresAt - mesh.clock.now()).toBeGreaterThan(29_000)
  expect(b.got[0]!.expiresAt - mesh.clock.now()).toBeLessThan(31_000)
  expect([shelf.size, again.forwarding.parking.count]).toEqual([0, 0])
})

test('a member that begins anew gets all that was not safe there again, marked as such', () => {
  const { mesh, a, b, publish } = pair({ quick: false })
  publish()
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1'])
  const again = member(mesh, B)
  publish()
  mesh.clock.advance(10)
  again.peers.wanted('#', true, () => {})
  mesh.link(A, B)
  publish()
  mesh.clock.advance(100)
  expect(payloads(again.got)).toEqual(['1', '2', '3'])
  expect(again.late).toEqual(['1', '2', '3'])
  publish()
  mesh.clock.advance(100)
  expect(again.late).toHaveLength(3)
  expect([again.got.length, a.shelf.size]).toEqual([4, 0])
})

test('of QoS 2 a member that begins anew is not sent again what its store has, though it could not say so', () => {
  const { mesh, a, b, publish } = pair({ quick: false })
  publish(2)
  publish(1)
  mesh.clock.advance(100)
  b.shelf.commit()
  mesh.clock.settle()
  // What comes while it is written how far was received is in what is written next.
  publish(2)
  mesh.clock.advance(100)
  mesh.cut(A, B)
  b.shelf.commit()
  mesh.clock.settle()
  b.shelf.commit()
  publish(2)
  const shelf = new Shelf(mesh.clock)
  const found = b.shelf.found(shelf)
  const again = member(mesh, B, bounds, shelf)
  for (const record of found.records) shelf.keeping.found(record, found)
  again.peers.wanted('#', true, () => {})
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1', '2', '3'])
  expect(payloads(again.got)).toEqual(['4'])
  expect(a.shelf.size).toBe(0)
  mesh.cut(A, B)
  again.node.sees(A, 'left')
  mesh.clock.advance(LEFT_MS)
  expect([...shelf.found(new Shelf(mesh.clock)).records].map(({ kind }) => kind)).not.toContain(RecordKind.arrival)
})

test('how far was received of an earlier life of the sender says nothing of its next', () => {
  const { mesh, b, publish } = pair()
  publish(2)
  mesh.clock.advance(100)
  const next = member(mesh, A)
  mesh.link(A, B)
  mesh.clock.advance(100)
  next.peers.forward(message('t', 'next', 2))
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1', 'next'])
})

test('for a dead member QoS 0 is dropped, and what its persistent sessions want is parked within bounds', () => {
  const { mesh, a, b, publish } = pair()
  mesh.cut(A, B)
  publish(0)
  publish(1)
  a.node.sees(B, 'dead')
  a.shelf.maxMessages = 3
  expect(publish(0)).toBeGreaterThan(0)
  for (let index = 0; index < 3; index++) publish(2)
  expect(a.meter.get('forward.dropped.dead.qos0')).toBe(1)
  expect(a.meter.get('forward.dropped.parking-full.qos12')).toBe(1)
  expect([a.forwarding.parking.count, a.shelf.size]).toEqual([3, 3])
  expect(a.forwarding.queue(B)).toMatchObject({ dropped: 1, parked: 3 })
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(a.forwarding.queue(B)).toEqual({ queued: 0, dropped: 1, parked: 0 })
  expect(payloads(b.got).filter((each) => each !== '3')).toEqual(['4', '5', '6'])
})

test('a dead member without persistent sessions that want it gets nothing; one that is replaced neither', () => {
  const plain = pair({ durable: false })
  plain.mesh.cut(A, B)
  plain.a.node.sees(B, 'dead')
  plain.publish(1)
  expect(plain.a.forwarding.queue(B).queued).toBe(0)
  const { mesh, a, publish } = pair()
  mesh.cut(A, B)
  a.node.sees(B, 'dead')
  publish(1)
  a.routes.standIn(B)
  publish(1)
  expect(a.forwarding.queue(B).queued).toBe(1)
})

test('a member that leaves takes with it what waited for it and nobody has asked for', () => {
  const { mesh, a, publish } = pair()
  publish()
  mesh.cut(A, B)
  publish()
  a.node.sees(B, 'left')
  mesh.clock.advance(LEFT_MS - 1)
  // A durable route counts as long.
  publish()
  expect(a.forwarding.queue(B).queued).toBe(3)
  mesh.clock.advance(1)
  expect([a.shelf.size, a.forwarding.parking.count, a.forwarding.queue(B).queued]).toEqual([0, 0, 0])
  expect(a.shelf.safe).toBe(a.shelf.position)
  expect(a.meter.get('forward.dropped.left.qos12')).toBe(2)
})

test('a stamped message goes to every member, and waits for one', () => {
  const { mesh, a, b, c } = three()
  c.peers.wanted('t', false, () => {})
  b.shelf.quick = false
  c.shelf.quick = false
  mesh.clock.advance(100)
  const stamp = { wallMs: 1, counter: 2, node: A }
  expect(a.peers.forward(message('t', 'x', 1, { retain: true, stamp }))).toBe(1)
  mesh.clock.advance(100)
  expect([payloads(b.got), payloads(c.got)]).toEqual([['x'], ['x']])
  expect(a.shelf.safe).toBeLessThan(a.shelf.position)
  c.shelf.commit()
  mesh.clock.advance(100)
  expect(a.shelf.safe).toBe(a.shelf.position)
  expect(a.peers.forward(message('y', 'x', 1, { retain: true, stamp }))).toBe(0)
  mesh.clock.advance(100)
  expect([b.got.length, c.got.length]).toEqual([2, 2])
})

test('a publish that nobody elsewhere wants sends nothing', () => {
  const { mesh, a, b } = three()
  b.peers.wanted('other/#', true, () => {})
  mesh.clock.advance(15_000)
  const seen: string[] = []
  mesh.watch = (_from, _to, channel) => seen.push(channel)
  for (const qos of [0, 1, 2] as const) expect(a.peers.forward(message('mine', 'x', qos))).toBe(0)
  mesh.clock.advance(1000)
  expect(seen.filter((channel) => channel === 'forward')).toEqual([])
  expect([a.shelf.position, a.shelf.size]).toEqual([0, 0])
})

test.each([
  ['a batch before a beginning', ['0100000000000100000174000000000000']],
  ['a batch with others missing before it', ['03 0000000000000007 000000000001', '0100000000000300000174000000000000']],
  ['a beginning at 0', ['03 0000000000000007 000000000000']],
  ['more taken than was sent', ['04 000000000009 000000000001']],
  ['more safe than taken', ['04 000000000000 000000000001']],
  ['a second here on one link', ['02 0000000000000001 0000000000000000 000000000000 000000000000']],
  ['a word cut short', ['04 000000000000']],
])('%s closes the link', (_what, frames) => {
  const { mesh } = three()
  for (const frame of frames) mesh.inject(B, A, 'forward', Buffer.from(frame.replaceAll(' ', ''), 'hex'))
  expect(mesh.linked(A, B)).toBe(false)
  expect(mesh.errors).toHaveLength(1)
})

test('a kind of message that a newer version speaks is passed over', () => {
  const { mesh, a } = three()
  mesh.inject(B, A, 'forward', Buffer.from('63ff', 'hex'))
  expect(mesh.linked(A, B)).toBe(true)
  expect(a.meter.get('forward.unknown')).toBe(1)
})

test('a node that begins sends what must be safe to members it knew, until they have said what they want', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.forwarding.expect([B, C])
  const { generation } = a.peers
  expect([a.peers.interested('t'), a.peers.forward(message('t', '1', 1)), a.shelf.size]).toEqual([true, 0, 2])
  a.peers.forward(message('t', 'nobody waits', 0))
  b.peers.wanted('t', true, () => {})
  mesh.link(A, B)
  a.peers.forward(message('t', '2', 1))
  mesh.clock.advance(100)
  a.peers.forward(message('t', '3', 1))
  mesh.clock.advance(100)
  expect(payloads(b.got)).toEqual(['1', '2', '3'])
  a.peers.forward(message('other', '4', 1))
  mesh.clock.advance(31_000)
  a.peers.forward(message('other', '5', 1))
  expect([a.peers.interested('other'), a.peers.generation > generation]).toEqual([false, true])
  expect(payloads(b.got)).toEqual(['1', '2', '3'])
  expect(a.forwarding.queue(C).queued).toBe(4)
})

test('what is retained goes once to a member that may want everything', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  member(mesh, B)
  a.forwarding.expect([B])
  a.peers.forward(message('t', '1', 1))
  const stamp = { wallMs: 1, counter: 2, node: A }
  a.peers.forward(message('t', '2', 1, { retain: true, stamp }))
  expect([a.forwarding.queue(B).queued, a.shelf.size]).toEqual([2, 2])
  // Nobody takes it that QoS 0 is wanted: as the map of what is retained it goes all the same.
  a.peers.forward(message('t', '3', 0, { retain: true, stamp }))
  expect(a.forwarding.queue(B).queued).toBe(3)
})
