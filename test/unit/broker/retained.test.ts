import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { Deadlines } from '../../../src/broker/deadlines.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { Publication } from '../../../src/broker/publication.ts'
import { RetainedMessages } from '../../../src/broker/retained.ts'
import { LwwReplica } from '../../../src/cluster/maps/lwwreplica.ts'
import { encodeLww } from '../../../src/wire/link/lww.ts'
import type { Message } from '../../../src/wire/message.ts'
import { retainedValue } from '../../../src/wire/record/retained.ts'
import { Mesh, nodeIdOf } from '../../mesh.ts'
import { message } from './make.ts'

const A = nodeIdOf(0xa)
const B = nodeIdOf(0xb)
const C = nodeIdOf(0xc)
const DAY_MS = 24 * 3600 * 1000

function box(mesh: Mesh, id: NodeId) {
  const node = mesh.start(id)
  const deadlines = new Deadlines(mesh.clock)
  let replica!: LwwReplica
  const retained = new RetainedMessages(mesh.clock, deadlines, new NoKeeper(), (bounds, table) => {
    replica = new LwwReplica(bounds, node.world, node.stamps, table)
    replica.attach(node)
    return replica
  })
  const publication = new Publication()
  /** As if a client had published it here; returns what goes to the other boxes. */
  const publish = (topic: string, payload: string, changes: Partial<Message> = {}): Message => {
    publication.fromMessage(message(payload, { topic, retain: true, ...changes }), true, 0)
    retained.accept(publication)
    const sent = publication.passing()
    publication.done()
    return sent
  }
  /** As if a member had sent it on. */
  const hear = (sent: Message) => {
    publication.fromMessage(sent, false, 0)
    retained.hear(publication)
    publication.done()
  }
  const all = () =>
    Object.fromEntries(retained.match('#').map(({ topic, message: held }) => [topic, held!.payload.toString()]))
  return { node, replica, retained, publish, hear, all, meter: node.meter }
}

test('every box holds what a member published, whether anybody there wants it or not', () => {
  const mesh = new Mesh()
  const [a, b] = [box(mesh, A), box(mesh, B)]
  b.hear(a.publish('x', '1'))
  b.hear(a.publish('y', '2'))
  expect(b.all()).toEqual({ x: '1', y: '2' })
  a.hear(b.publish('x', ''))
  expect([a.all(), a.retained.count, b.retained.count]).toEqual([{ y: '2' }, 1, 1])
})

test('a live message that is older than what stands here changes nothing', () => {
  const mesh = new Mesh()
  const [a, b] = [box(mesh, A), box(mesh, B)]
  const older = a.publish('x', 'older')
  const removed = a.publish('y', '')
  mesh.clock.advance(10)
  b.publish('x', 'later')
  b.hear(older)
  expect(b.all()).toEqual({ x: 'later' })
  b.hear({
    ...a.publish('y', 'before it was removed'),
    stamp: { ...removed.stamp!, wallMs: removed.stamp!.wallMs - 1 },
  })
  expect(b.all()).toEqual({ x: 'later', y: 'before it was removed' })
  b.hear(removed)
  expect(b.all()).toEqual({ x: 'later' })
})

test('its bytes are its own, its properties, QoS and publisher stay', () => {
  const mesh = new Mesh()
  const [a, b, c] = [box(mesh, A), box(mesh, B), box(mesh, C)]
  const sent = a.publish('x', 'payload', { qos: 2, properties: Buffer.from([1, 1]) })
  const borrowed = { ...sent, payload: Buffer.from(sent.payload), properties: Buffer.from(sent.properties) }
  b.hear(borrowed)
  borrowed.payload.fill(0)
  borrowed.properties.fill(0)
  mesh.link(B, C)
  mesh.clock.advance(5000)
  for (const held of [b, c]) {
    const { payload, properties, qos, publisher, counter, stamp, retain } = held.retained.match('x')[0]!.message!
    expect([payload.toString(), [...properties], qos, publisher, counter]).toEqual(['payload', [1, 1], 2, 'p', 1])
    expect([stamp, retain]).toEqual([sent.stamp, true])
  }
})

describe('after a cut', () => {
  test('the later write counts on both sides, and what was removed stays so', () => {
    const mesh = new Mesh()
    const [a, b] = [box(mesh, A), box(mesh, B)]
    for (const topic of ['x', 'goes', 'stays']) b.hear(a.publish(topic, 'before'))
    mesh.clock.advance(10)
    a.publish('x', 'a')
    a.publish('goes', '')
    mesh.clock.advance(10)
    b.publish('x', 'b')
    b.publish('only b', '1')
    mesh.link(A, B)
    mesh.clock.advance(5000)
    const all = { x: 'b', stays: 'before', 'only b': '1' }
    expect([a.all(), b.all()]).toEqual([all, all])
    expect(mesh.errors).toEqual([])
  })

  test('a new box has everything, with what is left of the expiry', () => {
    const mesh = new Mesh()
    const a = box(mesh, A)
    for (let index = 0; index < 2000; index++) a.publish(`site/${index}`, `value ${index}`)
    a.publish('short', '1', { expiresAt: mesh.clock.now() + 10_000 })
    mesh.clock.advance(4000)
    const b = box(mesh, B)
    mesh.link(A, B)
    mesh.clock.advance(5000)
    expect(b.retained.count).toBe(2001)
    expect(b.retained.match('short')).toHaveLength(1)
    mesh.clock.advance(1100)
    expect([a.retained.count, b.retained.count]).toEqual([2000, 2000])
    expect([a.retained.match('short'), b.retained.match('short')]).toEqual([[], []])
  })
})

test('a box that goes over to another cluster brings what it has as the oldest', () => {
  const mesh = new Mesh()
  const [a, b] = [box(mesh, A), box(mesh, B)]
  a.publish('both', 'theirs')
  a.publish('removed by b', '1')
  mesh.clock.advance(10)
  b.publish('both', 'brought')
  b.publish('only b', '1')
  b.publish('removed by b', '')
  b.replica.renounce(B)
  expect(b.all()).toEqual({ both: 'brought', 'only b': '1' })
  mesh.link(A, B)
  mesh.clock.advance(5000)
  for (const each of [a, b]) expect(each.all()).toEqual({ both: 'theirs', 'only b': '1', 'removed by b': '1' })
  expect(b.retained.match('only b')[0]!.message!.stamp).toEqual({ wallMs: 1, counter: 0, node: B })
  // Once all were asked, what is left of it is like anything else.
  mesh.clock.advance(90_000)
  for (const each of [a, b]) {
    expect(each.all()).toEqual({ both: 'theirs', 'only b': '1', 'removed by b': '1' })
    expect(each.retained.match('only b')[0]!.message!.stamp!.wallMs).toBeGreaterThan(mesh.clock.now())
  }
  a.publish('only b', '')
  mesh.clock.advance(20_000)
  expect(b.all()).toEqual({ both: 'theirs', 'removed by b': '1' })
})

test('what has expired is hidden, and remembered, so that no older one comes back', () => {
  const mesh = new Mesh()
  const a = box(mesh, A)
  const older = a.publish('x', 'older')
  a.publish('x', 'short', { expiresAt: mesh.clock.now() + 1000 })
  mesh.clock.advance(1001)
  expect([a.all(), a.retained.count]).toEqual([{}, 0])
  a.hear(older)
  expect(a.all()).toEqual({})
  const b = box(mesh, B)
  b.hear(older)
  mesh.link(A, B)
  mesh.clock.advance(5000)
  expect(b.all()).toEqual({})
  a.publish('x', 'new')
  expect([a.all(), a.retained.count]).toEqual([{ x: 'new' }, 1])
  mesh.cut(A, B)
  a.publish('x', '')
  mesh.clock.advance(31 * DAY_MS)
  expect(a.retained.get('x')).toBeUndefined()
})

test.each([
  ['under $SYS', '$SYS/broker/version', retainedValue(message('x'), 0)],
  ['under a filter', 'a/#', retainedValue(message('x'), 0)],
  ['without a payload', 'a', retainedValue(message(''), 0)],
  ['cut short', 'a', retainedValue(message('x'), 0).subarray(0, 30)],
])('one %s closes the link', (_what, topic, value) => {
  const mesh = new Mesh()
  const b = box(mesh, B)
  box(mesh, A)
  mesh.link(A, B)
  mesh.clock.advance(10)
  const item = { key: topic, stamp: b.node.stamps.next(), value }
  mesh.inject(A, B, 'lww.retained', encodeLww({ kind: 'change', items: [item] }))
  expect(mesh.errors).toHaveLength(1)
  expect(mesh.errors[0]).toMatch(/^a retained message /)
  expect([b.retained.count, mesh.linked(A, B)]).toEqual([0, false])
})
