import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Positions } from '../../../../src/base/positions.ts'
import { clientPorts, MemberListeners } from '../../../../src/cluster/members/memberlisteners.ts'
import { handOver } from '../../../../src/cluster/sessions/draining.ts'
import { checkFact, encodePort } from '../../../../src/wire/link/facts.ts'
import { Mesh, nodeIdOf } from '../../../mesh.ts'
import { VirtualClock } from '../../../virtual-clock.ts'

const [A, B] = [nodeIdOf(0xa), nodeIdOf(0xb)]

test('clients are told of boxes that live, are linked and have a listener of the same type', () => {
  const mesh = new Mesh()
  const known = new Map<NodeId, { state: 'alive' | 'suspect' | 'dead'; linked: boolean }>()
  const listeners = (id: NodeId) => {
    const node = mesh.start(id)
    const members = () =>
      [...known].map(([other, is]) => ({ id: other, ...is, endpoints: [{ address: '10.0.0.2', port: 4883 }] }))
    return new MemberListeners(node.world, node, node, node.stamps, members)
  }
  const [a, b] = [listeners(A), listeners(B)]
  mesh.link(A, B)
  b.open([
    { type: 'mqtt', port: 1883 },
    { type: 'mqtts', port: 8883 },
    { type: 'mqtt', port: 2883 },
  ])
  mesh.clock.advance(100)
  expect(a.elsewhere('mqtt')).toEqual([])
  known.set(B, { state: 'alive', linked: true })
  expect(a.elsewhere('mqtt')).toEqual([{ address: '10.0.0.2', port: 1883 }])
  expect(a.elsewhere('mqtts')).toEqual([{ address: '10.0.0.2', port: 8883 }])
  expect(a.elsewhere('ws')).toEqual([])
  b.open([{ type: 'mqtt', port: 2883 }])
  mesh.clock.advance(100)
  expect([a.elsewhere('mqtt')[0]?.port, a.elsewhere('mqtts')]).toEqual([2883, []])
  for (const is of [
    { state: 'suspect', linked: true },
    { state: 'dead', linked: false },
  ] as const) {
    known.set(B, is)
    expect(a.elsewhere('mqtt')).toEqual([])
  }
})

test('what other machines cannot reach is not told', () => {
  const row = (type: string, bind: string) => ({ settings: { type, bind }, port: 1 })
  const rows = [row('mqtt', '0.0.0.0'), row('unix', ''), row('ws', '127.0.0.1'), row('wss', '::1')]
  expect(clientPorts(rows)).toEqual([{ type: 'mqtt', port: 1 }])
})

test('a listener, byte for byte', () => {
  expect(encodePort(1883).toString('hex')).toBe('075b')
  for (const hex of ['', '07', '0000']) {
    expect(() => checkFact('listener/mqtt', Buffer.from(hex, 'hex')), hex).toThrow(PeerError)
  }
  checkFact('listener/mqtt', Buffer.from('075b00', 'hex'))
  checkFact('of a later version', Buffer.alloc(0))
})

test('what is staged is handed over when it is safe, and nobody waits for that for long', () => {
  const clock = new VirtualClock()
  const positions = new Positions(clock)
  const told: boolean[] = []
  handOver(clock, positions, (whole) => told.push(whole))
  clock.settle()
  expect(told).toEqual([true])
  const lane = positions.lane('copies')
  const position = lane.staged()
  handOver(clock, positions, (whole) => told.push(whole))
  clock.advance(200)
  expect(told).toEqual([true])
  lane.settled(position)
  clock.advance(1)
  expect(told).toEqual([true, true])
  const late = lane.staged()
  handOver(clock, positions, (whole) => told.push(whole))
  clock.advance(600)
  expect(told).toEqual([true, true, false])
  lane.settled(late)
  clock.advance(1)
  expect(told.length).toBe(3)
})
