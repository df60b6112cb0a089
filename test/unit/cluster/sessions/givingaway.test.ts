// A box that leaves gives its sessions away first, also where `sessions.copies` is 1.

import { expect, test } from 'vitest'
import type { ClientId } from '../../../../src/base/ids.ts'
import { LEFT_MS } from '../../../../src/cluster/members/memberstate.ts'
import { type GivenAway, GivingAway } from '../../../../src/cluster/sessions/givingaway.ts'
import type { Mesh } from '../../../mesh.ts'
import { A, B, boxesWith, C, kill, type SessionBox } from '../sessionbox.ts'

const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
const LONGEST_MS = 10_000
const texts = (packets: { payload?: unknown }[]) => packets.flatMap(({ payload }) => (payload ? [String(payload)] : []))

function sleeper(box: SessionBox, id: string, filter = 't') {
  const client = box.lab.connected({ id, ...lasting }).subscribe(filter, { qos: 1 })
  box.lab.clock.advance(1000)
  client.one('suback')
  client.drop()
  box.lab.clock.advance(100)
}

function give(box: SessionBox): { readonly giving: GivingAway; readonly answer: { given: GivenAway | null } } {
  const answer = { given: null as GivenAway | null }
  const giving = new GivingAway(box.lab.clock, box.lab.broker.transfer, box.copies, box.sessions)
  giving.give(LONGEST_MS, (given) => {
    answer.given = given
  })
  return { giving, answer }
}

/** As the others see it. */
function leave(mesh: Mesh, gone: SessionBox, others: readonly SessionBox[]): void {
  for (const other of others) mesh.cut(gone.id, other.id)
  for (const other of others) other.node.sees(gone.id, 'left', false)
}

test('its sessions go on at the others, with what comes in the moment in which it goes', () => {
  const { mesh, boxes } = boxesWith(1, A, B, C)
  const [a, b, c] = boxes as [SessionBox, SessionBox, SessionBox]
  for (const id of ['s1', 's2', 's3', 's4']) sleeper(a, id)
  const publisher = c.lab.connected({ id: 'p' })
  const publish = (messageId: number) => publisher.publish('t', `m${messageId}`, { qos: 1, messageId })
  publish(1)
  mesh.clock.advance(100)
  const { giving, answer } = give(a)
  mesh.clock.advance(500)
  expect(answer.given).toEqual({ given: 4, kept: 0 })
  publish(2)
  mesh.clock.advance(100)
  // On its way to the box when that goes.
  mesh.stall(C, A, true)
  publish(3)
  mesh.clock.advance(5)
  leave(mesh, a, [b, c])
  publish(4)
  giving.forget()
  mesh.clock.advance(1000)
  expect(a.lab.broker.counts().sessions).toBe(0)
  expect(publisher.take().filter(({ cmd }) => cmd === 'puback')).toHaveLength(4)
  for (const id of ['s1', 's2', 's3', 's4']) {
    expect([b.entry(id), c.entry(id)]).toEqual(b.session(id) === undefined ? ['c', 'c'] : ['b', 'b'])
    const client = b.lab.client().connect({ id, ...lasting })
    mesh.clock.advance(1000)
    const [connack, ...packets] = client.take()
    expect(connack).toMatchObject({ cmd: 'connack', reasonCode: 0, sessionPresent: true })
    expect(texts(packets)).toEqual(['m1', 'm2', 'm3', 'm4'])
  }
  mesh.clock.advance(LEFT_MS)
  expect(mesh.errors).toEqual([])
})

test('what it keeps going for a dead box goes on at another as well', () => {
  const { mesh, boxes } = boxesWith(2, A, B, C)
  const [a, b, c] = boxes as [SessionBox, SessionBox, SessionBox]
  sleeper(c, 's')
  const holder = [a, b].find(({ id }) => c.directory.get('s' as ClientId)!.backup === id)!
  const other = holder === a ? b : a
  kill(mesh, c, [a, b])
  mesh.clock.advance(100)
  expect(holder.session('s')?.place.at).toBe('standing-in')
  const { answer } = give(holder)
  mesh.clock.advance(500)
  expect(answer.given).toEqual({ given: 1, kept: 0 })
  leave(mesh, holder, [other])
  mesh.clock.advance(100)
  const client = other.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(100)
  expect(client.one('connack')).toMatchObject({ reasonCode: 0, sessionPresent: true })
})

test('nobody is there to take them: it keeps them, and nobody waits', () => {
  const { mesh, boxes } = boxesWith(1, A, B)
  const [a, b] = boxes as [SessionBox, SessionBox]
  sleeper(a, 's')
  kill(mesh, b, [a])
  const { giving, answer } = give(a)
  mesh.clock.advance(100)
  expect(answer.given).toEqual({ given: 0, kept: 1 })
  giving.forget()
  expect(a.session('s')).toBeDefined()
})

test('a box that takes none in time is not waited for without end', () => {
  const { mesh, boxes } = boxesWith(1, A, B)
  const [a] = boxes as [SessionBox]
  sleeper(a, 's')
  mesh.stall(A, B, true)
  const { answer } = give(a)
  mesh.clock.advance(LONGEST_MS - 100)
  expect(answer.given).toBeNull()
  mesh.clock.advance(300)
  expect(answer.given).toEqual({ given: 0, kept: 1 })
})
