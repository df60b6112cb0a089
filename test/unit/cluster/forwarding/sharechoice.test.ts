import { expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { choose, type Holding, isOurs } from '../../../../src/cluster/forwarding/sharechoice.ts'
import type { SharePolicy } from '../../../../src/cluster/settings.ts'

const member = (peer: string, connected: number, durable = false, visible = true): Holding => ({
  ...{ peer: peer as NodeId, connected, durable, visible },
})

type Row = [why: string, SharePolicy, ready: 0 | 1 | 2, here: number, elsewhere: number, turn: number, ours: boolean]
const rows: Row[] = [
  ['nobody elsewhere', 'local', 2, 1, 0, 0, true],
  ['nobody elsewhere, and away here: it waits here', 'local', 0, 0, 0, 0, true],
  ['away here, connected elsewhere', 'local', 0, 0, 1, 0, false],
  ['connected here, though slow', 'local', 1, 1, 5, 3, true],
  ['our turn', 'round-robin', 2, 1, 2, 0, true],
  ['their turn', 'round-robin', 2, 1, 2, 1, false],
  ['the second of ours', 'round-robin', 2, 2, 2, 5, true],
  ['nobody of ours is there', 'round-robin', 0, 0, 2, 0, false],
]

test.each(rows)('%s (%s)', (_why, policy, ready, here, elsewhere, turn, ours) => {
  expect(isOurs(policy, ready, here, elsewhere, turn)).toBe(ours)
})

test('members get messages as often as they have connected consumers', () => {
  const holdings = [member('b', 2), member('c', 1), member('d', 5, true, false), member('e', 0, true)]
  expect([0, 1, 2, 3, 4, 5].map((turn) => choose(holdings, turn)?.peer)).toEqual(['b', 'b', 'c', 'b', 'b', 'c'])
})

const away: [why: string, Holding[], peer: string | undefined][] = [
  ['one that lives before one that is dead', [member('b', 0, true), member('a', 0, true, false)], 'b'],
  ['the same for all boxes', [member('c', 0, true), member('b', 0, true)], 'b'],
  ['a dead one, where a session waits', [member('b', 3, true, false)], 'b'],
  ['a dead one, where nothing waits', [member('b', 3, false, false)], undefined],
  ['nobody is there', [member('b', 0)], undefined],
]

test.each(away)('nobody is connected: %s', (_why, holdings, peer) => {
  expect(choose(holdings, 0)?.peer).toBe(peer)
  expect(choose(holdings, 0, true)).toBe(null)
})
