import { describe, expect, test } from 'vitest'
import { MemberEvents } from '../../../../src/cluster/members/memberevents.ts'
import { MemberTopics } from '../../../../src/cluster/members/membertopics.ts'
import type { ClusterStatus, MemberStatus } from '../../../../src/cluster/status.ts'

const row = (state: MemberStatus['state'], linked: boolean, changes: Partial<MemberStatus> = {}): MemberStatus => ({
  ...{ id: 'b', name: 'box-b', self: false, state, linked },
  ...{ address: '10.0.0.2:4883', version: '0.1.0', rttMs: 1.5, sinceMs: 1000.4 },
  ...changes,
})
const self = row('alive', false, { id: 'a', name: 'box-a', self: true })

describe('what happens to a member', () => {
  const alive = row('alive', true)
  const cut = row('suspect', false)
  const dead = row('dead', false)
  const left = row('left', false)

  test.each<[string, readonly (MemberStatus | null)[], readonly string[]]>([
    ['it joins when it is linked first, not when it is told of', [cut, alive], ['join']],
    ['one that is never linked is nobody', [cut, dead, left, null], []],
    ['a short cut heals', [alive, cut, alive], ['join', 'heal']],
    ['a long one too, after it was taken for dead', [alive, cut, dead, dead, alive], ['join', 'dead', 'heal']],
    ['it leaves once', [alive, left, left, null], ['join', 'leave']],
    ['and joins again', [alive, left, alive], ['join', 'leave', 'join']],
    ['a dead one that is forgotten and comes back is new', [alive, dead, null, alive], ['join', 'dead', 'join']],
  ])('%s', (_what, looks, expected) => {
    const events = new MemberEvents()
    const found = looks.flatMap((member) => events.look(member === null ? [self] : [self, member]))
    expect(found.map(({ event }) => event)).toEqual(expected)
    expect(found.every(({ id, name }) => id === 'b' && name === 'box-b')).toBe(true)
  })
})

test('$SYS/cluster has the members, and takes away the topic of one that is forgotten', () => {
  const status = (...members: MemberStatus[]): ClusterStatus => ({
    ...{ enabled: true, name: 'default', id: '00', state: 'member', port: 4883, role: 'core' as const, address: null },
    ...{ members, refused: [], waiting: [], asking: null },
  })
  const topics = new MemberTopics()
  const facts = Object.fromEntries(topics.facts(status(self, row('alive', true), row('left', false, { id: 'c' }))))
  expect(facts).toMatchObject({
    '$SYS/cluster/name': 'default',
    '$SYS/cluster/id': '00',
    '$SYS/cluster/state': 'member',
    '$SYS/cluster/members/count': '2',
    '$SYS/cluster/members/linked': '2',
  })
  expect(JSON.parse(facts['$SYS/cluster/nodes/b']!)).toEqual({
    ...{ id: 'b', name: 'box-b', self: false, state: 'alive', linked: true },
    ...{ address: '10.0.0.2:4883', version: '0.1.0', sinceMs: 1000 },
  })
  const later = Object.fromEntries(topics.facts(status(self, row('dead', false))))
  expect(later['$SYS/cluster/nodes/c']).toBe('')
  expect(later['$SYS/cluster/members/linked']).toBe('1')
})
