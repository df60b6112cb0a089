import { expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/ids.ts'
import {
  compareStamps,
  readStamp,
  STAMP_AHEAD_MAX_MS,
  STAMP_BYTES,
  type Stamp,
  StampClock,
  writeStamp,
} from '../../../src/base/stamps.ts'

const A = '00000000000000aa' as NodeId
const B = '00000000000000bb' as NodeId

const text = ({ wallMs, counter, node }: Stamp) => `${wallMs}.${counter}.${node.slice(-2)}`

test('stamps follow the wall clock, and a counter where it stands still', () => {
  let wallMs = 1000.7
  const clock = new StampClock(A, () => wallMs)
  const given = [clock.next(), clock.next()]
  wallMs = 1001
  given.push(clock.next())
  wallMs = 500
  given.push(clock.next())
  expect(given.map(text)).toEqual(['1000.0.aa', '1000.1.aa', '1001.0.aa', '1001.1.aa'])
})

test('a stamp after one observed is greater than it', () => {
  const clock = new StampClock(A, () => 1000)
  clock.observe({ wallMs: 5000, counter: 7, node: B })
  clock.observe({ wallMs: 5000, counter: 3, node: B })
  clock.observe({ wallMs: 4000, counter: 9, node: B })
  expect(text(clock.next())).toBe('5000.8.aa')
})

test('a full counter moves on to the next millisecond', () => {
  const clock = new StampClock(A, () => 0)
  clock.observe({ wallMs: 10, counter: 0xffff, node: B })
  expect(text(clock.next())).toBe('11.0.aa')
})

test('after a restart stamps go past all that may have been given', () => {
  const before = new StampClock(A, () => 1000)
  const last = [before.next(), before.next(), before.next()].at(-1)!
  const floor = { beforeMs: last.wallMs, lower: () => {}, within: () => Number.POSITIVE_INFINITY }
  const after = new StampClock(A, () => 900, floor)
  expect(compareStamps(last, after.next())).toBeLessThan(0)
})

test('a stamp a day ahead is refused, and leaves no trace; one of our own disk is not', () => {
  const clock = new StampClock(A, () => 1000)
  const at = { wallMs: 1000 + STAMP_AHEAD_MAX_MS, counter: 0, node: B }
  expect(clock.observe({ ...at, wallMs: at.wallMs + 1 })).toBe(false)
  expect(text(clock.next())).toBe('1000.0.aa')
  expect(clock.observe(at)).toBe(true)
  expect(text(clock.next())).toBe(`${at.wallMs}.1.aa`)
  clock.recall({ ...at, wallMs: 2 * at.wallMs })
  expect(text(clock.next())).toBe(`${2 * at.wallMs}.1.aa`)
})

test('a box whose clock has fallen back measures a day from what it knew before', () => {
  const clock = new StampClock(A, () => 0, {
    beforeMs: 5 * STAMP_AHEAD_MAX_MS,
    lower: () => {},
    within: () => Number.POSITIVE_INFINITY,
  })
  expect(clock.observe({ wallMs: 6 * STAMP_AHEAD_MAX_MS, counter: 0, node: B })).toBe(true)
  expect(clock.observe({ wallMs: 6 * STAMP_AHEAD_MAX_MS + 1, counter: 0, node: B })).toBe(false)
})

test('a node that becomes another goes on above what it gave', () => {
  const clock = new StampClock(null, () => 1000)
  expect(() => clock.next()).toThrow('id')
  clock.become(B)
  clock.next()
  clock.become(A)
  expect(text(clock.next())).toBe('1000.1.aa')
})

test('a wall clock before 1970 counts as 1970', () => {
  expect(text(new StampClock(A, () => -5).next())).toBe('0.1.aa')
})

test('the layout, and its bytes compare as the stamps do', () => {
  const into = Buffer.alloc(STAMP_BYTES + 1)
  const stamp = { wallMs: 0x010203040506, counter: 0x0708, node: B }
  expect(writeStamp(stamp, into, 1)).toBe(1 + STAMP_BYTES)
  expect(into.toString('hex')).toBe('00010203040506070800000000000000bb')
  expect(readStamp(into, 1)).toEqual(stamp)
})
