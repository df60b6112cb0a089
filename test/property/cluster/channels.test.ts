// Messages of any size on channels of any priority, over a socket that takes what it likes when it likes: nothing is
// lost or changed, each channel keeps its order, no window is overrun, and urgent messages are never far behind.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../../src/base/limits.ts'
import { node } from '../../unit/cluster/fakes.ts'
import { lanePair } from '../../unit/cluster/lanebox.ts'
import { Net } from '../../unit/cluster/net.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const NAMES = ['urgent', 'normal', 'more', 'bulk', 'heavy'] as const
const PRIORITY = { urgent: 'urgent', normal: 'normal', more: 'normal', bulk: 'bulk', heavy: 'bulk' } as const

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ send: fc.constantFrom(...NAMES), length: fc.nat({ max: 3000 }) }) },
  { weight: 2, arbitrary: fc.record({ send: fc.constantFrom(...NAMES), length: fc.nat({ max: 120_000 }) }) },
  { weight: 3, arbitrary: fc.record({ wait: fc.nat({ max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant({ hold: 'near' as const }) },
  { weight: 1, arbitrary: fc.constant({ hold: 'far' as const }) },
  { weight: 2, arbitrary: fc.constant({ release: true }) },
)

test('nothing is lost, each channel keeps its order, windows hold', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150 }), fc.integer({ min: 1, max: 5000 }), (actions, chunk) => {
      const clock = new VirtualClock()
      const net = new Net(clock)
      let turn = 0
      net.chunk = () => 1 + ((chunk * ++turn * 31) % 20_000)
      const [a, b] = lanePair(net)
      const channels = new Map(
        NAMES.map((name) => {
          b.open(name)
          return [name, a.open(name, { priority: PRIORITY[name], queueBytes: 400_000 })]
        }),
      )
      a.link()
      b.link()
      clock.advance(50)
      const sent = new Map(NAMES.map((name) => [name, [] as Buffer[]]))
      let count = 0
      for (const one of actions) {
        if ('send' in one) {
          const message = Buffer.alloc(one.length, ++count % 251)
          const channel = channels.get(one.send)!
          const before = channel.pendingBytes(node('b'))
          if (channel.send(node('b'), message) === 'sent') sent.get(one.send)!.push(message)
          else expect(before).toBeGreaterThan(0)
          expect(channel.pendingBytes(node('b'))).toBeLessThanOrEqual(before + one.length + 7)
        } else if ('wait' in one) clock.advance(one.wait)
        else if ('hold' in one) (one.hold === 'near' ? a : b).stream.hold()
        else {
          a.stream.release(1)
          b.stream.release(1)
        }
        for (const channel of channels.values()) {
          expect(channel.pendingBytes(node('b'))).toBeGreaterThanOrEqual(0)
        }
        // Lanes hold back what the socket does not take.
        expect(a.stream.pendingBytes).toBeLessThan(512 * 1024)
      }
      for (let rest = 0; rest < 400; rest++) {
        a.stream.release()
        b.stream.release()
        clock.advance(5)
      }
      expect(a.error ?? b.error).toBeNull()
      for (const name of NAMES) {
        const got = b.got.filter((one) => one.channel === name).map(({ message }) => message)
        const wanted = sent.get(name)!
        expect(got.length).toBe(wanted.length)
        for (let index = 0; index < got.length; index++) expect(got[index]!.equals(wanted[index]!)).toBe(true)
        expect(channels.get(name)!.pendingBytes(node('b'))).toBe(0)
      }
    }),
    { numRuns: 60 },
  )
})

test('an urgent message waits for one piece at most, whatever bulk is under way', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 900_000 }), { minLength: 1, maxLength: 6 }),
      fc.nat({ max: 40 }),
      (bulks, afterMs) => {
        const clock = new VirtualClock()
        const net = new Net(clock)
        const [a, b] = lanePair(net)
        const bulk = a.open('bulk', { priority: 'bulk', queueBytes: 8_000_000 })
        const urgent = a.open('urgent', { priority: 'urgent' })
        b.open('bulk')
        b.open('urgent')
        a.link()
        b.link()
        clock.advance(50)
        a.stream.hold()
        for (const length of bulks) bulk.send(node('b'), Buffer.alloc(length))
        // A socket that takes one write a millisecond.
        const step = () => {
          a.stream.release(1)
          a.stream.hold()
          clock.advance(1)
        }
        for (let ms = 0; ms < afterMs; ms++) step()
        urgent.send(node('b'), Buffer.from('u'))
        clock.settle()
        expect(a.stream.pendingBytes).toBeLessThan(limits.pieceBytes + 100)
        for (let ms = 0; ms < 5; ms++) step()
        expect(b.texts('urgent')).toEqual(['u'])
      },
    ),
    { numRuns: 100 },
  )
})
