import { beforeEach, describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ByteStream } from '../../../../src/base/ports/streams.ts'
import { needsRelay, RelayedDialling, type Unreached } from '../../../../src/cluster/links/relayeddialling.ts'
import { CIRCUIT_WINDOW_BYTES } from '../../../../src/cluster/links/relayedstream.ts'
import { Vouching } from '../../../../src/cluster/links/vouching.ts'
import { encodeRelay } from '../../../../src/wire/link/relay.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { linkBoxes, partBoxes, RelayBox } from '../circuits.ts'
import { node } from '../fakes.ts'

let clock: VirtualClock
let a: RelayBox
let b: RelayBox
let c: RelayBox

beforeEach(() => {
  clock = new VirtualClock()
  const boxes = ['a', 'b', 'c'].map((name) => new RelayBox(node(name), clock)) as [RelayBox, RelayBox, RelayBox]
  for (const box of boxes) box.all = boxes
  ;[a, b, c] = boxes
  linkBoxes(a, b)
  linkBoxes(b, c)
})

class Reader {
  bytes = Buffer.alloc(0)
  drains = 0
  closed: string | null | undefined

  constructor(stream: ByteStream) {
    stream.open({
      received: (buffer, start, end) => {
        this.bytes = Buffer.concat([this.bytes, buffer.subarray(start, end)])
      },
      drained: () => this.drains++,
      closed: (why) => {
        this.closed = why
      },
    })
  }
}

/** A circuit from a to c through b. */
function circuit(): readonly [ByteStream, ByteStream] {
  const stream = a.relay.dial(c.id, b.id)!
  clock.settle()
  expect(c.accepted.map(({ relay }) => relay)).toEqual([b.id])
  return [stream, c.accepted[0]!.stream]
}

describe('a circuit', () => {
  test('carries bytes both ways, in order, and ends behind them', () => {
    const [atA, atC] = circuit()
    const [readerA, readerC] = [new Reader(atA), new Reader(atC)]
    const sent = Array.from({ length: 100_000 }, (_, index) => index & 0xff)
    atA.write(Buffer.from(sent))
    atC.write(Buffer.from('back'))
    atA.end()
    clock.settle()
    expect(readerC.bytes.equals(Buffer.from(sent))).toBe(true)
    expect(readerA.bytes.toString()).toBe('back')
    expect([readerA.closed, readerC.closed]).toEqual([null, null])
    expect(b.wrong).toEqual([])
  })

  test('holds a window in front of who does not read, and no more anywhere', () => {
    const [atA, atC] = circuit()
    const length = 5 * CIRCUIT_WINDOW_BYTES
    const readerA = new Reader(atA)
    expect(atA.write(Buffer.alloc(length, 1))).toBe(false)
    clock.settle()
    expect(atA.pendingBytes).toBe(length - CIRCUIT_WINDOW_BYTES)
    const passed = b.heard.reduce((sum, bytes) => sum + bytes.length, 0)
    expect(passed).toBeLessThan(CIRCUIT_WINDOW_BYTES + 1024)
    const readerC = new Reader(atC)
    atC.pause()
    clock.settle()
    expect(readerC.bytes.length).toBeLessThanOrEqual(CIRCUIT_WINDOW_BYTES)
    atC.resume()
    clock.settle()
    expect(readerC.bytes.length).toBe(length)
    expect([atA.pendingBytes, readerA.drains]).toEqual([0, 1])
  })

  test('ends at both ends when a link to the relay goes', () => {
    for (const [one, other] of [
      [a, b],
      [b, c],
    ] as const) {
      const stream = a.relay.dial(c.id, b.id)!
      clock.settle()
      const readers = [new Reader(stream), new Reader(c.accepted.at(-1)!.stream)]
      partBoxes(one, other)
      clock.settle()
      expect(readers.map(({ closed }) => closed)).toEqual([null, null])
      linkBoxes(one, other)
    }
  })

  test('ends when the relay has no room for it, and the others go on', () => {
    const [atA] = circuit()
    const readerA = new Reader(atA)
    b.full.add(c.id)
    atA.write(Buffer.from('too much'))
    clock.settle()
    expect(readerA.closed).toBe(null)
    expect(b.meter.get('relay.overflow')).toBe(1)
    b.full.clear()
    expect(a.relay.dial(c.id, b.id)).not.toBeNull()
  })

  test.each([
    ['to who is not linked with the relay', () => partBoxes(b, c)],
    ['to who is linked through somebody himself', () => c.linked.delete(b.id) && b.linked.delete(c.id)],
  ])('is refused %s', (_what, before) => {
    before()
    const reader = new Reader(a.relay.dial(c.id, b.id)!)
    clock.settle()
    expect(reader.closed).toBe(null)
    expect(c.accepted).toEqual([])
  })

  test('is not begun through a member without a straight link', () => {
    partBoxes(a, b)
    expect(a.relay.dial(c.id, b.id)).toBeNull()
  })
})

describe('against the rules', () => {
  const from = (message: Parameters<typeof encodeRelay>[0]) => a.handler!.received(b.id, encodeRelay(message))
  const HIGHER = 0x8000_0000

  test('a number that is taken, or was not theirs to give', () => {
    from({ kind: 'opened', circuit: HIGHER + 1, node: c.id })
    expect(() => from({ kind: 'opened', circuit: HIGHER + 1, node: c.id })).toThrow(PeerError)
    expect(() => from({ kind: 'opened', circuit: 1, node: c.id })).toThrow(PeerError)
    expect(() => from({ kind: 'open', circuit: 1, node: c.id })).toThrow(PeerError)
  })

  test('more bytes than there was room for', () => {
    from({ kind: 'opened', circuit: HIGHER + 1, node: c.id })
    const piece = { kind: 'bytes', circuit: HIGHER + 1, bytes: Buffer.alloc(8192) } as const
    for (let sent = 0; sent < CIRCUIT_WINDOW_BYTES; sent += 8192) from(piece)
    expect(() => from(piece)).toThrow(PeerError)
  })

  test('what belongs to no circuit is an end on its way, and nothing', () => {
    from({ kind: 'bytes', circuit: 77, bytes: Buffer.from('late') })
    from({ kind: 'credit', circuit: 77, consumed: 1 })
    from({ kind: 'end', circuit: 77 })
    clock.settle()
    expect(b.heard).toEqual([])
  })

  test('a flood of circuits stops at the bound', () => {
    for (let number = 1; number <= 100; number++) from({ kind: 'opened', circuit: HIGHER + number, node: c.id })
    expect(a.accepted).toHaveLength(64)
    clock.settle()
    expect(b.heard).toHaveLength(36)
  })
})

describe('a member that cannot be reached', () => {
  const member = (more: Partial<Unreached> = {}): Unreached => ({
    ...{ id: node('c'), state: 'suspect', linked: false, straightMs: 0 },
    ...more,
  })
  test.each<[string, Partial<Unreached>, number, boolean]>([
    ['for dead_after', {}, 5000, true],
    ['not so long', {}, 4999, false],
    ['and is dead: somebody else may reach it', { state: 'dead' }, 5000, true],
    ['but has left', { state: 'left' }, 5000, false],
    ['but is linked', { linked: true }, 5000, false],
    ['and has the lower id: it tries itself', { id: node('0') }, 5000, false],
  ])('%s', (_what, more, nowMs, needed) => {
    expect(needsRelay(node('a'), member(more), nowMs, 5000)).toBe(needed)
  })

  test('is tried through one that reaches it, after pauses, and each time another when it fails', () => {
    const tried: string[] = []
    let answer: (outcome: { at: 'unreachable'; why: string }) => void = () => {}
    const dialling = new RelayedDialling(clock, node('a'), {
      members: () => [member({ straightMs: clock.now() - 10_000 })],
      vouchers: () => [node('b'), node('d'), node('e')],
      open: (_member, relay) => {
        tried.push(relay)
        return {} as ByteStream
      },
      link: (_stream, _relay, done) => {
        answer = done
      },
    })
    const look = () => dialling.look(clock.now(), 5000)
    look()
    look()
    expect(tried).toHaveLength(1)
    for (let times = 0; times < 8; times++) {
      answer({ at: 'unreachable', why: 'no' })
      look()
      clock.advance(30_000)
      look()
    }
    expect(tried).toHaveLength(9)
    expect(new Set(tried).size).toBe(3)
  })

  test('is left alone while nobody reaches it', () => {
    const dialling = new RelayedDialling(clock, node('a'), {
      members: () => [member()],
      vouchers: () => [],
      open: () => {
        throw new Error('nobody to ask')
      },
      link: () => {},
    })
    dialling.look(10_000, 5000)
  })
})

test('what a member says of others counts until it says otherwise or is silent', () => {
  const vouching = new Vouching()
  vouching.says(node('b'), node('c'), true)
  vouching.says(node('d'), node('c'), true)
  vouching.says(node('d'), node('e'), false)
  expect([vouching.for(node('c')), vouching.for(node('e'))]).toEqual([[node('b'), node('d')], []])
  vouching.says(node('b'), node('c'), false)
  expect(vouching.for(node('c'))).toEqual([node('d')])
  vouching.silent(node('d'))
  expect(vouching.for(node('c'))).toEqual([])
})
