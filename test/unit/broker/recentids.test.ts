import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { RecentIds } from '../../../src/broker/recentids.ts'

const origin = (node: string, incarnation = 1) => ({ node: node as NodeId, incarnation })

test('an id is its origin, the run of that and the counter', () => {
  const recent = new RecentIds()
  recent.add(origin('a'), 5)
  expect(recent.has(origin('a'), 5)).toBe(true)
  expect([recent.has(origin('b'), 5), recent.has(origin('a', 2), 5), recent.has(origin('a'), 6)]).toEqual([
    false,
    false,
    false,
  ])
})

test('what came by a shared subscription is known apart from what came by the session`s own', () => {
  const recent = new RecentIds()
  recent.add(origin('a'), 5, true)
  expect([recent.has(origin('a'), 5), recent.has(origin('a'), 5, true)]).toEqual([false, true])
})

test('the last 1024 are known, and no more', () => {
  const recent = new RecentIds()
  for (let counter = 1; counter <= 1500; counter++) recent.add(origin('a'), counter)
  expect(recent.size).toBe(1024)
  expect([recent.has(origin('a'), 476), recent.has(origin('a'), 477), recent.has(origin('a'), 1500)]).toEqual([
    false,
    true,
    true,
  ])
})
