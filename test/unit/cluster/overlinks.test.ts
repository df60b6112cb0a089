// Routes and forwarding over true channels, with a socket that takes nothing for a while.

import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import { Forwarding } from '../../../src/cluster/forwarding/forwarding.ts'
import { Routes } from '../../../src/cluster/forwarding/routes.ts'
import { Shares } from '../../../src/cluster/forwarding/shares.ts'
import type { Membership } from '../../../src/cluster/ports.ts'
import { EMPTY } from '../../../src/wire/message.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { node, SeededRandom } from './fakes.ts'
import { type LaneBox, lanePair } from './lanebox.ts'
import { Net } from './net.ts'
import { Shelf } from './shelf.ts'

function member(clock: VirtualClock, self: NodeId, box: LaneBox) {
  const world = { clock, random: new SeededRandom(1), log: silentLog, meter: new Meter() }
  const membership: Membership = {
    self,
    member: (id) => ({ id, state: 'alive', linked: box.lanes !== null }),
    onChange: () => {},
  }
  const got: string[] = []
  const local = {
    deliverFromPeer: ({ topic, payload }: { topic: string; payload: Buffer }) =>
      got.push(`${topic} ${payload.toString('latin1', 0, payload.indexOf(0))} ${payload.length}`),
  }
  const stamps = new StampClock(self, () => clock.wall())
  const routes = new Routes(world, box.channels, membership, stamps)
  const bounds = { maxMessages: 100_000, maxBytes: 64 * 1024 * 1024, whenFull: 'drop-oldest' as const }
  const forwarding = new Forwarding(world, box.channels, membership, routes, {
    shares: new Shares(world, box.channels, membership, stamps, () => 'local'),
    bounds,
    local: () => local,
    keeping: new Shelf(clock).keeping,
  })
  return { box, routes, forwarding, got, meter: world.meter }
}

function pair() {
  const clock = new VirtualClock()
  const [near, far] = lanePair(new Net(clock))
  const a = member(clock, node('a'), near)
  const b = member(clock, node('b'), far)
  const link = () => {
    near.link()
    far.link()
  }
  return { clock, a, b, link }
}

const publish = (forwarding: Forwarding, topic: string, name: string, length: number) => {
  const payload = Buffer.alloc(length)
  payload.write(name)
  forwarding.forward({
    origin: { node: node('a'), incarnation: 1 },
    counter: 0,
    topic,
    qos: 0,
    retain: false,
    payload,
    properties: EMPTY,
    expiresAt: Number.POSITIVE_INFINITY,
    publisher: 'p' as ClientId,
    stamp: null,
  })
  return `${topic} ${name} ${length}`
}

test('messages of all sizes wait for a slow socket and arrive once, in order', () => {
  const { clock, a, b, link } = pair()
  link()
  b.routes.wanted('#', false, () => {})
  clock.advance(100)
  a.box.stream.hold()
  const sent: string[] = []
  for (let index = 0; index < 3000; index++) {
    const length = index % 100 === 99 ? 50_000 : index % 10 === 9 ? 15_000 : 30
    sent.push(publish(a.forwarding, `t/${index % 7}`, `${index}`, length))
    if (index % 50 === 0) clock.advance(1)
  }
  expect(a.forwarding.queue(node('b')).queued).toBeGreaterThan(1000)
  a.box.stream.release()
  clock.advance(5000)
  expect(b.got).toEqual(sent)
  expect(a.forwarding.queue(node('b')).queued).toBe(0)
  expect(a.forwarding.dropped).toBe(0)
  expect(b.meter.get('forward.gap')).toBe(0)
  expect(b.box.error).toBeNull()
})

test('a large part reaches a newcomer while messages pass, over a socket that stops now and then', () => {
  const { clock, a, b, link } = pair()
  for (let index = 0; index < 30_000; index++) a.routes.wanted(`sensor/${index}/state`, false, () => {})
  b.routes.wanted('#', false, () => {})
  link()
  const sent: string[] = []
  let taken = 0
  for (let step = 0; step < 100; step++) {
    if (step % 10 === 5) a.box.stream.hold()
    if (step % 10 === 8) a.box.stream.release()
    a.routes.wanted(`late/${step}`, false, () => taken++)
    if (step >= 10) sent.push(publish(a.forwarding, 'm', `${step}`, 200))
    clock.advance(10)
  }
  a.box.stream.release()
  clock.advance(3000)
  expect(b.routes.size).toBe(30_100)
  expect(taken).toBe(100)
  expect(b.got).toEqual(sent)
  expect(b.meter.get('owned.routes.snapshot')).toBe(1)
  expect(b.meter.get('owned.routes.digest-mismatch')).toBe(0)
  expect([a.box.error, b.box.error]).toEqual([null, null])
})

test('a link that goes and comes back leaves routes and numbers right', () => {
  const { clock, a, b, link } = pair()
  b.routes.wanted('x', false, () => {})
  link()
  clock.advance(100)
  publish(a.forwarding, 'x', 'one', 10)
  clock.advance(100)
  a.box.unlink()
  b.box.unlink()
  b.routes.wanted('y', false, () => {})
  b.routes.unwanted('x')
  clock.advance(100)
  link()
  clock.advance(100)
  expect([...a.routes.of(node('b'))]).toEqual(['y'])
  publish(a.forwarding, 'x', 'nobody', 10)
  publish(a.forwarding, 'y', 'two', 10)
  clock.advance(100)
  expect(b.got).toEqual(['x one 10', 'y two 10'])
  expect(b.meter.get('forward.gap')).toBe(0)
  expect(a.meter.get('owned.routes.snapshot')).toBe(1)
})
