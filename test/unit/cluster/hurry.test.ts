// A client is answered within 3 s, and has its session, though some box holds up the way that it takes.

import { describe, expect, test } from 'vitest'
import { Mesh } from '../../mesh.ts'
import { A, B, boxes, C, SessionBox } from './sessionbox.ts'

const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
const texts = (packets: { payload?: unknown }[]) => packets.flatMap(({ payload }) => (payload ? [String(payload)] : []))

describe('a session that is on its way from A to B, and C is silent to A', () => {
  function underway() {
    const { mesh, boxes: made } = boxes(A, B, C)
    const [a, b, c] = made as [SessionBox, SessionBox, SessionBox]
    a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(100)
    mesh.stall(C, A, true)
    a.node.sees(C, 'suspect')
    c.node.sees(A, 'suspect')
    const moved = b.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(100)
    expect(moved.one('connack')).toMatchObject({ sessionPresent: true })
    moved.subscribe('only/b', { qos: 1 })
    mesh.clock.advance(100)
    return { mesh, a, b, c }
  }

  for (const [name, index] of [
    ['where it was', 0],
    ['at a third box', 2],
  ] as const) {
    test(`goes on to its client ${name}, with all that it was granted`, () => {
      const { mesh, a, b, c } = underway()
      const client = [a, b, c][index]!.lab.client().connect({ id: 's', ...lasting })
      mesh.clock.advance(1000)
      expect(client.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
      const publisher = b.lab.connected({ id: 'p' }).publish('only/b', '1', { qos: 1, messageId: 1 })
      publisher.publish('t', '2', { qos: 1, messageId: 2 })
      mesh.clock.advance(100)
      expect(texts(client.take())).toEqual(['1', '2'])
      expect(a.node.meter.get('sessions.hurried')).toBe(1)
      expect(mesh.errors).toEqual([])
    })
  }

  test('brings nothing that its client has unsubscribed from where it is now', () => {
    const { mesh, a, b, c } = underway()
    const client = b.lab.client().connect({ id: 's', ...lasting })
    client.subscribe('u', { qos: 1 }).unsubscribe('t')
    mesh.clock.advance(100)
    expect(client.take().at(-1)).toMatchObject({ cmd: 'unsuback' })
    const publisher = a.lab.connected({ id: 'p' })
    publisher.publish('t', 'not any more', { qos: 1, messageId: 1 }).publish('u', 'this', { qos: 1, messageId: 2 })
    mesh.stall(C, A, false)
    a.node.sees(C, 'alive')
    c.node.sees(A, 'alive')
    mesh.clock.advance(1000)
    expect(texts(client.take())).toEqual(['this'])
    expect(a.session('s')).toBeUndefined()
  })

  test('stays where it was when its client is back there and the other box is not heard any more', () => {
    const { mesh, a, b, c } = underway()
    mesh.stall(B, A, true)
    mesh.stall(A, B, true)
    a.node.sees(B, 'suspect')
    const client = a.lab.client().connect({ id: 's', ...lasting })
    mesh.clock.advance(1900)
    expect(client.take()).toEqual([])
    mesh.clock.advance(200)
    expect(client.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
    mesh.cut(A, B)
    mesh.clock.advance(100)
    mesh.link(A, B)
    mesh.stall(C, A, false)
    a.node.sees(C, 'alive')
    c.node.sees(A, 'alive')
    mesh.clock.advance(8000)
    c.lab.connected({ id: 'p' }).publish('only/b', 'x')
    mesh.clock.advance(100)
    expect(texts(client.take())).toEqual(['x'])
    expect([a.entry('s'), b.entry('s'), b.session('s')]).toEqual(['a', 'a', undefined])
    expect(mesh.errors).toEqual([])
  })
})

test('a session leaves its box only when those that hear that box know where it has gone', () => {
  const { mesh, boxes: made } = boxes(A, B, C)
  const [a, b, c] = made as [SessionBox, SessionBox, SessionBox]
  a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
  mesh.clock.advance(100)
  mesh.cut(B, C)
  mesh.clock.advance(100)
  const client = b.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(500)
  const publisher = c.lab.connected({ id: 'p' }).publish('t', 'by way of A', { qos: 1, messageId: 1 })
  mesh.clock.advance(500)
  publisher.one('puback')
  mesh.link(B, C)
  mesh.clock.advance(500)
  expect(a.session('s')).toBeUndefined()
  publisher.publish('t', 'directly', { qos: 1, messageId: 2 })
  mesh.clock.advance(500)
  expect(texts(client.take())).toEqual(['by way of A', 'directly'])
  expect(mesh.errors).toEqual([])
})

test('whoever has a session and cannot give it yet says so: its client comes again, and does not begin without', () => {
  const { mesh, boxes: made } = boxes(A, B, C)
  const [a, b, c] = made as [SessionBox, SessionBox, SessionBox]
  const first = a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
  mesh.clock.advance(100)
  first.take()
  // Its former box is not heard by the new one any more, so that nobody can hurry it.
  mesh.stall(C, A, true)
  b.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(100)
  mesh.stall(A, B, true)
  mesh.stall(B, A, true)
  const client = c.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(2900)
  expect(client.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0x89 }])
  mesh.stall(A, B, false)
  mesh.stall(B, A, false)
  mesh.stall(C, A, false)
  mesh.clock.advance(5000)
  const again = c.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(1000)
  expect(again.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
})

describe('a box that has just been started', () => {
  function started(linkedAfterMs: number | null) {
    const mesh = new Mesh()
    const a = new SessionBox(mesh, A)
    const first = a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
    mesh.clock.advance(1000)
    first.take()
    const b = new SessionBox(mesh, B, 2, [A])
    const client = b.lab.client().connect({ id: 's', ...lasting })
    if (linkedAfterMs !== null) {
      mesh.clock.advance(linkedAfterMs)
      expect(client.take()).toEqual([])
      mesh.link(A, B)
    }
    return { mesh, b, client }
  }

  test('gives a client the session that it has at a box which links a little later', () => {
    const { mesh, client } = started(1500)
    mesh.clock.advance(1000)
    expect(client.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
  })

  test('and that was linked before waits for that no longer than two seconds, and only at first', () => {
    const { mesh, b, client } = started(null)
    mesh.clock.advance(1900)
    expect(client.take()).toEqual([])
    mesh.clock.advance(200)
    expect(client.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: false }])
    b.lab
      .client()
      .connect({ id: 'next', ...lasting })
      .one('connack')
  })
})
