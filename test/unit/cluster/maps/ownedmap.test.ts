import { expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { OwnedMap } from '../../../../src/cluster/maps/ownedmap.ts'
import { encodeOwned } from '../../../../src/wire/link/owned.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../../mesh.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const CHANNEL = 'owned.facts'

function member(mesh: Mesh, id: NodeId, wallMs?: number) {
  const node: MeshNode = mesh.start(id, wallMs)
  const events: string[] = []
  const map = new OwnedMap(
    { name: 'facts', valueBytesMax: 100, entriesMax: 50_000, check: () => {} },
    node.world,
    node,
    node,
    node.stamps,
    {
      changed: (owner, key, value) => events.push(`${owner.at(-1)} ${key} ${value?.toString() ?? 'gone'}`),
      partHidden: (owner) => events.push(`${owner.at(-1)} hidden`),
      partShown: (owner) => events.push(`${owner.at(-1)} shown`),
      partDropped: (owner, part) => events.push(`${owner.at(-1)} dropped ${part.size}`),
    },
  )
  const set = (key: string, value: string | null) => map.set(key, value === null ? null : Buffer.from(value))!
  const known = (owner: NodeId) =>
    Object.fromEntries([...(map.part(owner)?.entries() ?? [])].map(([key, value]) => [key, value.toString()]).sort())
  return { node, map, set, known, events, meter: node.meter }
}

const text = (map: OwnedMap) => Object.fromEntries([...map.own].map(([key, value]) => [key, value.toString()]).sort())

test('a newcomer gets the whole part, then what changes', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('one', '1')
  a.set('two', '2')
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.known(A)).toEqual({ one: '1', two: '2' })
  a.set('two', null)
  a.set('three', '3')
  mesh.clock.advance(100)
  expect(b.known(A)).toEqual({ one: '1', three: '3' })
  expect(b.events).toEqual(['a one 1', 'a two 2', 'a two gone', 'a three 3'])
  expect(b.meter.get('owned.facts.snapshot')).toBe(1)
  expect(mesh.errors).toEqual([])
})

test('changes of one turn travel as one delta, the last of a key', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  mesh.clock.advance(100)
  let deltas = 0
  mesh.watch = (from, _to, _channel, message) => {
    if (from === A && message[0] === 7) deltas++
  }
  a.set('x', '1')
  a.set('x', null)
  a.set('x', '2')
  a.set('y', '3')
  mesh.clock.advance(100)
  expect(deltas).toBe(1)
  expect(b.events).toEqual(['a x 2', 'a y 3'])
})

test('a link that comes back goes on with deltas', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  a.set('one', '1')
  mesh.clock.advance(100)
  mesh.cut(A, B)
  a.set('two', '2')
  a.set('one', null)
  mesh.clock.advance(100)
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.known(A)).toEqual({ two: '2' })
  expect(b.meter.get('owned.facts.snapshot')).toBe(1)
})

test('a follower that missed more than is kept gets the whole part', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  mesh.link(A, B)
  a.set('old', '1')
  mesh.clock.advance(100)
  mesh.cut(A, B)
  a.set('old', null)
  for (let index = 0; index < 5000; index++) {
    a.set(`key ${index}`, 'v')
    mesh.clock.settle()
  }
  mesh.link(A, B)
  mesh.clock.advance(500)
  expect(b.known(A)).toEqual(text(a.map))
  expect(b.meter.get('owned.facts.snapshot')).toBe(2)
  expect(b.events.filter((event) => event.endsWith('gone'))).toEqual(['a old gone'])
})

test('a restarted owner: what it no longer has goes, what it has stays without a gap', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('stays', '1')
  a.set('goes', '2')
  mesh.link(A, B)
  mesh.clock.advance(100)
  const again = member(mesh, A)
  again.set('stays', '1')
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.known(A)).toEqual({ stays: '1' })
  expect(b.events).toEqual(['a stays 1', 'a goes 2', 'a goes gone'])
})

test('an owner that restarts with its clock far behind starts above what it is known by', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  const c = member(mesh, C)
  for (let index = 0; index < 10; index++) a.set(`k${index}`, '1')
  mesh.link(A, B)
  mesh.clock.advance(100)
  const again = member(mesh, A, 0)
  again.set('k1', '2')
  mesh.link(A, C)
  mesh.clock.advance(100)
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(b.known(A)).toEqual({ k1: '2' })
  expect(c.known(A)).toEqual({ k1: '2' })
  expect(again.meter.get('owned.facts.risen')).toBe(1)
  expect(again.map.part(B)?.state).toBe('current')
  expect(mesh.errors).toEqual([])
})

test('a restart at the very same stamp is told apart', () => {
  const mesh = new Mesh()
  const b = member(mesh, B)
  const a = member(mesh, A)
  a.set('x', 'old')
  mesh.link(A, B)
  mesh.clock.advance(10)
  const again = member(mesh, A, 1_700_000_000_000 - 10)
  again.set('y', 'new')
  mesh.link(A, B)
  mesh.clock.advance(100)
  expect(again.meter.get('owned.facts.risen')).toBe(1)
  expect(b.known(A)).toEqual({ y: 'new' })
})

test('a large part comes in small messages, a few at a time, and stays right while it changes', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  for (let index = 0; index < 20_000; index++) a.set(`sensor/${index}`, 'v')
  mesh.delayMs = 5
  let longest = 0
  mesh.watch = (from, to, channel, message) => {
    longest = Math.max(longest, message.length)
    expect(mesh.pendingBytes(from, to, channel)).toBeLessThan(64 * 1024)
  }
  mesh.link(A, B)
  for (let step = 0; step < 50; step++) {
    mesh.clock.advance(3)
    a.set(`sensor/${step * 7}`, null)
    a.set(`sensor/${19_999 - step}`, 'changed')
    a.set(`new/${step}`, 'n')
    if (step > 0) a.set(`new/${step - 1}`, null)
  }
  mesh.clock.advance(2000)
  expect(longest).toBeLessThan(16 * 1024)
  expect(b.known(A)).toEqual(text(a.map))
  expect(b.map.part(A)!.summary).toMatchObject({ count: a.map.own.size })
  expect(b.meter.get('owned.facts.snapshot')).toBe(1)
})

test('a transfer that is cut off again and again loses and leaves nothing', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  for (let index = 0; index < 10_000; index++) a.set(`sensor/${index}`, 'v')
  mesh.link(A, B)
  mesh.clock.advance(1000)
  expect(b.map.part(A)!.whole).toBe(true)
  const again = member(mesh, A)
  for (let index = 5000; index < 15_000; index++) again.set(`sensor/${index}`, 'w')
  mesh.delayMs = 5
  for (const cutAfterMs of [40, 60, 30]) {
    mesh.link(A, B)
    mesh.clock.advance(cutAfterMs)
    expect(b.map.part(A)!.state).toBe('filling')
    // What is known stays known for the time of the transfer.
    expect(b.map.part(A)!.get('sensor/1')).toEqual(Buffer.from('v'))
    mesh.cut(A, B)
    expect(b.map.part(A)!.whole).toBe(false)
  }
  again.set('sensor/14999', null)
  mesh.link(A, B)
  mesh.clock.advance(2000)
  expect(b.known(A)).toEqual(text(again.map))
  expect(b.events.filter((event) => event.endsWith(' gone'))).toHaveLength(
    5000 + (b.events.includes('a sensor/14999 w') ? 1 : 0),
  )
  expect(b.meter.get('owned.facts.digest-mismatch')).toBe(0)
})

test('taken waits for every linked member and nobody else', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  const c = member(mesh, C)
  const done: string[] = []
  a.map.whenTaken(a.set('alone', '1'), () => done.push('alone'))
  expect(done).toEqual(['alone'])
  mesh.link(A, B)
  mesh.link(A, C)
  mesh.clock.advance(100)
  mesh.stall(A, C, true)
  a.map.whenTaken(a.set('x', '1'), () => {
    done.push('x')
    expect(b.known(A)).toMatchObject({ x: '1' })
  })
  mesh.clock.advance(100)
  expect(done).toEqual(['alone'])
  expect(b.known(A)).toMatchObject({ x: '1' })
  mesh.stall(A, C, false)
  mesh.clock.advance(100)
  expect(done).toEqual(['alone', 'x'])
  expect(c.known(A)).toMatchObject({ x: '1' })
  mesh.stall(A, C, true)
  a.map.whenTaken(a.set('y', '1'), () => done.push('y'))
  mesh.clock.advance(100)
  expect(done).not.toContain('y')
  a.node.sees(C, 'suspect')
  expect(done).toContain('y')
})

test('taken waits while the part is on its way to a new member, but not for all of it', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  for (let index = 0; index < 20_000; index++) a.set(`sensor/${index}`, 'v')
  const before = a.set('before', '1')
  mesh.delayMs = 20
  mesh.link(A, B)
  const done: string[] = []
  a.map.whenTaken(before, () => done.push('before'))
  mesh.clock.advance(100)
  a.map.whenTaken(a.set('during', '1'), () => {
    expect(b.known(A)).toMatchObject({ during: '1' })
    done.push('during')
  })
  mesh.clock.advance(100)
  expect(b.map.part(A)!.state).toBe('filling')
  expect(done).toEqual(['during'])
  mesh.clock.advance(4000)
  expect(done).toEqual(['during', 'before'])
  expect(b.map.part(A)!.state).toBe('current')
})

test('a member that lives but takes nothing holds nobody up for long, until it has caught up', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  member(mesh, B)
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.stall(B, A, true)
  let done = 0
  a.map.whenTaken(a.set('x', '1'), () => done++)
  mesh.clock.advance(4900)
  expect(done).toBe(0)
  mesh.clock.advance(200)
  expect(done).toBe(1)
  expect(a.meter.get('owned.facts.late')).toBe(1)
  a.map.whenTaken(a.set('y', '1'), () => done++)
  expect(done).toBe(2)
  mesh.stall(B, A, false)
  mesh.clock.advance(100)
  a.map.whenTaken(a.set('z', '1'), () => done++)
  expect(done).toBe(2)
  mesh.clock.advance(100)
  expect(done).toBe(3)
})

test('a healthy member under steady changes is never late', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  member(mesh, B)
  mesh.delayMs = 50
  mesh.link(A, B)
  let done = 0
  for (let step = 0; step < 2000; step++) {
    mesh.clock.advance(10)
    a.map.whenTaken(a.set(`k${step % 100}`, `${step}`), () => done++)
  }
  expect(a.meter.get('owned.facts.late')).toBe(0)
  expect(done).toBeGreaterThan(1980)
})

test('a dead member is hidden, shown when it is back, dropped when it has left', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('x', '1')
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.cut(A, B)
  b.node.sees(A, 'dead')
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.cut(A, B)
  b.node.sees(A, 'left')
  expect(b.events).toEqual(['a x 1', 'a hidden', 'a shown', 'a dropped 1'])
  expect([...b.map.owners]).toEqual([])
})

test('a part that is not what its owner says is asked for again, and said so loudly', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('x', '1')
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.watch = (_from, _to, _channel, message) => {
    // What a fault of ours could do: another value arrives than was sent.
    if (message[0] === 7) message.write('z', message.length - 1)
  }
  a.set('y', '2')
  mesh.clock.advance(10)
  expect(b.known(A)).toEqual({ x: '1', y: 'z' })
  mesh.clock.advance(20_000)
  expect(b.known(A)).toEqual({ x: '1', y: '2' })
  expect(b.meter.get('owned.facts.digest-mismatch')).toBe(1)
  expect(b.meter.get('owned.facts.snapshot')).toBe(2)
})

test('a missing delta is noticed at the next one', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  const b = member(mesh, B)
  a.set('x', '1')
  mesh.link(A, B)
  mesh.clock.advance(100)
  const { sequence } = b.map.part(A)!.position
  mesh.inject(A, B, CHANNEL, encodeOwned({ kind: 'delta', sequence: sequence + 2, changes: [] }))
  mesh.clock.advance(100)
  expect(b.meter.get('owned.facts.gap')).toBe(1)
  expect(b.known(A)).toEqual({ x: '1' })
  expect(b.map.part(A)!.whole).toBe(true)
})

test.each([
  [
    'a part of somebody else',
    encodeOwned({ kind: 'begin', position: { incarnation: { wallMs: 5, counter: 0, node: C }, run: 1, sequence: 1 } }),
  ],
  ['entries that nobody asked for', encodeOwned({ kind: 'entries', entries: [] })],
  [
    'a value that is too long',
    encodeOwned({ kind: 'delta', sequence: 1, changes: [{ key: 'k', value: Buffer.alloc(101) }] }),
  ],
  ['an acknowledgement of what was not sent', encodeOwned({ kind: 'taken', whole: true, sequence: 99 })],
  ['a wish for more of nothing', encodeOwned({ kind: 'more' })],
  [
    'an incarnation of the far future',
    encodeOwned({
      kind: 'follow',
      whole: true,
      position: { incarnation: { wallMs: 2 ** 47 + 1, counter: 0, node: B }, run: 1, sequence: 1 },
    }),
  ],
  ['an empty message', Buffer.alloc(0)],
])('a member that sends %s loses its link', (_name, message) => {
  const mesh = new Mesh()
  member(mesh, A)
  member(mesh, B)
  mesh.link(A, B)
  mesh.clock.advance(100)
  mesh.inject(A, B, CHANNEL, message)
  expect(mesh.errors).toHaveLength(1)
  expect(mesh.linked(A, B)).toBe(false)
})

test('a part has no more entries than it may', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  for (let index = 0; index < 50_000; index++) expect(a.map.set(`k${index}`, Buffer.alloc(0))).not.toBeNull()
  expect(a.map.set('one more', Buffer.alloc(0))).toBeNull()
  expect(a.map.set('k0', Buffer.from('x'))).not.toBeNull()
  expect(a.meter.get('owned.facts.full')).toBe(1)
})

test('a message of a kind from the future is passed over', () => {
  const mesh = new Mesh()
  const a = member(mesh, A)
  member(mesh, B)
  mesh.link(A, B)
  mesh.inject(B, A, CHANNEL, Buffer.from([200, 1, 2]))
  expect(mesh.linked(A, B)).toBe(true)
  expect(a.meter.get('owned.facts.unknown')).toBe(1)
})
