import { expect, test } from 'vitest'
import { Positions } from '../../../../src/base/positions.ts'
import { CopyFeed } from '../../../../src/cluster/sessions/copyfeed.ts'
import { nodeIdOf } from '../../../mesh.ts'
import { VirtualClock } from '../../../virtual-clock.ts'

test('what others are waited for between two batches does not wait for the second', () => {
  const clock = new VirtualClock()
  const positions = new Positions(clock)
  const channel = { name: 'copies', peers: () => [], send: () => 'sent' as const, pendingBytes: () => 0 }
  const feed = new CopyFeed(
    nodeIdOf(0xb),
    1,
    channel,
    positions,
    clock.now.bind(clock),
    () => {},
    () => 0,
  )
  const theirs = positions.lane('theirs')
  feed.linked()
  feed.has(1, 0)
  const stage = (id: number) => feed.staged({ id, value: { kind: 1, write: () => {} } })

  const first = stage(1)
  feed.flush()
  const between = theirs.staged()
  const second = stage(2)
  stage(3)
  feed.flush()
  theirs.settled(between)
  expect(positions.safe).toBe(first - 1)
  feed.took(1, 1)
  expect([positions.safe, between]).toEqual([between, second - 1])
  feed.took(1, 2)
  expect(positions.safe).toBe(positions.position)
})
