import { expect, test } from 'vitest'
import { Bug } from '../../../src/base/errors.ts'
import { Outbox, Turn } from '../../../src/base/outbox.ts'
import { HandClock, HeldStream } from './fakes.ts'

function box(turn?: Turn) {
  const clock = new HandClock()
  const stream = new HeldStream()
  return { clock, stream, outbox: new Outbox(turn ?? new Turn(clock), stream) }
}

const latin = (text: string) => Buffer.from(text, 'latin1')

test('what is appended in a turn is written once, at its end', () => {
  const { clock, stream, outbox } = box()
  outbox.append(latin('ab'))
  outbox.append(latin('xcdx'), 1, 3)
  outbox.append(latin('e'.repeat(100)))
  expect(stream.written).toEqual([])
  expect(outbox.pendingBytes).toBe(104)
  expect(clock.endTurn()).toBe(1)
  expect(stream.written).toEqual([latin(`abcd${'e'.repeat(100)}`)])
  expect([outbox.pendingBytes, outbox.bytesOut]).toEqual([0, 104])
  expect(clock.endTurn()).toBe(0)
})

test('packets may be written in place', () => {
  const { clock, stream, outbox } = box()
  outbox.append(latin('a'))
  const chunk = outbox.room(4)
  outbox.at += chunk.write('bc', outbox.at)
  outbox.append(latin('d'))
  clock.endTurn()
  expect(stream.text).toBe('abcd')
})

test('a chunk grows, and a full one is written at once; nothing is lost or moved', () => {
  const { clock, stream, outbox } = box()
  let wanted = ''
  for (let index = 0; index < 300; index++) {
    const piece = String.fromCharCode(97 + (index % 26)).repeat(1 + ((index * 37) % 1200))
    wanted += piece
    outbox.append(latin(piece))
  }
  expect(stream.written.length).toBeGreaterThan(1)
  expect(clock.endTurn()).toBe(1)
  expect(stream.text).toBe(wanted)
  expect(stream.written.every((bytes) => bytes.length <= 65_536)).toBe(true)
})

test('a packet larger than any chunk goes behind what was gathered, and what follows behind it', () => {
  const { clock, stream, outbox } = box()
  const large = latin('L'.repeat(70_000))
  outbox.append(latin('a'))
  outbox.append(large)
  outbox.append(latin('b'))
  large.fill(0)
  clock.endTurn()
  expect(stream.text).toBe(`a${'L'.repeat(70_000)}b`)
  expect(outbox.bytesOut).toBe(70_002)
})

test('a chunk that the stream holds is left alone until the stream lets go of it', () => {
  const { clock, stream, outbox } = box()
  stream.taking = false
  for (let turn = 0; turn < 20; turn++) {
    outbox.append(latin(`turn ${turn}`))
    clock.endTurn()
  }
  expect(outbox.pendingBytes).toBe(stream.pendingBytes)
  expect(stream.held).toHaveLength(20)
  for (const { buffer, copy } of stream.held) expect(buffer).toEqual(copy)
})

test('a chunk that the kernel took is used again', () => {
  const { clock, stream, outbox } = box()
  outbox.append(latin('a'))
  const first = outbox.chunk
  clock.endTurn()
  outbox.append(latin('b'))
  expect(outbox.chunk).toBe(first)
  clock.endTurn()
  expect(stream.text).toBe('ab')
})

test('flush writes now, and the turn goes on', () => {
  const { clock, stream, outbox } = box()
  outbox.append(latin('a'))
  outbox.flush()
  expect(stream.text).toBe('a')
  outbox.append(latin('b'))
  clock.endTurn()
  expect(stream.text).toBe('ab')
})

test('close drops what was gathered and what comes after', () => {
  const { clock, stream, outbox } = box()
  outbox.append(latin('a'))
  outbox.close()
  outbox.append(latin('b'))
  outbox.append(latin('L'.repeat(70_000)))
  clock.endTurn()
  expect(stream.written).toEqual([])
  expect([outbox.pendingBytes, outbox.bytesOut]).toEqual([0, 0])
})

test('outboxes share a turn; one that is filled while another is written goes out with the next', () => {
  const clock = new HandClock()
  const turn = new Turn(clock)
  const a = { stream: new HeldStream(), outbox: null as unknown as Outbox }
  const b = { stream: new HeldStream(), outbox: null as unknown as Outbox }
  a.outbox = new Outbox(turn, a.stream)
  b.outbox = new Outbox(turn, b.stream)
  b.stream.onWrite = () => {
    if (b.stream.written.length === 1) a.outbox.append(latin('2'))
  }
  a.outbox.append(latin('1'))
  b.outbox.append(latin('x'))
  expect(clock.endTurn()).toBe(1)
  expect([a.stream.text, b.stream.text]).toEqual(['1', 'x'])
  expect(clock.endTurn()).toBe(1)
  expect(a.stream.text).toBe('12')
  expect(clock.endTurn()).toBe(0)
})

test('room for more than a chunk holds is a bug', () => {
  expect(() => box().outbox.room(65_537)).toThrow(Bug)
})
