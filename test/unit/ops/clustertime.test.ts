import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { timeText } from '../../../src/ops/cli/clustertime.ts'
import { parseTime, type ShownTime, timeCommands } from '../../../src/ops/clustertime.ts'

const NOON = Date.UTC(2026, 10, 21, 12)

test.each([
  ['2026-11-21T12:00:00Z', NOON],
  ['2026-11-21 13:00+01:00', NOON],
  ['2026-11-21T12:00:00.250Z', NOON + 250],
  ['now', 7],
  ['2026-11-21T12:00:00', null],
  ['2026-11-21', null],
  ['2026-13-41T12:00Z', null],
  ['tomorrow', null],
  ['', null],
])('--set %j', (text, ms) => {
  expect(parseTime(text, 7)).toBe(ms)
})

const shown: ShownTime = {
  clusterMs: NOON,
  ownMs: NOON - 90_000,
  synchronised: false,
  from: 'gw-2',
  members: [
    { id: 'b'.repeat(16) as NodeId, name: 'gw-2', ownMs: NOON + 5, synchronised: true, differenceMs: 5 },
    { id: 'c'.repeat(16) as NodeId, name: 'gw-3', ownMs: 0, synchronised: false, differenceMs: 60_000 },
  ],
}

test('people see whose time it is, and how far each clock is off', () => {
  expect(timeText(shown).split('\n')).toEqual([
    'Cluster time  2026-11-21T12:00:00.000Z  by gw-2',
    'This box      2026-11-21T11:58:30.000Z  90 s late',
    'gw-2          2026-11-21T12:00:00.005Z  right, synchronised',
    "gw-3          1970-01-01T00:00:00.000Z  20779 d late; takes 2026-11-21T12:01:00.000Z for the cluster's time",
  ])
})

test('the daemon gives members their names, sets what makes sense and says what does not', async () => {
  const set: number[] = []
  const { members, ...own } = shown
  const named = members.map(({ name: _, ...member }) => member)
  const time = {
    set: (ms: number) => {
      set.push(ms)
      return ms === NOON ? null : 'no'
    },
    status: () => ({ ...own, from: members[0]!.id, members: named }),
  }
  class FakeNode {
    readonly operator = { time }
    readonly #members = members.map(({ id, name }) => ({ id, name }))
    status() {
      return { cluster: { members: this.#members } }
    }
  }
  const node = new FakeNode()
  const command = timeCommands(() => Promise.resolve(node as never))['cluster time']!
  expect(await command.run({}, false)).toEqual(shown)
  expect(await command.run({ set: '2026-11-21T12:00:00Z' }, false)).toEqual(shown)
  expect(set).toEqual([NOON])
  await expect(command.run({ set: 'noon' }, false)).rejects.toThrow('right would be 2026-05-01T14:30:00Z')
  await expect(command.run({ set: '1999-01-01T00:00Z' }, false)).rejects.toThrow('no')
})
