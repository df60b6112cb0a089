// Messages of share groups that wait until somebody of the group is known.

import { expect, test } from 'vitest'
import { Meter } from '../../../../src/base/meter.ts'
import { Unplaced } from '../../../../src/cluster/forwarding/unplaced.ts'
import { EMPTY, type Message } from '../../../../src/wire/message.ts'
import { VirtualClock } from '../../../virtual-clock.ts'

const message = (text: string, qos: Message['qos'] = 1) =>
  ({ topic: 't', qos, payload: Buffer.from(text), properties: EMPTY }) as unknown as Message

function make() {
  const clock = new VirtualClock()
  const meter = new Meter()
  const state = { there: false, coming: false }
  const placed: string[] = []
  const unplaced = new Unplaced(
    { clock, meter },
    {
      isThere: () => state.there,
      mayCome: () => state.coming,
      place: ({ payload }, key, hops) => placed.push(`${payload} ${key} ${hops}`),
    },
  )
  return { clock, meter, state, placed, unplaced }
}

test('while the box is young they wait, in order, with bytes of their own', () => {
  const { clock, state, placed, unplaced } = make()
  const first = message('1')
  expect([unplaced.keep(first, 'g/t', 0), unplaced.keep(message('2'), 'g/t', 3)]).toEqual([true, true])
  first.payload.fill(0x78)
  clock.advance(1000)
  expect(placed).toEqual([])
  state.there = true
  clock.advance(1000)
  expect(placed).toEqual(['1 g/t 0', '2 g/t 3'])
})

test('later only where somebody may come, and never for longer than half a minute', () => {
  const { clock, meter, state, placed, unplaced } = make()
  clock.advance(30_000)
  expect(unplaced.keep(message('1'), 'g/t', 0)).toBe(false)
  state.coming = true
  expect(unplaced.keep(message('2'), 'g/t', 0)).toBe(true)
  clock.advance(29_000)
  expect(meter.get('shares.nobody')).toBe(0)
  clock.advance(2000)
  state.there = true
  clock.advance(1000)
  expect([placed, meter.get('shares.nobody')]).toEqual([[], 1])
})

test('QoS 0 waits for nobody, and no more wait than there is room for', () => {
  const { meter, unplaced } = make()
  expect(unplaced.keep(message('0', 0), 'g/t', 0)).toBe(false)
  const large = message('x'.repeat(1024 * 1024))
  const kept = Array.from({ length: 10 }, () => unplaced.keep(large, 'g/t', 0))
  expect(kept.filter((one) => one)).toHaveLength(8)
  expect(meter.get('shares.unplaced-full')).toBe(2)
  const small = make()
  const many = Array.from({ length: 10_001 }, () => small.unplaced.keep(message(''), 'g/t', 0))
  expect(many.indexOf(false)).toBe(10_000)
  small.unplaced.stop()
})
