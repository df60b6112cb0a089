import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import { bounds } from '../../../src/broker/bounds.ts'
import { Delivery, NO_IDS } from '../../../src/broker/delivery.ts'
import { Inbound } from '../../../src/broker/inbound.ts'
import { type QueueSettings, SessionQueue } from '../../../src/broker/queue.ts'
import type { QoS } from '../../../src/wire/message.ts'
import { delivery, message } from './make.ts'

const settings: QueueSettings = { maxMessages: 3, maxBytes: 10_000, qos0: false, whenFull: 'drop-oldest' }
const rest = (queue: SessionQueue) => {
  const left: string[] = []
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) left.push(`${next.message.payload}`)
  return left
}

/** A message by its id. */
function of(counter: number, { node = 'a', incarnation = 1, qos = 1 as QoS } = {}): Delivery {
  const origin = { node: node as NodeId, incarnation }
  return new Delivery(message(`${incarnation}.${counter}`, { origin, counter, qos }), qos, false, NO_IDS)
}

describe('SessionQueue', () => {
  test.each([
    ['drop-oldest', 'dropped-oldest', 1, ['2', '3', '4']],
    ['drop-newest', 'dropped-newest', 0, ['1', '2', '3']],
    ['disconnect', 'refused', 0, ['1', '2', '3']],
  ] as const)('%s', (whenFull, outcome, dropped, left) => {
    const queue = new SessionQueue()
    for (const payload of '123') expect(queue.push(delivery(payload), { ...settings, whenFull })).toBe('queued')
    expect(queue.push(delivery('4'), { ...settings, whenFull })).toBe(outcome)
    expect(queue.lastDropped).toBe(dropped)
    expect(rest(queue)).toEqual(left)
    expect(queue.bytes).toBe(0)
  })

  test('the byte bound makes room for as many as it takes', () => {
    const queue = new SessionQueue()
    const each = bounds.queuedOverheadBytes + 2
    const tight = { ...settings, maxBytes: 3 * each }
    for (const payload of '123') queue.push(delivery(payload), tight)
    expect(queue.bytes).toBe(3 * each)
    expect(queue.push(delivery('x'.repeat(each)), tight)).toBe('dropped-oldest')
    expect(queue.lastDropped).toBe(2)
    expect(queue.length).toBe(2)
  })

  test('one that is larger than the whole bound is not taken, and nothing gives way for it', () => {
    const queue = new SessionQueue()
    queue.push(delivery('1'), settings)
    expect(queue.push(delivery('x'.repeat(20_000)), settings)).toBe('dropped-newest')
    expect(rest(queue)).toEqual(['1'])
  })

  test.each([
    ['one that comes late goes before those that its node published after it', [2, 3, 5, 4], [2, 3, 4, 5]],
    ['behind all that are older', [1, 2, 3], [1, 2, 3]],
    ['before all of them', [7, 8, 9, 1], [1, 7, 8, 9]],
  ])('%s', (_what, counters, expected) => {
    const queue = new SessionQueue()
    for (const counter of counters) queue.push(of(counter), { ...settings, maxMessages: 10 })
    queue.putInOrder()
    expect(rest(queue)).toEqual(expected.map((counter) => `1.${counter}`))
  })

  test('what comes late keeps out of the way of other nodes, and of another QoS; an earlier run is older', () => {
    const queue = new SessionQueue()
    const last = of(2)
    const before = [of(1), of(5, { node: 'other' }), of(9, { qos: 2 }), of(3, { incarnation: 2 }), last]
    for (const one of before) queue.push(one, { ...settings, maxMessages: 10 })
    queue.putInOrder()
    expect(rest(queue)).toEqual(['1.1', '1.5', '1.9', '1.2', '2.3'])
  })

  test('what an earlier run left is in order, whatever the order of its records', () => {
    const queue = new SessionQueue()
    for (const counter of [3, 1, 2]) queue.restore(of(counter))
    expect(rest(queue)).toEqual(['1.1', '1.2', '1.3'])
  })

  test('knows whether QoS 0 waits in it', () => {
    const queue = new SessionQueue()
    queue.push(delivery('1', 0), settings)
    queue.push(delivery('2', 1), settings)
    expect(queue.holdsQoS0).toBe(true)
    queue.shift()
    expect(queue.holdsQoS0).toBe(false)
    queue.push(delivery('3', 0), settings)
    queue.clear()
    expect([queue.holdsQoS0, queue.length, queue.bytes]).toEqual([false, 0, 0])
  })
})

describe('Inbound', () => {
  test('keeps a message from PUBLISH to PUBREL, with its bytes counted', () => {
    const inbound = new Inbound()
    expect([inbound.has(1), inbound.release(1)]).toEqual([false, null])
    inbound.begin(1, delivery('abc').message)
    inbound.begin(2, delivery('de').message)
    expect([inbound.size, inbound.bytes, inbound.has(1)]).toEqual([2, 5, true])
    expect(`${inbound.release(1)?.payload}`).toBe('abc')
    expect([inbound.size, inbound.bytes, inbound.has(1), inbound.release(1)]).toEqual([1, 2, false, null])
  })
})
