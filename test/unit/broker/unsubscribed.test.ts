// What a client has said of a filter last.

import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { saidLater, UNSUBSCRIBED_MAX, Unsubscribed } from '../../../src/broker/unsubscribed.ts'

const at = (wallMs: number) => ({ wallMs, counter: 0, node: '000000000000000a' as NodeId })

test.each([
  ['under a later CONNECT', { since: at(2), order: 1 }, { since: at(1), order: 9 }, true],
  ['under an earlier CONNECT', { since: at(1), order: 9 }, { since: at(2), order: 1 }, false],
  ['later under the same', { since: at(1), order: 2 }, { since: at(1), order: 1 }, true],
  ['the same', { since: at(1), order: 1 }, { since: at(1), order: 1 }, false],
  ['under some CONNECT, before a cluster', { since: at(1), order: 1 }, { since: null, order: 5 }, true],
  ['before a cluster, under some CONNECT', { since: null, order: 5 }, { since: at(1), order: 1 }, false],
  ['both before a cluster', { since: null, order: 2 }, { since: null, order: 1 }, false],
])('said %s', (_name, a, b, later) => expect(saidLater(a, b)).toBe(later))

test('of what was unsubscribed the oldest is forgotten, and what is subscribed to again', () => {
  const unsubscribed = new Unsubscribed(new NoKeeper())
  const session = { id: 1, value: null }
  for (let number = 0; number <= UNSUBSCRIBED_MAX; number++) {
    unsubscribed.add(session, `t/${number}`, { since: at(1), order: number })
  }
  expect(unsubscribed.of(session).length).toBe(UNSUBSCRIBED_MAX)
  expect(unsubscribed.get(session, 't/0')).toBeNull()
  expect(unsubscribed.get(session, 't/1')).toMatchObject({ order: 1 })
  unsubscribed.forget(session, 't/1')
  expect(unsubscribed.get(session, 't/1')).toBeNull()
  unsubscribed.add(session, 'before a cluster', { since: null, order: 1 })
  expect(unsubscribed.get(session, 'before a cluster')).toBeNull()
})
