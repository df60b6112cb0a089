import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Positions } from '../../../../src/base/positions.ts'
import { NoKeeper } from '../../../../src/broker/ports.ts'
import { LwwMap } from '../../../../src/cluster/maps/lwwmap.ts'
import { encodeLww } from '../../../../src/wire/link/lww.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../../mesh.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const DAY_MS = 24 * 3600 * 1000

function member(mesh: Mesh, id: NodeId, wallMs?: number) {
  const node: MeshNode = mesh.start(id, wallMs)
  const events: string[] = []
  const map = new LwwMap(
    {
      name: 'facts',
      keyBytesMax: 100,
      valueBytesMax: 40_000,
      entriesMax: 20_000,
      check: (key) => {
        if (key.startsWith('!')) throw new PeerError('a key that nobody may write')
      },
    },
    node.world,
    node.stamps,
    { changed: (key, value, _stamp, from) => events.push(`${key} ${value ?? 'gone'} ${from?.at(-1) ?? 'here'}`) },
    new NoKeeper(new Positions(mesh.clock)),
  )
  map.attach(node)
  const set = (key: string, value: string | null) => map.set(key, value === null ? null : Buffer.from(value))
  const known = () => Object.fromEntries([...map.entries()].map(({ key, value }) => [key, value.toString()]).sort())
  return { node, map, set, known, events, meter: node.meter }
}

test('what is written here is there at once, and what is removed is gone there', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  mesh.clock.advance(10)
  const stamp = a.set('one', '1')
  a.set('two', '2')
  mesh.clock.advance(5)
  expect(b.known()).toEqual({ one: '1', two: '2' })
  expect(b.map.value('one')).toEqual({ key: 'one', value: Buffer.from('1'), stamp })
  b.set('one', null)
  mesh.clock.advance(5)
  expect(a.known()).toEqual({ two: '2' })
  expect([a.map.size, b.map.size]).toEqual([1, 1])
  expect(a.events).toEqual(['one 1 here', 'two 2 here', 'one gone b'])
  expect(b.events).toEqual(['one 1 a', 'two 2 a', 'one gone here'])
  expect(mesh.errors).toEqual([])
})

test('the later write wins on both sides of a cut, whatever the order of its arrival', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('x', 'older')
  a.set('only a', '1')
  mesh.clock.advance(10)
  b.set('x', 'later')
  b.set('only b', '2')
  mesh.link(A, B)
  mesh.clock.advance(5000)
  expect(a.known()).toEqual({ x: 'later', 'only a': '1', 'only b': '2' })
  expect(b.known()).toEqual(a.known())
  expect(mesh.errors).toEqual([])
})

test('a removal on one side of a cut removes on the other', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  a.set('x', '1')
  mesh.clock.advance(10)
  mesh.cut(A, B)
  b.set('x', null)
  mesh.link(A, B)
  mesh.clock.advance(5000)
  expect([a.known(), b.known()]).toEqual([{}, {}])
})

test('a box that starts afresh gets everything from one other, and removes nothing', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  for (let index = 0; index < 3000; index++) a.set(`topic/${index}`, `value ${index}`)
  mesh.clock.advance(1000)
  const c = member(mesh, C)
  const given = new Map<NodeId, number>()
  mesh.watch = (from, to, _channel, message) => {
    if (to === C && message[0] === 7) given.set(from, (given.get(from) ?? 0) + message.length)
  }
  mesh.link(A, C)
  mesh.link(B, C)
  mesh.clock.advance(15_000)
  expect(c.map.size).toBe(3000)
  expect(c.known()).toEqual(a.known())
  expect([...given.keys()]).toEqual([A])
  expect(given.get(A)!).toBeLessThan(3000 * 60)
  expect(b.map.size).toBe(3000)
  expect(c.meter.get('lww.facts.compared')).toBe(1)
  expect(mesh.errors).toEqual([])
})

test('a difference is repaired only when it is still there two seconds later', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('x', '1')
  mesh.clock.settle()
  mesh.link(A, B)
  mesh.clock.advance(1900)
  expect(b.known()).toEqual({})
  mesh.clock.advance(200)
  expect(b.known()).toEqual({ x: '1' })
})

test('what found no room on the link is repaired', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  for (let index = 0; index < 60; index++) {
    a.set(`large/${index}`, 'x'.repeat(40_000))
    mesh.clock.settle()
  }
  expect(a.meter.get('lww.facts.lagged')).toBeGreaterThan(0)
  mesh.stall(A, B, false)
  mesh.clock.advance(20_000)
  expect(b.map.size).toBe(60)
  expect(mesh.errors).toEqual([])
})

test('what nobody told of passes through a third box', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const c = member(mesh, C)
  member(mesh, B)
  mesh.link(A, B)
  mesh.link(B, C)
  mesh.clock.advance(100)
  a.set('x', '1')
  mesh.clock.advance(25_000)
  expect(c.known()).toEqual({ x: '1' })
})

test('removed entries are forgotten after 30 days; whoever was away so long has theirs removed, and keeps what is newer', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  const c = member(mesh, C)
  mesh.link(A, B)
  mesh.link(A, C)
  mesh.link(B, C)
  a.set('goes', '1')
  a.set('stays', '1')
  mesh.clock.advance(10)
  mesh.cut(A, C)
  mesh.cut(B, C)
  a.set('goes', null)
  mesh.clock.advance(10)
  mesh.cut(A, B)
  mesh.clock.advance(DAY_MS)
  c.set('written alone', '1')
  mesh.clock.advance(29 * DAY_MS + 7 * 3600 * 1000)
  expect([a.map.stampOf('goes'), b.map.stampOf('goes')]).toEqual([null, null])
  expect(c.known()).toHaveProperty('goes')
  mesh.link(A, C)
  mesh.clock.advance(20_000)
  const all = { stays: '1', 'written alone': '1' }
  expect([a.known(), c.known()]).toEqual([all, all])
  expect(c.events.at(-1)).toBe('goes gone here')
  mesh.link(B, C)
  mesh.clock.advance(20_000)
  expect(b.known()).toEqual(all)
})

/** Members A and B that have forgotten a removal, and C with something of its own. */
function broughtTo(mesh: Mesh) {
  const [a, b, c] = [member(mesh, A), member(mesh, B), member(mesh, C)]
  mesh.link(A, B)
  a.set('x', '1')
  a.set('x', null)
  mesh.clock.advance(10)
  // What is linked has much to do in a month.
  mesh.cut(A, B)
  mesh.clock.advance(30 * DAY_MS + 7 * 3600 * 1000)
  mesh.link(A, B)
  expect([a.map.horizon, b.map.horizon].map((horizon) => horizon?.node)).toEqual([A, A])
  a.set('both', 'theirs')
  c.set('both', 'brought')
  c.set('only c', '1')
  c.map.renounce(C)
  return { a, b, c, all: { both: 'theirs', 'only c': '1' } }
}

test('what a box brings along from its own cluster is not taken for removed, however far back that is forgotten', () => {
  const mesh = new Mesh()
  const { a, b, c, all } = broughtTo(mesh)
  mesh.link(A, C)
  mesh.clock.advance(20_000)
  expect(c.known()).toEqual(all)
  mesh.link(B, C)
  mesh.clock.advance(90_000)
  for (const each of [a, b, c]) expect(each.known()).toEqual(all)
  expect(c.meter.get('lww.facts.brought')).toBe(1)
  // From then on it is like anything else: it outlives who brought it, and stays removed once it is.
  const stamp = a.map.stampOf('only c')!
  expect(stamp.wallMs).toBeGreaterThan(a.map.horizon!.wallMs)
  b.set('only c', null)
  mesh.clock.advance(20_000)
  expect(c.known()).toEqual({ both: 'theirs' })
  expect(mesh.errors).toEqual([])
})

test('what was brought along is not said to be removed by a member that was away meanwhile', () => {
  const mesh = new Mesh()
  const { a, b, c, all } = broughtTo(mesh)
  mesh.cut(A, B)
  mesh.link(A, C)
  mesh.clock.advance(90_000)
  mesh.cut(A, C)
  mesh.link(A, B)
  mesh.clock.advance(20_000)
  for (const each of [a, b, c]) expect(each.known()).toEqual(all)
})

test('what was removed there a while ago is removed here too, though it was brought along', () => {
  const mesh = new Mesh()
  const { a, b, c } = broughtTo(mesh)
  a.set('only c', '2')
  a.set('only c', null)
  mesh.link(A, C)
  mesh.clock.advance(90_000)
  for (const each of [a, b, c]) expect(each.known()).toEqual({ both: 'theirs' })
})

test('before 30 days are over a removal is remembered', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  a.set('x', '1')
  a.set('x', null)
  mesh.clock.advance(29 * DAY_MS)
  expect(a.map.stampOf('x')).not.toBe(null)
})

test('a clock that is more than a day ahead is refused, and told of', () => {
  const mesh = new Mesh()
  const a = member(mesh, A, 1_700_000_000_000)
  const b = member(mesh, B, 1_700_000_000_000 + DAY_MS + 60_000)
  mesh.link(A, B)
  mesh.clock.advance(10)
  b.set('x', '1')
  mesh.clock.advance(5000)
  expect(a.known()).toEqual({})
  expect(a.meter.get('clock-ahead')).toBeGreaterThan(0)
  const name = (node: NodeId) => (node === B ? 'gw-2' : node)
  expect(a.map.problems(name)).toEqual(['facts: what gw-2 wrote is refused: its clock is more than a day ahead'])
  expect(b.map.problems(name)).toEqual([])
  expect(mesh.errors).toEqual([])
})

test('there is room for so many entries and no more, whoever writes them', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  for (let index = 0; index < 20_000; index++) a.set(`a ${index}`, 'x')
  b.set('one more', 'x')
  expect(a.set('too many', 'x')).toBe(null)
  expect(a.set('a 7', 'y')).not.toBe(null)
  mesh.link(A, B)
  mesh.clock.advance(30_000)
  expect([a.map.size, b.map.size]).toEqual([20_000, 20_000])
  expect(a.meter.get('lww.facts.full')).toBeGreaterThan(1)
  expect(mesh.errors).toEqual([])
})

const entry = (key: string, value: string | null) => ({
  key,
  stamp: { wallMs: 1_700_000_000_000, counter: 1, node: A },
  value: value === null ? null : Buffer.from(value),
})
const nonsense: readonly [string, Buffer, string][] = [
  ['an empty message', Buffer.alloc(0), 'shared map: empty message'],
  ['a message cut short', Buffer.from([1, 0, 5, 65]), 'shared map: change cut short'],
  ['a key too long', encodeLww({ kind: 'change', items: [entry('k'.repeat(101), 'x')] }), 'shared map: key too long'],
  [
    'a value too long',
    encodeLww({ kind: 'entries', items: [entry('k', 'x'.repeat(40_001))] }),
    'shared map: value too long',
  ],
  [
    'an entry of the wrong kind',
    encodeLww({ kind: 'change', items: [entry('!', 'x')] }),
    'a key that nobody may write',
  ],
  ['a branch that is none', Buffer.from([3, 64]), 'shared map: a branch that is none'],
  [
    'more questions than answers',
    Buffer.from([3, ...Array(65).fill(1)]),
    'shared map: asked for more branches than there are',
  ],
]

test.each(nonsense)('%s closes the link, and nothing else happens', (_what, bytes, error) => {
  const mesh = new Mesh()
  member(mesh, A)
  const b = member(mesh, B)
  const c = member(mesh, C)
  mesh.link(A, B)
  mesh.link(B, C)
  mesh.clock.advance(100)
  mesh.inject(A, B, 'lww.facts', bytes)
  expect(mesh.errors).toEqual([error])
  expect([mesh.linked(A, B), mesh.linked(B, C)]).toEqual([false, true])
  c.set('x', '1')
  mesh.clock.advance(100)
  expect(b.known()).toEqual({ x: '1' })
})

test('what is said to be forgotten, and was written later, stays', () => {
  const mesh = new Mesh()
  member(mesh, A)
  const b = member(mesh, B)
  const stamp = b.set('x', '1')!
  mesh.link(A, B)
  mesh.clock.advance(100)
  const gone = (horizon: typeof stamp) => encodeLww({ kind: 'gone', horizon, have: [{ key: 'x', stamp }] })
  mesh.inject(A, B, 'lww.facts.sync', gone({ ...stamp, wallMs: stamp.wallMs - 1 }))
  expect(mesh.errors).toEqual(['shared map: said to be removed, and later than what was forgotten'])
  expect(b.known()).toEqual({ x: '1' })
})
