import { beforeEach, describe, expect, test } from 'vitest'
import type { ByteStream, StreamHandler } from '../../../../src/base/ports/streams.ts'
import { encodeFrame } from '../../../../src/wire/link/frame.ts'
import { encodeHello } from '../../../../src/wire/link/hello.ts'
import { VirtualClock } from '../../../virtual-clock.ts'
import { cluster, instance, node } from '../fakes.ts'
import { type BoxOptions, LinkBox, openStreams } from '../linkbox.ts'
import { Net } from '../net.ts'

let clock: VirtualClock
let net: Net
beforeEach(() => {
  clock = new VirtualClock()
  net = new Net(clock)
})
const box = (id: string, more: Omit<BoxOptions, 'id'> = {}) => new LinkBox(net, { id, ...more })

/** A stranger's end of a connection to `to`. */
function stranger(to: LinkBox, address = '10.0.0.99') {
  const seen = { bytes: Buffer.alloc(0), closed: false }
  const handler: StreamHandler = {
    received: (bytes, start, end) => {
      seen.bytes = Buffer.concat([seen.bytes, bytes.subarray(start, end)])
    },
    drained: () => {},
    closed: () => {
      seen.closed = true
    },
  }
  const made: { stream: ByteStream | null } = { stream: null }
  net.at(address).dial(to.endpoint, 1000, (stream) => {
    made.stream = stream as ByteStream
    made.stream.open(handler)
  })
  clock.advance(5)
  return { seen, stream: made.stream! }
}

const hello = (more: Partial<Parameters<typeof encodeHello>[0]> = {}) =>
  encodeHello({
    versionMin: 1,
    versionMax: 1,
    intent: 'link',
    cluster: cluster('c'),
    node: node('9'),
    instance: instance('9'),
    nonce: Buffer.alloc(16),
    ...more,
  })

describe('versions of the protocol', () => {
  test.each([
    ['N-1 and N', [1, 1], [1, 2], 1],
    ['N and N: the oldest that both speak', [1, 2], [1, 2], 1],
    ['N and N+1', [1, 2], [2, 3], 2],
    ['one that speaks many, and N', [1, 9], [3, 4], 3],
    ['N-1 and N+1', [1, 1], [2, 3], null],
  ] as const)('%s', (_name, [minA, maxA], [minB, maxB], common) => {
    const a = box('1', { versions: { versionMin: minA, versionMax: maxA } })
    const b = box('2', { versions: { versionMin: minB, versionMax: maxB } })
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const outcomes = one.dial(other)
      clock.advance(100)
      expect(outcomes).toMatchObject([common === null ? { reason: 'version' } : { at: 'linked' }])
      expect([a.links.to(b.id)?.version ?? null, b.links.to(a.id)?.version ?? null]).toEqual([common, common])
      one.links.to(other.id)?.close('stopping', 'stopping')
      clock.advance(3000)
    }
    expect(openStreams(net)).toBe(0)
  })
})

describe('a link', () => {
  test('comes up on both ends, and each knows what the other told', () => {
    const [a, b] = [box('1'), box('2')]
    const outcomes = b.dial(a)
    clock.advance(100)
    expect(outcomes).toEqual([{ at: 'linked', node: a.id }])
    expect([a.linked, b.linked]).toEqual([['2'], ['1']])
    expect(a.links.to(b.id)!.told).toMatchObject({ name: 'box-2', clusterPort: 4883, endpoints: [b.endpoint] })
    expect(a.links.to(b.id)!.dialled).toBeNull()
    expect(b.links.to(a.id)!.dialled).toEqual(a.endpoint)
    expect([a.refused(), b.refused()]).toEqual([[], []])
    expect(clock.timers).toEqual([])
  })

  test.each([1, 3, 64])('comes up when bytes arrive %i at a time', (chunk) => {
    net.chunk = () => chunk
    const [a, b] = [box('1'), box('2')]
    a.dial(b)
    clock.advance(100)
    expect([a.linked, b.linked]).toEqual([['2'], ['1']])
  })

  test('says goodbye when a node stops', () => {
    const [a, b] = [box('1'), box('2')]
    a.dial(b)
    clock.advance(100)
    a.links.stop('stopping')
    clock.advance(100)
    expect(b.events.at(-1)).toBe('down 1 stopping')
    clock.advance(3000)
    expect(openStreams(net)).toBe(0)
    expect(a.dial(b)).toEqual([{ at: 'unreachable', why: 'stopped' }])
  })

  test('that the peer ends is gone at once, whatever still waits to be written', () => {
    const [a, b] = [box('1'), box('2')]
    a.dial(b)
    clock.advance(100)
    const [near] = net.streams.filter(({ remote }) => remote.address === a.endpoint.address)
    near!.hold()
    b.links.to(a.id)!.ping()
    clock.advance(10)
    expect(near!.pendingBytes).toBeGreaterThan(0)
    a.links.stop('stopping')
    clock.advance(10)
    expect(near!.isClosed).toBe(true)
  })

  test('is one per pair when both dial at the same time, whoever comes first', () => {
    for (const [first, second] of [
      ['1', '2'],
      ['2', '1'],
    ] as const) {
      clock = new VirtualClock()
      net = new Net(clock)
      const [a, b] = [box(first), box(second)]
      const outcomes = [a.dial(b), b.dial(a)]
      clock.advance(3000)
      expect(outcomes.flat().map(({ at }) => at)).toEqual(['linked', 'linked'])
      expect([a.linked, b.linked]).toEqual([[second], [first]])
      expect(openStreams(net)).toBe(2)
    }
  })

  test('to a peer that was started again replaces the old one', () => {
    const a = box('1')
    const b = box('2')
    b.dial(a)
    clock.advance(100)
    net.cut(a.endpoint.address, b.endpoint.address)
    net.cut(b.endpoint.address, a.endpoint.address)
    const again = new LinkBox(net, { id: '2', address: '10.0.0.22', instance: instance('f') })
    again.dial(a)
    clock.advance(100)
    expect(a.links.to(b.id)!.peerInstance).toBe(instance('f'))
    expect(a.events).toEqual(['up 2', 'down 2 duplicate', 'up 2'])
  })

  test('that has gone silent gives way to a new one; one that lives does not', () => {
    const [a, b] = [box('1'), box('2')]
    b.dial(a)
    clock.advance(100)
    const outcomes = b.dial(a)
    clock.advance(100)
    expect(outcomes).toEqual([{ at: 'linked', node: a.id }])
    expect(a.events).toEqual(['up 2'])
    clock.advance(2500)
    b.dial(a)
    clock.advance(100)
    expect(a.events).toEqual(['up 2', 'down 2 duplicate', 'up 2'])
    expect(b.linked).toEqual(['1'])
  })

  test('dialled at an address of our own is self, and says nothing', () => {
    const a = box('1')
    expect(a.dial(a)).toEqual([])
    clock.advance(100)
    expect(a.refused()).toEqual([])
    expect(openStreams(net)).toBe(0)
  })

  test('with a copy of our own card is told to both, and is no link', () => {
    const a = box('1')
    const copy = box('1', { address: '10.0.0.7', instance: instance('7') })
    const outcomes = a.dial(copy)
    clock.advance(100)
    expect(outcomes).toEqual([{ at: 'self' }])
    expect(a.events).toEqual(['same identity 7'])
    expect(copy.events).toEqual(['same identity 1'])
    expect([a.linked, copy.linked]).toEqual([[], []])
  })
})

describe('refused by the dialler, who then has said nothing', () => {
  const silent = (a: LinkBox) => {
    clock.advance(6000)
    expect(a.meter.get('link.greeting.broken')).toBe(1)
    expect(openStreams(net)).toBe(0)
  }

  test('another cluster', () => {
    const [a, b] = [box('1', { cluster: cluster('d') }), box('2')]
    const outcomes = b.dial(a)
    silent(a)
    expect(outcomes).toEqual([{ at: 'foreign', cluster: cluster('d') }])
    expect(b.refused()).toEqual(['10.0.0.1:4883 other cluster'])
  })

  test('a box that waits to be let in', () => {
    const [a, b] = [box('1', { waiting: true }), box('2')]
    const outcomes = b.dial(a)
    silent(a)
    expect(outcomes).toEqual([{ at: 'refused', reason: 'not a member yet' }])
    expect(b.refused()).toEqual([])
  })

  test.each([
    ['nothing at all', '', 'timeout', 'unreachable', 2000],
    ['half a hello', hello().toString('latin1', 0, 40), 'timeout', 'unreachable', 5000],
    ['text', 'HTTP/1.1 400 Bad Request\r\n', 'not a hello', 'refused', 10],
    ['more than a hello', `${hello().toString('latin1')}x`, 'tampered', 'refused', 10],
    ['a version of the future', hello({ versionMin: 2, versionMax: 9 }).toString('latin1'), 'version', 'refused', 10],
  ])('%s', (_what, says, reason, at, withinMs) => {
    const b = box('2')
    let heard = 0
    net.at('10.0.0.99').listen(
      { address: '10.0.0.99', port: 9100 },
      (stream) => {
        stream.open({ received: (_bytes, start, end) => (heard += end - start), drained: () => {}, closed: () => {} })
        if (says !== '') stream.write(Buffer.from(says, 'latin1'))
      },
      () => {},
    )
    const outcomes = b.dial({ address: '10.0.0.99', port: 9100 })
    clock.advance(withinMs - 5)
    if (withinMs > 100) expect(outcomes).toEqual([])
    clock.advance(20)
    expect(outcomes[0]?.at).toBe(at)
    expect(b.refused()).toEqual([`10.0.0.99:9100 ${reason}`])
    expect(heard).toBe(0)
  })

  test('nobody', () => {
    const b = box('2')
    const outcomes = b.dial({ address: '10.0.0.77', port: 1 })
    clock.advance(10)
    expect(outcomes).toEqual([{ at: 'unreachable', why: 'refused' }])
  })
})

describe('refused by the acceptor', () => {
  test.each([
    ['text', Buffer.from('GET / HTTP/1.1\r\n'), 'not a hello'],
    ['more than a hello', Buffer.concat([hello(), Buffer.alloc(1)]), 'tampered'],
    ['another cluster', hello({ cluster: cluster('d') }), 'other cluster'],
    ['no such intent', Buffer.concat([hello().fill(9, 10, 11)]), 'not a hello'],
    ['a version of the future', hello({ versionMin: 2, versionMax: 9 }), 'version'],
  ])('%s', (_what, bytes, reason) => {
    const a = box('1')
    const { seen, stream } = stranger(a)
    expect(seen.bytes).toHaveLength(64)
    stream.write(bytes)
    clock.advance(20)
    expect(a.refused()).toEqual([`10.0.0.99 ${reason}`])
    expect(seen.closed).toBe(true)
    expect(seen.bytes).toHaveLength(64)
  })

  test('nobody who wants to be let in: the stream goes to those who judge that', () => {
    const a = box('1')
    const { seen, stream } = stranger(a)
    stream.write(hello({ intent: 'enrol', cluster: null }))
    clock.advance(20)
    expect(a.events).toEqual(['enrol 9'])
    expect([a.refused(), seen.bytes.length]).toEqual([[], 64])
  })

  test('a stranger that wants to be let in by a box that waits itself', () => {
    const a = box('1', { waiting: true })
    const { seen, stream } = stranger(a)
    stream.write(hello({ intent: 'enrol', cluster: null }))
    clock.advance(20)
    expect([a.events, seen.closed]).toEqual([[], true])
  })

  test('a stranger that says nothing, after 5 s', () => {
    const a = box('1')
    const { seen } = stranger(a)
    clock.advance(4900)
    expect(seen.closed).toBe(false)
    clock.advance(200)
    expect(seen.closed).toBe(true)
    expect(a.refused()).toEqual(['10.0.0.99 timeout'])
  })

  test('whoever comes while this box waits to be let in', () => {
    const a = box('1', { waiting: true })
    const { seen, stream } = stranger(a)
    stream.write(hello())
    clock.advance(20)
    expect(seen.closed).toBe(true)
    expect(a.refused()).toEqual([])
  })

  test('plain text after the hellos', () => {
    const a = box('1')
    const { stream } = stranger(a)
    stream.write(hello())
    clock.advance(20)
    stream.write(Buffer.from(`${'x'.repeat(300)}\n`))
    clock.advance(20)
    expect(a.refused()).toEqual(['10.0.0.99 not TLS'])
  })

  test('more strangers at once than may be greeted, and no more of one address than that', () => {
    const a = box('1')
    for (let count = 0; count < 10; count++) stranger(a, '10.0.0.99')
    expect(a.meter.get('link.refused.busy')).toBe(2)
    for (let count = 0; count < 40; count++) stranger(a, `10.0.1.${count}`)
    expect(openStreams(net)).toBe(64)
    clock.advance(6000)
    expect(openStreams(net)).toBe(0)
    const b = box('2')
    b.dial(a)
    clock.advance(100)
    expect(a.linked).toEqual(['2'])
  })
})

describe('refused inside TLS', () => {
  test('a foreign CA: the word on one side, refused by peer on the other', () => {
    const [a, b] = [box('1'), box('2', { certificate: { ca: 'other' } })]
    b.dial(a)
    clock.advance(100)
    expect(a.refused()).toEqual(['10.0.0.2 foreign CA'])
    expect(a.linked).toEqual([])
    a.dial(b)
    clock.advance(100)
    expect(b.refused()[0]).toBe('10.0.0.1 foreign CA')
  })

  test('a certificate of somebody else', () => {
    const [a, b] = [box('1'), box('2', { certificate: { node: node('3') } })]
    const outcomes = b.dial(a)
    clock.advance(100)
    expect(a.refused()).toEqual(['10.0.0.2 wrong identity'])
    expect(b.refused()).toEqual(['10.0.0.1:4883 refused by peer: wrong identity'])
    expect(outcomes).toEqual([{ at: 'refused', reason: 'refused by peer: wrong identity' }])
    expect([a.linked, b.linked]).toEqual([[], []])
  })

  test('the same id with another key than the one seen last, also after a restart', () => {
    const a = box('1')
    const b = box('2')
    b.dial(a)
    clock.advance(100)
    b.links.stop('stopping')
    clock.advance(3000)
    const impostor = { certificate: { key: 'stolen' }, address: '10.0.0.66', instance: instance('6') }
    box('2', impostor).dial(a)
    clock.advance(100)
    expect(a.refused()).toEqual(['10.0.0.66 identity changed'])
    const restarted = box('1', { files: a.files, address: '10.0.0.11' })
    box('2', { ...impostor, address: '10.0.0.67' }).dial(restarted)
    clock.advance(100)
    expect(restarted.refused()).toEqual(['10.0.0.67 identity changed'])
  })

  test.each([
    ['the nonce', 40, 0x10],
    ['a reserved byte', 60, 0x10],
    ['the newest version', 9, 0x10],
    ['the oldest version, so that both would speak an older one', 8, 0x03],
    ['the instance', 32, 0x10],
  ])('%s of a hello changed on the way: tampered', (_what, at, bits) => {
    const a = box('1', { versions: { versionMin: 1, versionMax: 2 } })
    const b = box('2', { versions: { versionMin: 2, versionMax: 3 } })
    const outcomes = b.dial({ address: '10.0.0.50', port: 4883 })
    net.at('10.0.0.50').listen(
      { address: '10.0.0.50', port: 4883 },
      (toDialler) => {
        net.at('10.0.0.50').dial(a.endpoint, 1000, (result) => {
          const toAcceptor = result as ByteStream
          relay(toAcceptor, toDialler, (bytes) => bytes)
          relay(toDialler, toAcceptor, (bytes, first) => {
            if (first) bytes[at]! ^= bits
            return bytes
          })
        })
      },
      () => {},
    )
    clock.advance(100)
    expect([a.linked, b.linked]).toEqual([[], []])
    const refused = [...a.refused(), ...b.refused()]
    expect(refused.filter((row) => row.endsWith('tampered')).length).toBeGreaterThan(0)
    expect(outcomes[0]?.at).toBe('refused')
  })

  test('a member that does not confirm is let go after 5 s', () => {
    const a = box('1')
    const { stream, seen } = stranger(a)
    stream.write(hello())
    clock.advance(20)
    stream.write(Buffer.from(`certificate node|${node('9')}|k9|ca\n`))
    clock.advance(4000)
    expect(seen.closed).toBe(false)
    clock.advance(4000)
    expect(seen.closed).toBe(true)
    expect(a.linked).toEqual([])
  })

  test.each([
    ['a frame before the confirmation', encodeFrame(7, 1, Buffer.from('x'))],
    ['an oversize frame', Buffer.from('ffffffff07', 'hex')],
    ['a confirmation cut short', encodeFrame(1, 0, Buffer.alloc(50))],
  ])('a member that sends %s', (_what, bytes) => {
    const a = box('1')
    const { stream, seen } = stranger(a)
    stream.write(hello())
    clock.advance(20)
    stream.write(Buffer.from(`certificate node|${node('9')}|k9|ca\n`))
    clock.advance(20)
    stream.write(bytes)
    clock.advance(20)
    expect(seen.closed).toBe(true)
    expect(a.refused()).toHaveLength(1)
    expect(a.linked).toEqual([])
  })
})

test('kinds of frames that are not known yet are counted, and nothing else', () => {
  const [a, b] = [box('1'), box('2')]
  b.dial(a)
  clock.advance(100)
  const { outbox } = b.links.to(a.id)!
  outbox.append(encodeFrame(200, 0, Buffer.from('later')))
  outbox.append(encodeFrame(99, 7, Buffer.from('later, on a channel')))
  clock.advance(100)
  expect([a.linked, a.meter.get('link.unknown')]).toEqual([['2'], 2])
})

function relay(from: ByteStream, to: ByteStream, change: (bytes: Buffer, first: boolean) => Buffer): void {
  let first = true
  from.open({
    received: (bytes, start, end) => {
      to.write(change(Buffer.from(bytes.subarray(start, end)), first))
      first = false
    },
    drained: () => {},
    closed: () => to.end(),
  })
}

describe('a box that was removed', () => {
  test.each(['id', 'key'] as const)('is refused by its %s in both roles, and is told so', (by) => {
    const [a, b] = [box('1'), box('2')]
    a.removed.add(by === 'id' ? b.id : 'k2')
    for (const outcomes of [b.dial(a), a.dial(b)]) {
      clock.advance(3000)
      expect(outcomes).toEqual([expect.objectContaining({ at: 'refused', reason: expect.stringContaining('removed') })])
    }
    expect([a.linked, b.linked]).toEqual([[], []])
    expect(b.events).toEqual(['removed by 1', 'removed by 1'])
    expect(a.events).toEqual([])
    expect(a.refused().every((row) => row.endsWith('removed'))).toBe(true)
    expect(openStreams(net)).toBe(0)
  })

  test('loses the link that it has', () => {
    const [a, b, c] = [box('1'), box('2'), box('3')]
    b.dial(a)
    c.dial(a)
    clock.advance(100)
    a.removed.add(b.id)
    a.links.closeRemoved()
    clock.advance(100)
    expect([a.linked, b.linked, c.linked]).toEqual([['3'], [], ['1']])
    expect(b.events).toEqual(['up 1', 'removed by 1', 'down 1 removed'])
  })
})
