import { expect, test } from 'vitest'
import { LinkQueue } from '../../../src/cluster/linkqueue.ts'
import type { QoS } from '../../../src/wire/message.ts'

function queue(bounds: { maxMessages?: number; maxBytes?: number; whenFull?: 'drop-oldest' | 'drop-newest' }) {
  const dropped: QoS[] = []
  const items = new LinkQueue({ maxMessages: 100, maxBytes: 1000, whenFull: 'drop-oldest', ...bounds }, (qos) =>
    dropped.push(qos),
  )
  const push = (name: string, qos: QoS) =>
    items.push({ qos, bytes: Buffer.from(name), expiresAt: Number.POSITIVE_INFINITY, expiryAt: 0 })
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
  expect([items.length, items.bytes, items.countOf(0)]).toEqual([4, 4, 2])
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
  expect(dropped).toEqual([0, 0])
  expect(push('f', 0)).toBe(true)
  expect(push('g', 2)).toBe(true)
  expect(dropped).toEqual([0, 0, 0, 0])
  expect(drain()).toEqual(['a', 'e', 'g'])
})

test('full of QoS 1: what comes is dropped', () => {
  const { push, drain, dropped } = queue({ maxMessages: 2 })
  push('a', 1)
  push('b', 1)
  expect(push('c', 0)).toBe(false)
  expect(push('d', 1)).toBe(false)
  expect(dropped).toEqual([0, 1])
  expect(drain()).toEqual(['a', 'b'])
})

test('drop-newest: a QoS 0 message never pushes another out, a QoS 1 message does', () => {
  const { push, drain, dropped } = queue({ maxMessages: 2, whenFull: 'drop-newest' })
  push('a', 0)
  push('b', 0)
  expect(push('c', 0)).toBe(false)
  expect(push('d', 1)).toBe(true)
  expect(dropped).toEqual([0, 0])
  expect(drain()).toEqual(['b', 'd'])
})

test('bounded by bytes, but one message always fits', () => {
  const { push, drain, dropped, items } = queue({ maxBytes: 4 })
  expect(push('longer', 1)).toBe(true)
  expect(push('b', 1)).toBe(false)
  expect(drain()).toEqual(['longer'])
  push('aa', 0)
  push('bb', 0)
  expect(push('ccc', 0)).toBe(true)
  expect(items.bytes).toBe(3)
  expect(dropped).toEqual([1, 0, 0])
})

test('drained QoS 0 messages are not dropped again later', () => {
  const { push, items, dropped, drain } = queue({ maxMessages: 2 })
  push('a', 0)
  items.peek()
  items.shift()
  push('b', 1)
  push('c', 0)
  push('d', 1)
  expect(dropped).toEqual([0])
  expect(drain()).toEqual(['b', 'd'])
})
