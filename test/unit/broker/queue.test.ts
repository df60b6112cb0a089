import { describe, expect, test } from 'vitest'
import { bounds } from '../../../src/broker/bounds.ts'
import { Inbound } from '../../../src/broker/inbound.ts'
import { type QueueSettings, SessionQueue } from '../../../src/broker/queue.ts'
import { delivery } from './make.ts'

const settings: QueueSettings = { maxMessages: 3, maxBytes: 10_000, qos0: false, whenFull: 'drop-oldest' }
const rest = (queue: SessionQueue) => {
  const left: string[] = []
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) left.push(`${next.message.payload}`)
  return left
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
