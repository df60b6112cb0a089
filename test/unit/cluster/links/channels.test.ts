import { beforeEach, describe, expect, test } from 'vitest'
import { Bug, PeerError } from '../../../../src/base/errors.ts'
import { limits } from '../../../../src/base/limits.ts'
import { costOf, ReceiveCredit, SendCredit, WINDOW_MAX, WINDOW_MIN } from '../../../../src/cluster/links/credit.ts'
import { encodeFrame, encodeNumber, encodeOpen, FrameKind } from '../../../../src/wire/link/frame.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { node } from '../fakes.ts'
import { type LaneBox, lanePair } from '../lanebox.ts'
import { Net } from '../net.ts'

const B = node('b')

let clock: VirtualClock
let net: Net
let a: LaneBox
let b: LaneBox
beforeEach(() => {
  clock = new VirtualClock()
  net = new Net(clock)
  ;[a, b] = lanePair(net)
})
const link = () => {
  a.link()
  b.link()
  clock.advance(20)
}
/** A frame from nowhere, as a hostile member would send it. */
const inject = (to: LaneBox, kind: number, number: number, body: Buffer) => {
  to.stream.other!.write(encodeFrame(kind, number, body))
  clock.advance(5)
}

describe('a channel', () => {
  test('opened on both sides is told on both, and carries messages in order', () => {
    const channel = a.open('news')
    b.open('other')
    b.open('news')
    link()
    expect([a.events, b.events]).toEqual([['news linked b'], ['news linked a']])
    expect(channel.peers()).toEqual([B])
    for (const text of ['one', '', 'three']) expect(channel.send(B, Buffer.from(text))).toBe('sent')
    clock.advance(20)
    expect(b.texts('news')).toEqual(['one', '', 'three'])
    expect(channel.pendingBytes(B)).toBe(0)
  })

  test('opened on one side only is not usable', () => {
    const channel = a.open('news')
    link()
    expect(channel.peers()).toEqual([])
    expect(channel.send(B, Buffer.from('x'))).toBe('unlinked')
  })

  test('may be opened later, and is never told from within `open`', () => {
    const early = a.open('news')
    link()
    b.open('news', {}, () => {})
    expect(b.events).toEqual([])
    clock.advance(20)
    expect([a.events, b.events]).toEqual([['news linked b'], ['news linked a']])
    early.send(B, Buffer.from('x'))
    clock.advance(20)
    expect(b.texts('news')).toEqual(['x'])
  })

  test('is gone with its link, and comes back with the next', () => {
    const channel = a.open('news')
    b.open('news')
    link()
    a.unlink()
    expect(a.events.at(-1)).toBe('news unlinked b')
    expect(channel.send(B, Buffer.from('x'))).toBe('unlinked')
  })

  test('has one name', () => {
    a.open('news')
    expect(() => a.open('news')).toThrow(Bug)
    expect(() => a.open('News!')).toThrow(Bug)
  })

  test('small messages of a turn leave in one write', () => {
    const channel = a.open('news')
    b.open('news')
    link()
    let writes = 0
    const write = a.stream.write.bind(a.stream)
    a.stream.write = (bytes) => {
      writes++
      return write(bytes)
    }
    for (let count = 0; count < 100; count++) channel.send(B, Buffer.from(`message ${count}`))
    clock.advance(20)
    expect(writes).toBe(1)
    expect(b.got).toHaveLength(100)
  })
})

describe('large messages', () => {
  test.each([limits.pieceBytes, limits.pieceBytes + 1, 3 * limits.pieceBytes, 5_000_000])(
    '%i bytes arrive whole',
    (length) => {
      const channel = a.open('news', { queueBytes: 10_000_000 })
      b.open('news')
      link()
      const message = Buffer.alloc(length, 'abcdefg')
      expect(channel.send(B, message)).toBe('sent')
      channel.send(B, Buffer.from('behind'))
      message.fill(0)
      clock.advance(5000)
      expect(b.got.map((one) => one.message.length)).toEqual([length, 6])
      expect(b.got[0]!.message.equals(Buffer.alloc(length, 'abcdefg'))).toBe(true)
    },
  )

  test('one piece is under way at a time, and small and urgent messages pass it', () => {
    const bulk = a.open('bulk', { priority: 'bulk', queueBytes: 10_000_000 })
    const normal = a.open('normal')
    const urgent = a.open('urgent', { priority: 'urgent' })
    for (const name of ['bulk', 'normal', 'urgent']) b.open(name)
    link()
    a.stream.hold()
    bulk.send(B, Buffer.alloc(500_000))
    clock.advance(10)
    expect(a.stream.pendingBytes).toBeLessThan(limits.pieceBytes + 100)
    normal.send(B, Buffer.from('n'))
    urgent.send(B, Buffer.from('u'))
    clock.advance(10)
    expect(a.stream.pendingBytes).toBeLessThan(limits.pieceBytes + 200)
    a.stream.release()
    clock.advance(1000)
    expect(b.got.map((one) => one.channel)).toEqual(['normal', 'urgent', 'bulk'])
  })

  test('urgent messages pass what waits for a slow socket', () => {
    const normal = a.open('normal', { queueBytes: 10_000_000 })
    const urgent = a.open('urgent', { priority: 'urgent' })
    b.open('normal')
    b.open('urgent')
    link()
    a.stream.hold()
    for (let count = 0; count < 800; count++) {
      normal.send(B, Buffer.alloc(1000))
      clock.settle()
    }
    urgent.send(B, Buffer.from('u'))
    a.stream.release()
    clock.advance(100)
    const position = b.got.findIndex((one) => one.channel === 'urgent')
    expect(position).toBeLessThan(300)
    expect(b.got).toHaveLength(801)
  })
})

describe('bounds', () => {
  test('a peer that does not read: the window, then the queue, then full; room is told once', () => {
    const channel = a.open('news', { queueBytes: 100_000 })
    b.open('news')
    link()
    b.stream.hold()
    let taken = 0
    while (channel.send(B, Buffer.alloc(1000)) === 'sent') {
      taken++
      clock.advance(1)
      expect(taken).toBeLessThan(2000)
    }
    expect(taken * costOf(1000)).toBeLessThanOrEqual(limits.channelWindowBytes + 100_000)
    expect(taken * costOf(1000)).toBeGreaterThan(limits.channelWindowBytes)
    expect(channel.pendingBytes(B)).toBeGreaterThan(90_000)
    expect(channel.send(B, Buffer.alloc(1000))).toBe('full')
    expect(a.events).toEqual(['news linked b'])
    b.stream.release()
    clock.advance(100)
    expect(a.events).toEqual(['news linked b', 'news room b'])
    expect(channel.pendingBytes(B)).toBe(0)
    expect(b.got).toHaveLength(taken)
  })

  test('a message over the bound of the queue goes when nothing else waits', () => {
    const channel = a.open('news', { queueBytes: 1000 })
    b.open('news')
    link()
    expect(channel.send(B, Buffer.alloc(100_000))).toBe('sent')
    expect(channel.send(B, Buffer.alloc(10))).toBe('full')
    clock.advance(100)
    expect(channel.send(B, Buffer.alloc(10))).toBe('sent')
  })

  test('credit: never below zero, never above the window', () => {
    const sending = new SendCredit(WINDOW_MIN)
    expect(sending.take(WINDOW_MIN + 1)).toBe(false)
    expect(sending.take(WINDOW_MIN)).toBe(true)
    expect(sending.take(1)).toBe(false)
    sending.give(10)
    expect(sending.left).toBe(10)
    expect(() => sending.give(WINDOW_MIN)).toThrow(PeerError)
    expect(() => new SendCredit(WINDOW_MIN - 1)).toThrow(PeerError)
    expect(() => new SendCredit(WINDOW_MAX + 1)).toThrow(PeerError)
    const receiving = new ReceiveCredit(100_000)
    receiving.arrived(60_000)
    expect(receiving.consumed(20_000)).toBe(0)
    expect(receiving.consumed(40_000)).toBe(60_000)
    expect(() => receiving.arrived(100_001)).toThrow(PeerError)
  })
})

describe('a hostile member', () => {
  const opened = () => {
    b.open('news', { messageBytes: 100_000 })
    link()
    inject(b, FrameKind.open, 7, encodeOpen('news', WINDOW_MIN))
    expect(b.error).toBeNull()
  }
  test.each([
    ['a channel that it never opened', FrameKind.data, 3, Buffer.alloc(1)],
    ['a number twice', FrameKind.open, 7, encodeOpen('again', WINDOW_MIN)],
    ['a name twice', FrameKind.open, 8, encodeOpen('news', WINDOW_MIN)],
    ['number zero', FrameKind.open, 0, encodeOpen('zero', WINDOW_MIN)],
    ['credit that nobody spent', FrameKind.credit, 7, encodeNumber(1)],
    ['the middle of nothing', FrameKind.piece, 7, Buffer.alloc(1)],
    ['the end of nothing', FrameKind.pieceLast, 7, Buffer.alloc(1)],
    ['a message over the bound of its channel', FrameKind.pieceFirst, 7, encodeNumber(100_001)],
    ['a first piece without a length', FrameKind.pieceFirst, 7, Buffer.alloc(3)],
    ['a first piece longer than the whole', FrameKind.pieceFirst, 7, Buffer.concat([encodeNumber(1), Buffer.alloc(2)])],
  ])('%s', (_what, kind, number, body) => {
    opened()
    inject(b, kind, number, body)
    expect(b.error).toBeInstanceOf(PeerError)
    expect(b.got).toEqual([])
  })

  test('a window too small to hold a piece', () => {
    b.open('news')
    link()
    inject(b, FrameKind.open, 7, encodeOpen('news', 10))
    expect(b.error).toBeInstanceOf(PeerError)
  })

  test('a channel that we do not have is known, but not spoken on', () => {
    opened()
    inject(b, FrameKind.open, 9, encodeOpen('of.the.future', WINDOW_MIN))
    expect(b.error).toBeNull()
    inject(b, FrameKind.data, 9, Buffer.alloc(1))
    expect(b.error).toBeInstanceOf(PeerError)
  })

  test('a message between the pieces of another', () => {
    opened()
    inject(b, FrameKind.pieceFirst, 7, encodeNumber(10))
    inject(b, FrameKind.data, 7, Buffer.alloc(1))
    expect(b.error).toBeInstanceOf(PeerError)
  })

  test('a last piece that comes too early', () => {
    opened()
    inject(b, FrameKind.pieceFirst, 7, encodeNumber(10))
    inject(b, FrameKind.pieceLast, 7, Buffer.alloc(9))
    expect(b.error).toBeInstanceOf(PeerError)
  })

  test('channels without end', () => {
    opened()
    for (let number = 100; number < 400 && b.error === null; number++) {
      inject(b, FrameKind.open, number, encodeOpen(`c${number}`, WINDOW_MIN))
    }
    expect(b.error).toBeInstanceOf(PeerError)
  })

  test('a handler that finds nonsense closes the link', () => {
    b.open('news', {}, () => {
      throw new PeerError('nonsense')
    })
    link()
    inject(b, FrameKind.open, 7, encodeOpen('news', WINDOW_MIN))
    inject(b, FrameKind.data, 7, Buffer.alloc(1))
    expect(b.error?.message).toBe('nonsense')
  })
})
