// Wills of clients whose box is gone: one of the others publishes them, later, unless the client has connected anywhere.

import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import type { Stamp } from '../../../../src/base/stamps.ts'
import type { LocalSessions, SessionView } from '../../../../src/broker/ports.ts'
import { dueMs, isBack } from '../../../../src/cluster/sessions/willchoice.ts'
import { Wills } from '../../../../src/cluster/sessions/wills.ts'
import { checkWill, decodeStanding, encodeStanding } from '../../../../src/wire/link/wills.ts'
import type { WillPacket } from '../../../../src/wire/mqtt/packets.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'

const [A, B, C] = [nodeIdOf(0xa), nodeIdOf(0xb), nodeIdOf(0xc)]
const AFTER_MS = 30_000
const will: WillPacket = {
  ...{ topic: 'w', qos: 1, retain: false, payload: Buffer.from('gone'), properties: Buffer.alloc(0) },
  ...{ delaySec: 0, expirySec: null },
}
const epochAt = (wallMs: number, node: NodeId = A): Stamp => ({ wallMs, counter: 0, node })

function box(mesh: Mesh, id: NodeId) {
  const node = mesh.start(id)
  const published: string[] = []
  const connects = new Map<string, Stamp>()
  const heard: string[] = []
  const local = {
    publishWill: (clientId: ClientId) => published.push(clientId),
    willPublished: (clientId: ClientId, { wallMs }: Stamp) => heard.push(`${clientId} ${wallMs}`),
  } as unknown as LocalSessions
  const wills = new Wills(node.world, node, node, node.stamps, {
    local: () => local,
    afterMs: () => AFTER_MS,
    lastConnect: (clientId) => connects.get(clientId) ?? null,
  })
  const has = (clientId: string, its: WillPacket | null = will, epoch = epochAt(1000)) =>
    wills.willChanged({ clientId, epoch, will: its, access: { account: null, listener: 'mqtt' } } as SessionView)
  return { node, wills, published, heard, connects, has }
}

function three() {
  const mesh = new Mesh()
  const [a, b, c] = [box(mesh, A), box(mesh, B), box(mesh, C)]
  for (const [one, other] of [
    [A, B],
    [A, C],
    [B, C],
  ] as const)
    mesh.link(one, other)
  mesh.clock.advance(100)
  const die = (id: NodeId, others: readonly ReturnType<typeof box>[]) => {
    for (const { node } of others) mesh.cut(id, node.self)
    for (const { node } of others) node.sees(id, 'dead', false)
  }
  return { mesh, a, b, c, die, published: () => [...b.published, ...c.published].sort() }
}

const clients = Array.from({ length: 20 }, (_, index) => `client ${index}`)

describe('a box that dies', () => {
  test('after will_after each will is published by one of the others, and they share the work', () => {
    const { mesh, a, b, c, die, published } = three()
    for (const client of clients) a.has(client)
    mesh.clock.advance(100)
    die(A, [b, c])
    mesh.clock.advance(AFTER_MS - 100)
    expect(published()).toEqual([])
    mesh.clock.advance(200)
    expect(published()).toEqual([...clients].sort())
    expect([b.published.length > 3, c.published.length > 3]).toEqual([true, true])
    mesh.clock.advance(20 * 60_000)
    expect([published().length, b.wills.pending, c.wills.pending]).toEqual([20, 0, 0])
  })

  test('not before the delay that the client has asked for', () => {
    const { mesh, a, b, c, die, published } = three()
    a.has('slow', { ...will, delaySec: 60 })
    mesh.clock.advance(100)
    die(A, [b, c])
    mesh.clock.advance(59_000)
    expect(published()).toEqual([])
    mesh.clock.advance(2000)
    expect(published()).toEqual(['slow'])
  })

  test('not when its client has connected since, or had said goodbye', () => {
    const { mesh, a, b, c, die, published } = three()
    for (const client of ['elsewhere', 'known later', 'goodbye', 'gone']) a.has(client)
    a.has('goodbye', null)
    mesh.clock.advance(100)
    die(A, [b, c])
    for (const { wills } of [b, c]) wills.connected('elsewhere' as ClientId, epochAt(2000, B))
    // An older CONNECT, told of late, says nothing.
    for (const { wills } of [b, c]) wills.connected('gone' as ClientId, epochAt(500, B))
    for (const { connects } of [b, c]) connects.set('known later', epochAt(2000, B))
    mesh.clock.advance(AFTER_MS + 100)
    expect(published()).toEqual(['gone'])
  })

  test('nor when it is back in time', () => {
    const { mesh, a, b, c, die, published } = three()
    a.has('stays')
    mesh.clock.advance(100)
    die(A, [b, c])
    mesh.clock.advance(AFTER_MS - 1000)
    for (const { node } of [b, c]) {
      mesh.link(A, node.self)
      node.sees(A, 'alive')
    }
    mesh.clock.advance(60_000)
    expect(published()).toEqual([])
  })

  test('the box that was to publish dies as well: the last one does', () => {
    const { mesh, a, b, c, die } = three()
    for (const client of clients) a.has(client)
    mesh.clock.advance(100)
    die(A, [b, c])
    mesh.clock.advance(AFTER_MS - 1000)
    die(C, [b])
    mesh.clock.advance(1200)
    expect([...b.published].sort()).toEqual([...clients].sort())
  })

  test('it leaves, or is removed: the same', () => {
    const { mesh, a, b, c, published } = three()
    a.has('left behind')
    mesh.clock.advance(100)
    for (const { node } of [b, c]) {
      mesh.cut(A, node.self)
      node.sees(A, 'left', false)
    }
    mesh.clock.advance(AFTER_MS + 100)
    expect(published()).toEqual(['left behind'])
  })
})

test('a box that is back without its clients: what was published of them is not published again', () => {
  const { mesh, a, b, c, die, published } = three()
  a.has('gone')
  mesh.clock.advance(100)
  die(A, [b, c])
  mesh.clock.advance(AFTER_MS + 100)
  expect(published()).toEqual(['gone'])
  a.wills.stop()
  const back = box(mesh, A)
  for (const { node } of [b, c]) mesh.link(A, node.self)
  for (const { node } of [b, c]) node.sees(A, 'alive')
  mesh.clock.advance(AFTER_MS + 1000)
  expect([published(), back.heard]).toEqual([['gone'], ['gone 1000']])
})

test('a box that begins anew so soon that nobody took it for dead: what it has forgotten is published by another', () => {
  const { mesh, a, b, c, published } = three()
  a.has('forgotten')
  a.has('remembered')
  mesh.clock.advance(100)
  const again = box(mesh, A)
  again.has('remembered')
  for (const other of [B, C]) mesh.link(A, other)
  mesh.clock.advance(AFTER_MS + 1000)
  expect([published(), again.published]).toEqual([['forgotten'], []])
  // Cut for a moment and goodbye meanwhile is no new beginning.
  mesh.cut(A, B)
  again.has('remembered', null)
  mesh.link(A, B)
  mesh.clock.advance(2 * AFTER_MS)
  expect([published(), b.wills.pending, c.wills.pending]).toEqual([['forgotten'], 0, 0])
})

test('what is too large for the others is not shared, and takes away what stood there', () => {
  const { mesh, a, b, c, die, published } = three()
  a.has('large')
  a.has('large', { ...will, payload: Buffer.alloc(100_000) })
  a.has('small')
  mesh.clock.advance(100)
  die(A, [b, c])
  mesh.clock.advance(AFTER_MS + 100)
  expect([published(), a.node.meter.get('wills.not-shared')]).toEqual([['small'], 1])
})

test('standing wills, byte for byte', () => {
  const standing = { epoch: epochAt(5), account: 'anna', listener: null, will: { ...will, expirySec: 7 } }
  const bytes = encodeStanding(standing)
  expect(bytes.toString('hex')).toBe(
    '000000000005' +
      '0000' +
      '000000000000000a' +
      '01' +
      '0004616e6e61' +
      '0000' +
      '000177' +
      '01' +
      '00' +
      '00000000' +
      '000000000008' +
      '00000000' +
      '00000004676f6e65',
  )
  expect(decodeStanding(Buffer.concat([bytes, Buffer.from('later')]))).toEqual(standing)
  for (const cut of [10, 17, 20, bytes.length - 1]) {
    expect(() => checkWill('w/c', bytes.subarray(0, cut)), `${cut}`).toThrow(PeerError)
  }
  expect(() => checkWill('w/c', encodeStanding({ ...standing, will: { ...will, topic: 'a/#' } }))).toThrow(PeerError)
  expect(() => checkWill('f/c', bytes.subarray(0, 15))).toThrow(PeerError)
  checkWill('x/of a later version', Buffer.alloc(0))
})

test('when a will is due, and who is back', () => {
  expect([dueMs(100, 30_000, 0), dueMs(100, 30_000, 10), dueMs(100, 30_000, 60)]).toEqual([30_100, 30_100, 60_100])
  expect([isBack(epochAt(5), epochAt(5)), isBack(epochAt(5), epochAt(6)), isBack(epochAt(5), epochAt(4))]).toEqual([
    false,
    true,
    false,
  ])
})
