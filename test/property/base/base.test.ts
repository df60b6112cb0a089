import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import { Deque } from '../../../src/base/deque.ts'
import type { NodeId } from '../../../src/base/ids.ts'
import { Outbox, Turn } from '../../../src/base/outbox.ts'
import { compareStamps, readStamp, STAMP_BYTES, StampClock, writeStamp } from '../../../src/base/stamps.ts'
import { HandClock, HeldStream } from '../../unit/base/fakes.ts'

test('Deque does what an array does', () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('push', 'unshift') },
      { weight: 2, arbitrary: fc.constantFrom('push', 'shift', 'pop') },
      { weight: 1, arbitrary: fc.constantFrom('shift', 'pop', 'look') },
    ),
    { maxLength: 300, size: 'max' },
  )
  fc.assert(
    fc.property(steps, (script) => {
      const deque = new Deque<number>()
      const model: number[] = []
      for (const [index, step] of script.entries()) {
        if (step === 'push') deque.push(index)
        if (step === 'push') model.push(index)
        if (step === 'unshift') deque.unshift(index)
        if (step === 'unshift') model.unshift(index)
        if (step === 'shift') expect(deque.shift()).toBe(model.shift())
        if (step === 'pop') expect(deque.pop()).toBe(model.pop())
        if (step === 'look') expect([...deque]).toEqual(model)
        expect([deque.length, deque.peek(), deque.at(3), deque.at(-1)]).toEqual([
          model.length,
          model[0],
          model[3],
          undefined,
        ])
      }
      expect([...deque]).toEqual(model)
    }),
  )
})

type Field =
  | readonly ['u8' | 'u16' | 'u32' | 'u48', number]
  | readonly ['id', string]
  | readonly ['text', string]
  | readonly ['raw', Buffer]

const hexDigit = fc.constantFrom(...'0123456789abcdef')
const fields: fc.Arbitrary<Field[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('u8' as const), fc.nat(0xff)),
    fc.tuple(fc.constant('u16' as const), fc.nat(0xffff)),
    fc.tuple(fc.constant('u32' as const), fc.nat(0xffffffff)),
    fc.tuple(fc.constant('u48' as const), fc.nat(0xffffffffffff)),
    fc.tuple(fc.constant('id' as const), fc.string({ unit: hexDigit, minLength: 16, maxLength: 16 })),
    fc.tuple(fc.constant('text' as const), fc.string({ unit: 'binary' })),
    fc.tuple(
      fc.constant('raw' as const),
      fc.uint8Array({ maxLength: 400, size: 'max' }).map((bytes) => Buffer.from(bytes)),
    ),
  ),
)

function write(writer: ByteWriter, field: Field): void {
  if (field[0] === 'raw') writer.raw(field[1])
  else if (field[0] === 'id' || field[0] === 'text') writer[field[0]](field[1])
  else writer[field[0]](field[1])
}

const read = (reader: ByteReader, field: Field): unknown =>
  field[0] === 'raw' ? reader.view(field[1].length) : reader[field[0]]()

test('what a ByteWriter writes, a ByteReader reads; and whatever is missing is noticed', () => {
  fc.assert(
    fc.property(fields, fc.nat(500), (wanted, cut) => {
      const writer = new ByteWriter(1)
      for (const field of wanted) write(writer, field)
      expect(writer.length).toBe(writer.done().length)
      const bytes = writer.done()
      const reader = new ByteReader(bytes)
      for (const field of wanted) expect(read(reader, field)).toEqual(field[1])
      expect(reader.finished()).toBe(true)
      const short = new ByteReader(bytes, 0, Math.max(0, bytes.length - 1 - cut))
      for (const field of wanted) read(short, field)
      expect(short.finished()).toBe(bytes.length === 0)
    }),
  )
})

test('an Outbox sends every byte, in order, however it is filled, flushed and held up', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('append' as const), length: fc.oneof(fc.nat(100), fc.nat(20_000), fc.nat(140_000)) }),
      fc.record({ do: fc.constant('place' as const), length: fc.nat(3000) }),
      fc.record({ do: fc.constantFrom('flush' as const, 'turn' as const, 'hold' as const, 'take' as const) }),
    ),
    { maxLength: 40, size: 'max' },
  )
  fc.assert(
    fc.property(steps, (script) => {
      const clock = new HandClock()
      const stream = new HeldStream()
      const outbox = new Outbox(new Turn(clock), stream)
      const wanted: Buffer[] = []
      let fill = 0
      for (const step of script) {
        if (step.do === 'append') {
          const bytes = Buffer.alloc(step.length, ++fill)
          outbox.append(bytes)
          wanted.push(Buffer.from(bytes))
          bytes.fill(0)
        } else if (step.do === 'place') {
          outbox.room(step.length).fill(++fill, outbox.at, outbox.at + step.length)
          outbox.at += step.length
          wanted.push(Buffer.alloc(step.length, fill))
        } else if (step.do === 'flush') {
          outbox.flush()
        } else if (step.do === 'turn') {
          clock.endTurn()
        } else {
          stream.taking = step.do === 'take'
        }
      }
      clock.endTurn()
      const all = Buffer.concat(wanted)
      expect(Buffer.concat(stream.written).equals(all)).toBe(true)
      expect(outbox.bytesOut).toBe(all.length)
      expect(outbox.pendingBytes).toBe(stream.pendingBytes)
      expect(stream.held.every(({ buffer, copy }) => buffer.equals(copy))).toBe(true)
      expect(clock.endTurn()).toBe(0)
    }),
    { numRuns: 200 },
  )
})

const nodes = fc.constantFrom('00000000000000aa', '00000000000000bb', 'ff000000000000bb') as fc.Arbitrary<NodeId>
const stamps = fc.record({
  wallMs: fc.oneof(fc.nat(3), fc.nat(0xffffffffffff)),
  counter: fc.oneof(fc.nat(3), fc.nat(0xffff)),
  node: nodes,
})

test('stamps compare as their bytes do, and come back from them', () => {
  fc.assert(
    fc.property(stamps, stamps, (a, b) => {
      const bytes = [a, b].map((stamp) => {
        const into = Buffer.alloc(STAMP_BYTES)
        writeStamp(stamp, into, 0)
        expect(readStamp(into, 0)).toEqual(stamp)
        return into
      })
      expect(Math.sign(compareStamps(a, b))).toBe(Buffer.compare(bytes[0]!, bytes[1]!))
    }),
  )
})

test('every stamp given is greater than all given and observed before, over restarts and clocks that jump', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constantFrom('next' as const, 'restart' as const) }),
      fc.record({ do: fc.constant('wall' as const), ms: fc.nat(10) }),
      fc.record({ do: fc.constant('observe' as const), stamp: stamps }),
    ),
    { maxLength: 50, size: 'max' },
  )
  fc.assert(
    fc.property(steps, (script) => {
      let wallMs = 5
      const node = '00000000000000bb' as NodeId
      const left = (beforeMs: number) => ({ beforeMs, lower: () => {}, within: () => Number.POSITIVE_INFINITY })
      let clock = new StampClock(node, () => wallMs)
      let greatest = clock.next()
      for (const step of script) {
        if (step.do === 'wall') wallMs = step.ms
        else if (step.do === 'restart') clock = new StampClock(node, () => wallMs, left(greatest.wallMs))
        else if (step.do === 'observe') {
          clock.recall(step.stamp)
          if (compareStamps(step.stamp, greatest) > 0) greatest = step.stamp
        } else {
          const stamp = clock.next()
          expect(compareStamps(stamp, greatest)).toBeGreaterThan(0)
          greatest = stamp
        }
      }
    }),
  )
})
