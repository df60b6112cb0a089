import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import { ClusterPeers } from '../../../../src/cluster/clusterpeers.ts'
import { Forwarding } from '../../../../src/cluster/forwarding/forwarding.ts'
import { Routes } from '../../../../src/cluster/forwarding/routes.ts'
import { Shares } from '../../../../src/cluster/forwarding/shares.ts'
import { beginBatch, encodeCopies } from '../../../../src/wire/link/copies.ts'
import { EMPTY, type Late, type Message } from '../../../../src/wire/message.ts'
import { RecordKind } from '../../../../src/wire/record/batch.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'
import { Shelf } from '../shelf.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const bounds = { maxMessages: 1000, maxBytes: 10_000_000, whenFull: 'drop-oldest' as const }

function member(mesh: Mesh, id: NodeId, shelf = new Shelf(mesh.clock), copies = 2) {
  const node = mesh.start(id)
  const got: string[] = []
  const routes = new Routes(node.world, node, node, node.stamps, shelf.keeping)
  const shares = new Shares(node.world, node, node, node.stamps, () => 'local')
  const local = {
    deliverFromPeer: (message: Message, late: Late = false) => {
      got.push(`${message.payload} ${late}`)
      return 1
    },
  }
  const forwarding = new Forwarding(node.world, node, node, routes, {
    ...{ shares, bounds, local: () => local, keeping: shelf.keeping, copies: () => copies },
  })
  return { node, routes, forwarding, peers: new ClusterPeers(routes, shares, forwarding), got, shelf }
}

/** A parks for B, which wants `t` durably and is cut off; C is the second box. */
function three(quick = true, copies = 2) {
  const mesh = new Mesh()
  const a = member(mesh, A, new Shelf(mesh.clock, quick), copies)
  const [b, c] = [member(mesh, B), member(mesh, C)]
  for (const [one, other] of [[A, B] as const, [A, C] as const, [B, C] as const]) mesh.link(one, other)
  b.peers.wanted('t', true, () => {})
  a.shelf.commit()
  mesh.clock.advance(100)
  mesh.cut(A, B)
  mesh.cut(B, C)
  for (const each of [a, c]) each.node.sees(B, 'dead')
  mesh.clock.advance(100)
  let count = 0
  const publish = (to = a) => {
    to.peers.forward({
      ...{
        origin: { node: A, incarnation: 7 },
        counter: ++count,
        topic: 't',
        qos: 1,
        retain: false,
        properties: EMPTY,
      },
      ...{
        payload: Buffer.from(`${count}`),
        expiresAt: Number.POSITIVE_INFINITY,
        publisher: 'p' as ClientId,
        stamp: null,
      },
    })
    return to.shelf.position
  }
  return { mesh, a, b, c, publish }
}

const taken = ({ node }: { node: { meter: { get(name: string): number } } }) => node.meter.get('park.taken-over')

test('an acknowledgement waits for the second box, and not when that is silent', () => {
  const { mesh, a, publish } = three()
  const position = publish()
  mesh.clock.settle()
  expect(a.shelf.safe).toBeLessThan(position)
  mesh.clock.advance(10)
  expect([a.shelf.safe, a.forwarding.parkedCopies.alone]).toEqual([position, false])
  mesh.stall(A, C, true)
  const late = publish()
  mesh.clock.advance(1900)
  a.forwarding.look(mesh.clock.now(), 2000)
  expect(a.shelf.safe).toBeLessThan(late)
  mesh.clock.advance(100)
  a.forwarding.look(mesh.clock.now(), 2000)
  mesh.clock.settle()
  expect([a.shelf.safe, a.forwarding.parkedCopies.alone]).toEqual([late, true])
  expect(a.node.meter.get('park.late')).toBe(1)
  const problem = a.forwarding.parking.problems(() => ({ name: 'gw-2', linked: false }), true)[0]
  expect(problem).toMatch(/^gw-2 is out of reach: 2 messages are parked here alone \(copies 1 of 2\)/)
})

test('with one copy wanted nothing goes to a second box', () => {
  const { mesh, a, c, publish } = three(true, 1)
  publish()
  mesh.clock.advance(100)
  mesh.cut(A, C)
  c.node.sees(A, 'dead')
  mesh.clock.advance(60_000)
  expect([a.forwarding.parking.count, taken(c), c.shelf.size]).toEqual([1, 0, 1])
})

test('a box that is gone for a while has what it had parked handed over by the second box', () => {
  const { mesh, b, c, publish } = three()
  publish()
  publish()
  mesh.clock.advance(100)
  mesh.cut(A, C)
  c.node.sees(A, 'dead')
  mesh.clock.advance(14_000)
  expect(taken(c)).toBe(0)
  mesh.clock.advance(3000)
  expect([taken(c), c.forwarding.parking.of(B)]).toEqual([2, 2])
  mesh.link(B, C)
  mesh.clock.advance(100)
  expect([b.got, c.forwarding.parking.count]).toEqual([['1 late', '2 late'], 0])
})

test('what the member has had is let go at the second box', () => {
  const { mesh, b, c, publish } = three()
  publish()
  mesh.clock.advance(100)
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.cut(A, C)
  c.node.sees(A, 'dead')
  mesh.clock.advance(60_000)
  expect([b.got, taken(c)]).toEqual([['1 false'], 0])
})

test('a box that comes back is told what was passed on meanwhile, and takes back what was not', () => {
  for (const passedOn of [true, false]) {
    const { mesh, a, b, c, publish } = three()
    publish()
    mesh.clock.advance(100)
    mesh.cut(A, C)
    c.node.sees(A, 'dead')
    mesh.clock.advance(20_000)
    if (passedOn) mesh.link(B, C)
    mesh.clock.advance(100)
    const shelf = new Shelf(mesh.clock)
    const found = a.shelf.found(shelf)
    const again = member(mesh, A, shelf)
    for (const record of found.records) shelf.keeping.found(record, found)
    mesh.link(A, C)
    mesh.clock.advance(100)
    expect([again.forwarding.parking.of(B), c.forwarding.parking.of(B)]).toEqual(passedOn ? [0, 0] : [1, 0])
    mesh.link(A, B)
    mesh.link(B, C)
    mesh.clock.advance(100)
    expect(b.got).toEqual(['1 late'])
  }
})

test('what a box has lost when it comes back is handed over at once', () => {
  const { mesh, b, c, publish } = three()
  publish()
  mesh.clock.advance(100)
  member(mesh, A)
  mesh.link(A, C)
  mesh.clock.advance(100)
  expect(taken(c)).toBe(1)
  mesh.link(B, C)
  mesh.clock.advance(100)
  expect(b.got).toEqual(['1 late'])
})

test('a second box that is dead has another in its place, and forgets when it is back', () => {
  const { mesh, a, c, publish } = three()
  const D = nodeIdOf(0xd)
  publish()
  mesh.clock.advance(100)
  const d = member(mesh, D)
  mesh.link(A, D)
  mesh.cut(A, C)
  a.node.sees(C, 'dead')
  mesh.clock.advance(2000)
  expect([a.node.meter.get('park.replaced'), a.forwarding.parkedCopies.alone]).toEqual([1, false])
  mesh.link(A, C)
  mesh.clock.advance(100)
  mesh.cut(A, C)
  mesh.cut(A, D)
  c.node.sees(A, 'dead')
  d.node.sees(A, 'dead')
  mesh.clock.advance(20_000)
  expect(taken(d)).toBe(1)
})

test('messages of QoS 0 that are handed over among others do not count', () => {
  const { mesh, a, c } = three()
  // flags, topic, publisher, payload
  const item = Buffer.from('00 0001 74 0000 00000000'.replaceAll(' ', ''), 'hex')
  const record = beginBatch(1)
    .u8(RecordKind.parked)
    .u48(1)
    .u32(18 + item.length)
  mesh.inject(A, C, 'park', encodeCopies({ kind: 'begin', feed: 7 }))
  mesh.inject(A, C, 'park', record.id(B).u48(0).u32(item.length).raw(item).done())
  mesh.cut(A, C)
  c.node.sees(A, 'dead')
  mesh.clock.advance(20_000)
  expect([mesh.errors, taken(c), a.forwarding.parking.count]).toEqual([[], 0, 0])
})

test.each([
  ['of another kind', RecordKind.session, Buffer.from('x')],
  ['that cannot be read', RecordKind.parked, Buffer.from('x')],
  ['without items', RecordKind.parked, Buffer.alloc(18)],
])('a record %s closes the link', (_name, kind, body) => {
  const { mesh } = three()
  mesh.inject(A, C, 'park', encodeCopies({ kind: 'begin', feed: 7 }))
  const batch = beginBatch(1).u8(kind).u48(1).u32(body.length).raw(body).done()
  mesh.inject(A, C, 'park', batch)
  expect(mesh.errors).toHaveLength(1)
  expect(mesh.errors[0]).toMatch(/^park: /)
})
