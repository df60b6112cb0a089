import { expect, test } from 'vitest'
import { LinkQueue, type QueueBounds } from '../../../../src/cluster/forwarding/linkqueue.ts'
import type { QoS } from '../../../../src/wire/message.ts'

function queue(
  bounds: { maxMessages?: number; maxBytes?: number; whenFull?: 'drop-oldest' | 'drop-newest' },
  stored: Partial<QueueBounds> = {},
) {
  const dropped: string[] = []
  const items = new LinkQueue(
    { maxMessages: 100, maxBytes: 1000, whenFull: 'drop-oldest', ...bounds },
    () => ({ maxMessages: 100, maxBytes: 1000, ...stored }),
    ({ bytes }) => dropped.push(bytes!.toString()),
  )
  const push = (name: string, qos: QoS, count = 1) =>
    items.push({
      ...{ qos, bytes: Buffer.from(name), count, atMs: 0, expiresAt: Number.POSITIVE_INFINITY, expiryAt: 0 },
      ...{ late: false, position: 0, kept: null },
    })
  const drain = () => {
    const names: string[] = []
    for (let item = items.peek(); item !== undefined; item = items.peek()) {
      names.push(item.bytes!.toString())
      items.shift()
    }
    return names
  }
  return { items, push, drain, dropped }
}

test('keeps the order of what it takes', () => {
  const { push, drain, items } = queue({})
  for (const [name, qos] of [
    ['a', 0],
    ['b', 1],
    ['c', 0],
    ['d', 2],
  ] as const)
    expect(push(name, qos)).toBe(true)
  expect([items.length, items.bytes]).toEqual([4, 4])
  expect([...items].map(({ bytes }) => bytes!.toString())).toEqual(['a', 'b', 'c', 'd'])
  expect(drain()).toEqual(['a', 'b', 'c', 'd'])
  expect([items.length, items.bytes]).toEqual([0, 0])
})

test('full: the oldest QoS 0 goes out first', () => {
  const { push, drain, dropped } = queue({ maxMessages: 3 })
  push('a', 1)
  push('b', 0)
  push('c', 0)
  expect(push('d', 0)).toBe(true)
  expect(push('e', 1)).toBe(true)
  expect(dropped).toEqual(['b', 'c'])
  expect(push('f', 0)).toBe(true)
  expect(push('g', 2)).toBe(true)
  expect(dropped).toEqual(['b', 'c', 'd', 'f'])
  expect(drain()).toEqual(['a', 'e', 'g'])
})

test('full of QoS 1: no QoS 0 is taken, QoS 1 and 2 are, up to a bound of their own', () => {
  const { push, drain, dropped } = queue({ maxMessages: 2 }, { maxMessages: 4 })
  for (const name of ['a', 'b', 'c']) expect(push(name, 1)).toBe(true)
  expect(push('d', 0)).toBe(false)
  expect(push('e', 2)).toBe(true)
  expect(dropped).toEqual(['d'])
  expect(push('f', 1)).toBe(true)
  expect(dropped).toEqual(['d', 'a'])
  expect(drain()).toEqual(['b', 'c', 'e', 'f'])
})

test('drop-newest: a QoS 0 message never pushes another out, a QoS 1 message does', () => {
  const { push, drain, dropped } = queue({ maxMessages: 2, whenFull: 'drop-newest' })
  push('a', 0)
  push('b', 0)
  expect(push('c', 0)).toBe(false)
  expect(push('d', 1)).toBe(true)
  expect(dropped).toEqual(['c', 'a'])
  expect(drain()).toEqual(['b', 'd'])
})

test('bounded by bytes, but one message always fits', () => {
  const { push, drain, dropped, items } = queue({ maxBytes: 4 }, { maxBytes: 8 })
  expect(push('much longer', 1)).toBe(true)
  expect(push('b', 1)).toBe(true)
  expect(push('c', 0)).toBe(true)
  expect(drain()).toEqual(['b', 'c'])
  push('aa', 0)
  push('bb', 0)
  expect(push('ccc', 0)).toBe(true)
  expect(items.bytes).toBe(3)
  expect(dropped).toEqual(['much longer', 'aa', 'bb'])
})

test('several messages of an earlier run count as that many', () => {
  const { push, items, dropped } = queue({}, { maxMessages: 5 })
  push('three', 1, 3)
  push('two', 1, 2)
  expect(items.length).toBe(5)
  push('one', 1)
  expect([items.length, dropped]).toEqual([3, ['three']])
})

test('QoS 0 alone can be dropped', () => {
  const { push, items, drain, dropped } = queue({})
  push('a', 0)
  push('b', 1)
  push('c', 0)
  items.dropQoS0()
  expect([items.length, items.bytes, dropped]).toEqual([1, 1, ['a', 'c']])
  expect(drain()).toEqual(['b'])
})

test('drained QoS 0 messages are not dropped again later', () => {
  const { push, items, dropped, drain } = queue({ maxMessages: 2 })
  push('a', 0)
  items.peek()
  items.shift()
  push('b', 1)
  push('c', 0)
  push('d', 1)
  expect(dropped).toEqual(['c'])
  expect(drain()).toEqual(['b', 'd'])
})
