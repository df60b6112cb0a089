import { expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/ids.ts'
import { Heir } from '../../../../src/cluster/trust/heir.ts'
import { VirtualClock } from '../../../virtual-clock.ts'

/** Boxes that are linked, in the order in which they are chosen; those in `having` have the key of the new CA. */
function ground(...linked: string[]) {
  const clock = new VirtualClock()
  const having = new Set<string>()
  const changes: (string | null)[] = []
  const heir = new Heir(clock, {
    choose: () => (linked[0] ?? null) as NodeId | null,
    linked: (id) => linked.includes(id),
    hasKey: (id, authority) => authority === 'new' && having.has(id),
    changed: () => changes.push(heir.id),
  })
  const goes = (id: string) => linked.splice(linked.indexOf(id), 1)
  return { clock, heir, having, changes, goes }
}

test('the first that is there gets the key, then everybody else is offered the CA', () => {
  const { heir, having, changes } = ground('a', 'b')
  heir.begin('new')
  heir.look()
  expect([heir.id, changes]).toEqual(['a', []])
  having.add('a')
  heir.look()
  expect([heir.id, changes]).toEqual([null, [null]])
})

test('one that goes before it has the key gives way to the next, and that one to nobody', () => {
  const { heir, changes, goes } = ground('a', 'b')
  heir.begin('new')
  goes('a')
  heir.look()
  expect([heir.id, changes]).toEqual(['b', ['b']])
  goes('b')
  heir.look()
  expect([heir.id, changes]).toEqual([null, ['b', null]])
})

test('one that has the key of another CA has not this one', () => {
  const { heir, having, changes } = ground('a', 'b')
  having.add('a')
  heir.begin('another')
  heir.look()
  expect([heir.id, changes]).toEqual(['a', []])
})

test('all of them together have three seconds', () => {
  const { clock, heir, changes, goes } = ground('a', 'b')
  heir.begin('new')
  clock.advance(2000)
  goes('a')
  heir.look()
  clock.advance(999)
  expect(heir.id).toBe('b')
  clock.advance(1)
  expect([heir.id, changes]).toEqual([null, ['b', null]])
})

test('where nobody is there everybody may be offered the CA, and nobody is told after the end', () => {
  const { clock, heir, changes } = ground()
  heir.begin('new')
  expect(heir.id).toBeNull()
  const other = ground('a')
  other.heir.begin('new')
  other.heir.stop()
  other.clock.advance(5000)
  clock.advance(5000)
  expect([changes, other.changes]).toEqual([[], []])
})
