// Clean Starts of which nobody was told count against what is older, and only so many are remembered.

import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import { Meter } from '../../../../src/base/meter.ts'
import { STAMP_AHEAD_MAX_MS, type Stamp } from '../../../../src/base/stamps.ts'
import { CLEAN_STARTS_MAX, CleanStarts } from '../../../../src/cluster/sessions/cleanstarts.ts'

const node = '00000000000000aa' as NodeId
const at = (wallMs: number): Stamp => ({ wallMs, counter: 0, node })
const client = (number: number) => `c${number}` as ClientId

test('a Clean Start ends what was there before it, and nothing else', () => {
  const starts = new CleanStarts(new Meter())
  starts.add(client(1), at(5))
  expect(starts.after(client(1), at(4))).toEqual(at(5))
  expect(starts.after(client(1), at(5))).toBeNull()
  expect(starts.after(client(1), at(6))).toBeNull()
  expect(starts.after(client(2), at(4))).toBeNull()
})

test('the oldest are forgotten, counted', () => {
  const meter = new Meter()
  const starts = new CleanStarts(meter)
  starts.add(client(0), at(5))
  starts.add(client(1), at(5))
  starts.add(client(0), at(6))
  for (let number = 2; number <= CLEAN_STARTS_MAX; number++) starts.add(client(number), at(7))
  expect(starts.after(client(1), at(1))).toBeNull()
  expect(starts.after(client(0), at(1))).toEqual(at(6))
  expect(starts.after(client(CLEAN_STARTS_MAX), at(1))).toEqual(at(7))
  expect(meter.get('sessions.clean-start-forgotten')).toBe(1)
})

test('they move with cluster time, as the epochs of sessions do', () => {
  const starts = new CleanStarts(new Meter())
  const byMs = 10 * STAMP_AHEAD_MAX_MS
  starts.add(client(1), at(1000))
  starts.timeMoved({ byMs, sinceMs: 500, nowMs: byMs + 2000, node })
  expect(starts.after(client(1), at(byMs))).toEqual(at(byMs + 1000))
})
