import { expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Routes } from '../../../../src/cluster/forwarding/routes.ts'
import { LEFT_MS } from '../../../../src/cluster/members/memberstate.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'
import { Shelf } from '../shelf.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)

function member(mesh: Mesh, id: NodeId, shelf = new Shelf(mesh.clock)) {
  const node = mesh.start(id)
  const routes = new Routes(node.world, node, node, node.stamps, shelf.keeping)
  const receivers = (topic: string) => {
    const peers: NodeId[] = []
    routes.collect(topic, peers)
    return peers.map((peer) => peer.at(-1)).sort()
  }
  return { node, routes, receivers, shelf, want: (filter: string) => routes.wanted(filter, false, () => {}) }
}

function three() {
  const mesh = new Mesh()
  const [a, b, c] = [member(mesh, A), member(mesh, B), member(mesh, C)]
  mesh.link(A, B)
  mesh.link(A, C)
  mesh.link(B, C)
  mesh.clock.advance(100)
  return { mesh, a, b, c }
}

test('a topic goes to each member with a match, once, and never to oneself', () => {
  const { mesh, a, b, c } = three()
  a.want('own/#')
  b.want('x/+')
  b.want('x/1')
  c.want('x/1')
  c.want('#')
  mesh.clock.advance(100)
  expect(a.receivers('x/1')).toEqual(['b', 'c'])
  expect(a.receivers('own/1')).toEqual(['c'])
  expect(b.receivers('own/1')).toEqual(['a', 'c'])
  expect(a.routes.size).toBe(4)
  b.routes.unwanted('x/+')
  b.routes.unwanted('x/1')
  mesh.clock.advance(100)
  expect(a.receivers('x/1')).toEqual(['c'])
  expect([...a.routes.of(C)].sort()).toEqual(['#', 'x/1'])
  expect([...a.routes.own()]).toEqual([['own/#', false]])
})

test('unwanted and wanted again within a turn: still wanted', () => {
  const { mesh, a, b } = three()
  b.want('x')
  mesh.clock.advance(100)
  const { generation } = a.routes
  b.routes.unwanted('x')
  let taken = false
  b.routes.wanted('x', false, () => {
    taken = true
  })
  mesh.clock.advance(100)
  expect(taken).toBe(true)
  expect(a.receivers('x')).toEqual(['b'])
  expect(a.routes.generation).toBe(generation)
})

test('each visible change has a generation of its own', () => {
  const { mesh, a, b } = three()
  let { generation } = a.routes
  const changes = () => {
    const before = generation
    generation = a.routes.generation
    return generation !== before
  }
  b.want('x')
  mesh.clock.advance(100)
  expect(changes()).toBe(true)
  a.want('y')
  mesh.clock.advance(100)
  expect(changes()).toBe(false)
  a.node.sees(B, 'dead')
  expect(changes()).toBe(true)
  expect(a.receivers('x')).toEqual([])
  expect([...a.routes.of(B)]).toEqual([])
  a.node.sees(B, 'alive')
  expect(changes()).toBe(true)
  expect(a.receivers('x')).toEqual(['b'])
  mesh.cut(A, B)
  expect(a.receivers('x')).toEqual(['b'])
  a.node.sees(B, 'left')
  expect(changes()).toBe(true)
  expect(a.receivers('x')).toEqual([])
})

test('a member that left and comes back while its old routes are cleaned up keeps the new ones', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  for (let index = 0; index < 10_000; index++) b.want(`f/${index}`)
  mesh.link(A, B)
  mesh.clock.advance(500)
  expect(a.routes.size).toBe(10_000)
  mesh.cut(A, B)
  a.node.sees(B, 'left')
  expect(a.routes.size).toBe(0)
  mesh.link(A, B)
  mesh.clock.advance(500)
  expect(a.routes.size).toBe(10_000)
  expect(a.receivers('f/9999')).toEqual(['b'])
})

test('$SYS stays on its node', () => {
  const { mesh, a, b } = three()
  let taken = false
  b.routes.wanted('$SYS/#', false, () => {
    taken = true
  })
  b.want('#')
  mesh.clock.advance(100)
  expect(taken).toBe(true)
  expect([...a.routes.of(B)]).toEqual(['#'])
  expect(a.receivers('$SYS/broker/uptime')).toEqual([])
  b.routes.unwanted('$SYS/#')
})

test('wanted is taken once every linked member can send what matches', () => {
  const { mesh, a, b, c } = three()
  mesh.stall(B, C, true)
  let taken = false
  b.routes.wanted('x', false, () => {
    taken = true
  })
  mesh.clock.advance(50)
  expect(a.receivers('x')).toEqual(['b'])
  expect(taken).toBe(false)
  mesh.stall(B, C, false)
  mesh.clock.advance(50)
  expect(c.receivers('x')).toEqual(['b'])
  expect(taken).toBe(true)
})

/** A and B, of which A has kept that B wants `x` durably and `y` for as long as its client is there. */
function pair(quick = true) {
  const mesh = new Mesh()
  const [a, b] = [member(mesh, A, new Shelf(mesh.clock, quick)), member(mesh, B)]
  mesh.link(A, B)
  mesh.clock.advance(100)
  let taken = false
  b.routes.wanted('x', true, () => {
    taken = true
  })
  b.want('y')
  mesh.clock.advance(100)
  return { mesh, a, b, taken: () => taken }
}

/** A again, with what an earlier run has put on its shelf. */
function again(mesh: Mesh, shelf: Shelf) {
  const next = new Shelf(mesh.clock)
  const found = shelf.found(next)
  const node = member(mesh, A, next)
  for (const record of found.records) next.keeping.found(record, found)
  return node
}

test('durable routes outlive the run: a member that nobody has heard of yet counts, with what it had', () => {
  const { mesh, a } = pair()
  expect(a.shelf.size).toBe(1)
  const next = again(mesh, a.shelf)
  expect([next.receivers('x'), next.receivers('y'), next.routes.size]).toEqual([['b'], [], 0])
  mesh.link(A, B)
  const { position } = next.shelf
  mesh.clock.advance(100)
  expect([next.receivers('x'), next.receivers('y'), next.routes.size]).toEqual([['b'], ['b'], 2])
  // What is said again is not written again.
  expect(next.shelf.position).toBe(position)
})

test('what the member does not say again, takes back, or wants no more for good, is kept no more', () => {
  const { mesh, a, b } = pair()
  b.routes.wanted('x', false, () => {})
  b.routes.wanted('z', true, () => {})
  mesh.clock.advance(100)
  expect(a.shelf.size).toBe(1)
  const next = again(mesh, a.shelf)
  const fresh = member(mesh, B)
  fresh.routes.wanted('u', true, () => {})
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect([next.receivers('z'), next.receivers('u'), next.shelf.size]).toEqual([[], ['b'], 1])
  fresh.routes.unwanted('u')
  mesh.clock.advance(100)
  expect(next.shelf.size).toBe(0)
})

test('a member that has left or was removed has nothing kept, heard of or not', () => {
  const { mesh, a } = pair()
  const heard = again(mesh, a.shelf)
  heard.node.sees(B, 'left')
  mesh.clock.advance(LEFT_MS)
  expect([heard.shelf.size, heard.receivers('x')]).toEqual([0, []])
  const unheard = again(mesh, a.shelf)
  unheard.routes.removed(B)
  expect([unheard.shelf.size, unheard.receivers('x')]).toEqual([0, []])
  const other = again(mesh, a.shelf)
  other.routes.forgetAll()
  expect(other.shelf.size).toBe(0)
})

test('a durable route counts as taken when the store has it', () => {
  const { mesh, a, taken } = pair(false)
  expect([a.receivers('x'), taken()]).toEqual([['b'], false])
  a.shelf.commit()
  mesh.clock.advance(10)
  expect(taken()).toBe(true)
})

test('a full store, or one that takes too long, keeps nobody from subscribing', () => {
  const full = pair(false)
  full.a.shelf.fill()
  full.mesh.clock.advance(10)
  expect(full.taken()).toBe(true)
  const { mesh, a, taken } = pair(false)
  mesh.clock.advance(1900)
  a.routes.look(mesh.clock.now(), 2000)
  mesh.clock.advance(10)
  expect(taken()).toBe(false)
  mesh.clock.advance(90)
  a.routes.look(mesh.clock.now(), 2000)
  mesh.clock.advance(10)
  expect([taken(), a.node.meter.get('owned.routes.kept-late')]).toEqual([true, 1])
})

test('a plain route waits for no store', () => {
  const mesh = new Mesh()
  const [, b] = [member(mesh, A, new Shelf(mesh.clock, false)), member(mesh, B)]
  mesh.link(A, B)
  mesh.clock.advance(100)
  let taken = false
  b.routes.wanted('x', false, () => {
    taken = true
  })
  mesh.clock.advance(10)
  expect(taken).toBe(true)
})
