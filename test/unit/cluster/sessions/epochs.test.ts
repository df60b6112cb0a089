// Epochs that a wrong clock has made, when cluster time is moved.

import { expect, test } from 'vitest'
import type { ClientId } from '../../../../src/base/ids.ts'
import { movedEpoch } from '../../../../src/cluster/sessions/epochs.ts'
import { A, B, boxes, type SessionBox } from '../sessionbox.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR
const NOON = Date.UTC(2026, 10, 21, 12)

test.each([
  ['ahead of everybody, ours', { wallMs: NOON + 40 * DAY, node: A }, { byMs: -41 * DAY, sinceMs: NOON }, NOON - DAY],
  ['ahead of everybody, given elsewhere', { wallMs: NOON + 2 * DAY, node: B }, { byMs: -2 * DAY, sinceMs: NOON }, NOON],
  ['ahead of what it was moved to', { wallMs: NOON + 5 * DAY, node: A }, { byMs: -2 * DAY, sinceMs: NOON }, NOON],
  ['late, ours', { wallMs: HOUR, node: A }, { byMs: NOON - 2 * HOUR, sinceMs: 0 }, NOON - HOUR],
  ['late, given elsewhere', { wallMs: HOUR, node: B }, { byMs: NOON - 2 * HOUR, sinceMs: 0 }, null],
  ['late, of an earlier run', { wallMs: HOUR, node: A }, { byMs: 10 * DAY, sinceMs: NOON - 10 * DAY }, null],
  ['right, while a late clock was moved', { wallMs: NOON - HOUR, node: A }, { byMs: NOON - DAY, sinceMs: 0 }, null],
  ['less ahead than clocks may differ', { wallMs: NOON + 23 * HOUR, node: A }, { byMs: -2 * DAY, sinceMs: NOON }, null],
  ['ours, of a small step', { wallMs: NOON, node: A }, { byMs: 23 * HOUR, sinceMs: NOON }, null],
] as const)('an epoch %s', (_name, { wallMs, node }, step, expected) => {
  const moved = movedEpoch({ wallMs, node, counter: 7 }, { ...step, nowMs: NOON, node: A })
  expect(moved).toEqual(expected === null ? null : { wallMs: expected, node, counter: 7 })
})

test('a session of a box whose clock was ahead goes to where its client connects when that has been put right', () => {
  const { mesh, boxes: all } = boxes(A, B)
  const [a, b] = all as [SessionBox, SessionBox]
  const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } } as const
  const first = a.lab.connected({ id: 's', ...lasting }).subscribe('t', { qos: 1 })
  mesh.clock.advance(1000)
  first.one('suback')
  const session = a.session('s')!
  const ahead = { ...session.epoch!, wallMs: session.epoch!.wallMs + 2 * DAY }
  a.lab.broker.transfer.restamp(session, ahead)
  a.sessions.clients.connected('s' as ClientId, ahead)
  a.directory.set('s' as ClientId, { ...a.directory.get('s' as ClientId)!, epoch: ahead, base: ahead })
  mesh.clock.advance(1000)
  a.sessions.timeMoved(-2 * DAY, 0)
  mesh.clock.advance(1000)
  const second = b.lab.client().connect({ id: 's', ...lasting })
  mesh.clock.advance(1000)
  expect(second.take()).toMatchObject([{ cmd: 'connack', reasonCode: 0, sessionPresent: true }])
  expect(first.take()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x8e }])
  expect([a.entry('s'), b.entry('s'), a.session('s')]).toEqual(['b', 'b', undefined])
  expect(mesh.errors).toEqual([])
})
