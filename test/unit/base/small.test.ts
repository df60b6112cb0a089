import { describe, expect, test } from 'vitest'
import { Deque } from '../../../src/base/deque.ts'
import { assert, Bug } from '../../../src/base/errors.ts'
import { clusterId, instanceId, isId, NO_CLUSTER, nodeId, readId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { every } from '../../../src/base/ports/clock.ts'
import { endpointText } from '../../../src/base/ports/streams.ts'
import { HandClock } from './fakes.ts'

/** Gives these bytes over and over. */
const chance = (...bytes: number[]) => ({
  bytes: (length: number) => Buffer.from(Array.from({ length }, (_, index) => bytes[index % bytes.length]!)),
  fraction: () => 0,
})

describe('ids', () => {
  test('a node id is 8 random bytes in hexadecimal', () => {
    expect(nodeId(chance(0xab, 0x01))).toBe('ab01ab01ab01ab01')
  })

  test('a cluster id is never the one that means none', () => {
    expect(clusterId(chance(0))).not.toBe(NO_CLUSTER)
    expect(isId(clusterId(chance(0xfe)))).toBe(true)
  })

  test('a later instance compares greater', () => {
    const early = instanceId(chance(0xff), 1_700_000_000_999)
    const late = instanceId(chance(0x00), 1_700_000_001_000)
    expect(early).toBe('018bcfe56be7ffff')
    expect(early < late).toBe(true)
  })

  test('an instance has an id whatever the clock says', () => {
    expect(instanceId(chance(1), -5)).toBe('0000000000000101')
    expect(instanceId(chance(1), 2 ** 48)).toBe('0000000000000101')
  })

  test.each([
    ['0123456789abcdef', true],
    ['0123456789ABCDEF', false],
    ['0123456789abcde', false],
    ['0123456789abcdef0', false],
    ['0123456789abcdef\n', false],
  ])('isId(%j) is %s', (text, wanted) => {
    expect(isId(text)).toBe(wanted)
  })

  test('readId', () => {
    expect(readId(Buffer.from('ff0123456789abcdefff', 'hex'), 1)).toBe('0123456789abcdef')
  })
})

test('Deque gives its memory back from either end', () => {
  for (const take of ['shift', 'pop'] as const) {
    const deque = new Deque<object>()
    for (let index = 0; index < 1000; index++) deque.push({})
    for (let index = 0; index < 1000; index++) expect(deque[take]()).toBeDefined()
    expect([deque.length, deque[take](), deque.peek(), deque.at(0)]).toEqual([0, undefined, undefined, undefined])
    deque.unshift({})
    expect(deque.length).toBe(1)
  }
})

test('Meter counts by name, and lists by name', () => {
  const meter = new Meter()
  meter.count('b')
  meter.count('a', 5)
  meter.count('b')
  expect([meter.get('a'), meter.get('b'), meter.get('c')]).toEqual([5, 2, 0])
  expect(Object.entries(meter.all())).toEqual([
    ['a', 5],
    ['b', 2],
  ])
  meter.count('between')
  expect(Object.keys(meter.all())).toEqual([...Object.keys(meter.all())].sort())
  expect(meter.all()).toMatchObject({ between: 1 })
})

test('every runs at its interval, up to the jitter earlier, until it is cancelled from within or without', () => {
  const clock = new HandClock()
  const ran: number[] = []
  const jitters = [0, 0.5, 0.1]
  const timer = every(
    clock,
    1000,
    'test.every',
    () => {
      ran.push(clock.now())
      if (ran.length === 3) timer.cancel()
    },
    () => jitters.shift() ?? 0,
  )
  clock.advance(10_000)
  expect(ran).toEqual([1000, 1500, 2400])
  const other = every(clock, 1000, 'test.every', () => ran.push(0))
  other.cancel()
  clock.advance(10_000)
  expect(ran).toHaveLength(3)
})

test('endpointText puts brackets around IPv6', () => {
  expect(endpointText({ address: '10.0.0.1', port: 1883 })).toBe('10.0.0.1:1883')
  expect(endpointText({ address: 'fe80::1', port: 1883 })).toBe('[fe80::1]:1883')
})

test('assert throws a Bug', () => {
  expect(() => assert(false, 'no')).toThrow(Bug)
  expect(() => assert(1, 'yes')).not.toThrow()
})
