import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { limits } from '../../../../src/base/limits.ts'
import {
  decodeGoodbye,
  decodeNumber,
  decodeOpen,
  encodeFrame,
  encodeGoodbye,
  encodeNumber,
  encodeOpen,
  FrameKind,
  FrameReader,
  printable,
} from '../../../../src/wire/link/frame.ts'

interface Read {
  readonly kind: number
  readonly channel: number
  readonly body: string
}

function reading(reader = new FrameReader()) {
  const frames: Read[] = []
  const feed = (bytes: Buffer, start = 0, end = bytes.length, goOn: () => boolean = () => true) =>
    reader.read(bytes, start, end, (kind, channel, buffer, from, to) => {
      frames.push({ kind, channel, body: buffer.toString('hex', from, to) })
      return goOn()
    })
  return { frames, feed, reader }
}

describe('frames', () => {
  test('stand on the wire as drawn', () => {
    const frame = encodeFrame(FrameKind.data, 0x0203, Buffer.from('abcd', 'hex'))
    expect(frame.toString('hex')).toBe('00000005' + '07' + '0203' + 'abcd')
    expect(encodeFrame(FrameKind.ping, 0, encodeNumber(7)).toString('hex')).toBe(
      '00000007' + '02' + '0000' + '00000007',
    )
    const open = encodeFrame(FrameKind.open, 1, encodeOpen('members', 0x100000))
    expect(open.toString('hex')).toBe(`0000000e06000100100000${Buffer.from('members').toString('hex')}`)
    const goodbye = encodeFrame(FrameKind.goodbye, 0, encodeGoodbye('duplicate'))
    expect(goodbye.toString('hex')).toBe('00000004' + '05' + '0000' + '03')
  })

  test('several in one read, one torn over three', () => {
    const { frames, feed, reader } = reading()
    const bytes = Buffer.concat([
      encodeFrame(7, 1, Buffer.from('01', 'hex')),
      encodeFrame(7, 2, Buffer.alloc(0)),
      encodeFrame(8, 3, Buffer.from('0203', 'hex')),
    ])
    feed(bytes, 0, 17)
    feed(bytes, 17, 18)
    expect(reader.keptBytes).toBe(3)
    feed(bytes, 18, bytes.length)
    expect(frames).toEqual([
      { kind: 7, channel: 1, body: '01' },
      { kind: 7, channel: 2, body: '' },
      { kind: 8, channel: 3, body: '0203' },
    ])
    expect(reader.keptBytes).toBe(0)
  })

  test('a sink that says stop gets nothing more', () => {
    const { frames, feed } = reading()
    const one = encodeFrame(7, 1, Buffer.from('01', 'hex'))
    feed(Buffer.concat([one, one, one]), 0, one.length * 3, () => false)
    expect(frames).toHaveLength(1)
  })

  test.each([0, 1, 2, limits.frameBytes + 1, 0xffff_ffff])('an announced length of %i is refused at once', (length) => {
    expect(() => reading().feed(encodeNumber(length))).toThrow(PeerError)
    const torn = reading()
    const bytes = encodeNumber(length)
    torn.feed(bytes, 0, 3)
    expect(() => torn.feed(bytes, 3, 4)).toThrow(PeerError)
  })

  test('the longest frame passes, torn too, and its room is given back', () => {
    const frame = encodeFrame(7, 1, Buffer.alloc(limits.frameBytes - 3, 0x61))
    const whole = reading()
    whole.feed(frame)
    expect(whole.frames).toHaveLength(1)
    const torn = reading()
    for (let at = 0; at < frame.length; at += 1000) torn.feed(frame, at, Math.min(frame.length, at + 1000))
    expect(torn.frames).toEqual(whole.frames)
    expect(torn.reader.keptBytes).toBe(0)
  })

  test('numbers, names and reasons: what is missing or senseless is the peer’s fault', () => {
    expect(decodeNumber(encodeNumber(0xffff_ffff), 0, 4)).toBe(0xffff_ffff)
    expect(() => decodeNumber(Buffer.alloc(3), 0, 3)).toThrow(PeerError)
    expect(decodeOpen(encodeOpen('owned.routes', 5), 0, 16)).toEqual({ name: 'owned.routes', windowBytes: 5 })
    for (const name of ['', 'UPPER', 'a b', 'a\n', 'x'.repeat(65)]) {
      const bytes = encodeOpen(name, 5)
      expect(() => decodeOpen(bytes, 0, bytes.length)).toThrow(PeerError)
    }
    const goodbye = encodeGoodbye('stopping', 'for an upgrade')
    expect(decodeGoodbye(goodbye, 0, goodbye.length)).toEqual({ reason: 'stopping', text: 'for an upgrade' })
    expect(decodeGoodbye(Buffer.from([99]), 0, 1)).toEqual({ reason: 'unknown', text: '' })
    expect(() => decodeGoodbye(goodbye, 0, 0)).toThrow(PeerError)
  })

  test('texts of a peer carry no control characters', () => {
    expect(printable('gw-1\u001b[2J\n')).toBe('gw-1?[2J?')
  })
})
