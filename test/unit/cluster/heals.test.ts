import { expect, test } from 'vitest'
import type { InstanceId, NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { type HealedView, Heals } from '../../../src/cluster/heals.ts'
import { healsText } from '../../../src/ops/cli/heals.ts'
import { VirtualClock } from '../../virtual-clock.ts'

function lab() {
  const clock = new VirtualClock()
  const meter = new Meter()
  const heals = new Heals({ clock, meter })
  const sees = (name: string, state: HealedView['state'], instance = 'one') =>
    heals.look({ id: name as NodeId, name, instance: instance as InstanceId, state })
  return { clock, meter, heals, sees }
}

test('a member that was cut off and is heard again: how long, and what was counted from then until it settled', () => {
  const { clock, meter, heals, sees } = lab()
  meter.count('sessions.gone-on', 7)
  for (const name of ['gw-2', 'gw-3']) sees(name, 'dead')
  clock.advance(12_000)
  sees('gw-2', 'alive')
  meter.count('sessions.gone-on', 2)
  clock.advance(3000)
  sees('gw-3', 'alive')
  meter.count('forward.repeated', 5)
  expect(heals.rows()).toMatchObject([
    {
      members: [
        { name: 'gw-2', apartMs: 12_000 },
        { name: 'gw-3', apartMs: 15_000 },
      ],
      mended: { 'sessions that had gone on elsewhere': 2, 'messages that had come before': 5 },
      settling: true,
    },
  ])
  clock.advance(61_000)
  meter.count('forward.repeated', 100)
  const [heal] = heals.rows()
  expect([heal!.settling, heal!.mended['messages that had come before']]).toEqual([false, 5])
  expect(healsText(heals.rows())).toBe(
    '2026-01-01T00:00:13.000Z  gw-2 (apart for 12 s), gw-3 (apart for 15 s)\n' +
      '  2 sessions that had gone on elsewhere\n  5 messages that had come before',
  )
})

test('a member that was started anew, was only suspect, or has left is no heal', () => {
  const { clock, heals, sees } = lab()
  sees('gw-2', 'dead')
  clock.advance(1000)
  sees('gw-2', 'alive', 'two')
  sees('gw-2', 'suspect', 'two')
  sees('gw-2', 'alive', 'two')
  sees('gw-3', 'dead')
  sees('gw-3', 'left')
  sees('gw-3', 'alive')
  expect(heals.rows()).toEqual([])
  expect(healsText([])).toContain('no other was away')
})

test('the last fifty are kept', () => {
  const { clock, heals, sees } = lab()
  for (let times = 0; times < 60; times++) {
    sees('gw-2', 'dead')
    clock.advance(100_000)
    sees('gw-2', 'alive')
    clock.advance(61_000)
  }
  expect(heals.rows().length).toBe(50)
  expect(heals.rows().at(-1)).toMatchObject({ mended: {}, settling: false })
})
