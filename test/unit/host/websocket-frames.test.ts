import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CloseCode, FrameReader, frameHeader, Opcode } from '../../../src/host/websocket-frames.ts'
import { maskedFrame, readFrames } from '../../contract/dialled.ts'

/** What comes out when `bytes` come in pieces of these lengths. */
function read(reader: FrameReader, bytes: Buffer, cuts: readonly number[] = []): string {
  const out: Buffer[] = []
  let start = 0
  for (const end of [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))]
    .sort((a, b) => a - b)
    .concat(bytes.length)) {
    const piece = Buffer.from(bytes.subarray(start, end))
    out.push(piece.subarray(0, reader.push(piece, 0, piece.length)))
    start = end
  }
  return Buffer.concat(out).toString('latin1')
}

describe('frames of a client', () => {
  test('[MQTT-6.0.0-2] any split into messages, frames and reads gives the same bytes', () => {
    const part = fc.record({ payload: fc.uint8Array({ maxLength: 300 }), final: fc.boolean(), ping: fc.boolean() })
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 10 }), (parts, cuts) => {
        let inMessage = false
        const frames = parts.flatMap(({ payload, final, ping }) => {
          const frame = maskedFrame(inMessage ? Opcode.continuation : Opcode.binary, Buffer.from(payload), final)
          inMessage = !final
          return ping ? [maskedFrame(Opcode.ping, Buffer.from('hi')), frame] : [frame]
        })
        const reader = new FrameReader(1000)
        const wanted = Buffer.concat(parts.map(({ payload }) => payload)).toString('latin1')
        expect(read(reader, Buffer.concat(frames), cuts)).toBe(wanted)
        expect(reader.ended).toBeNull()
        expect(reader.takePing()?.toString() ?? '').toBe(parts.some(({ ping }) => ping) ? 'hi' : '')
        expect(reader.takePing()).toBeNull()
      }),
    )
  })

  test('a long frame carries its length in 16 or 64 bits', () => {
    for (const length of [125, 126, 65_535, 65_536, 200_000]) {
      expect(read(new FrameReader(1e6), maskedFrame(Opcode.binary, Buffer.alloc(length, 'x'))).length).toBe(length)
    }
  })

  const faults: readonly (readonly [string, Buffer, number])[] = [
    ['[MQTT-6.0.0-1] a text frame', maskedFrame(Opcode.text, Buffer.from('a')), CloseCode.unsupportedData],
    ['a frame without a mask', Buffer.from([0x82, 1, 0x61]), CloseCode.protocolError],
    ['reserved bits', Buffer.from([0xc2, 0x80, 0, 0, 0, 0]), CloseCode.protocolError],
    ['an unknown kind', maskedFrame(3, Buffer.from('a')), CloseCode.protocolError],
    ['a continuation of nothing', maskedFrame(Opcode.continuation, Buffer.from('a')), CloseCode.protocolError],
    ['a fragmented ping', maskedFrame(Opcode.ping, Buffer.from('a'), false), CloseCode.protocolError],
    ['a ping of 126 bytes', maskedFrame(Opcode.ping, Buffer.alloc(126)), CloseCode.protocolError],
    [
      '1001 bytes where 1000 may be',
      maskedFrame(Opcode.binary, Buffer.alloc(1001)).subarray(0, 8),
      CloseCode.messageTooBig,
    ],
    ['2^60 bytes', Buffer.from('82ff10000000000000000000000000', 'hex'), CloseCode.messageTooBig],
  ]
  test.each(faults)('%s ends it; what came before counts', (_name, frame, code) => {
    const reader = new FrameReader(1000)
    const before = maskedFrame(Opcode.binary, Buffer.from('before'))
    expect(read(reader, Buffer.concat([before, frame, before]))).toBe('before')
    expect(reader.ended?.code).toBe(code)
    expect(reader.ended?.why).not.toBeNull()
  })

  test('a goodbye ends it in good order', () => {
    const reader = new FrameReader(1000)
    expect(read(reader, maskedFrame(Opcode.close, Buffer.from([3, 232])))).toBe('')
    expect(reader.ended).toEqual({ code: CloseCode.normal, why: null })
  })
})

test('our frames are read as they were meant', () => {
  for (const length of [0, 125, 126, 65_535, 65_536]) {
    const payload = Buffer.alloc(length, 7)
    const { frames, rest } = readFrames(Buffer.concat([frameHeader(Opcode.binary, length), payload]))
    expect(frames).toEqual([{ opcode: Opcode.binary, payload }])
    expect(rest.length).toBe(0)
  }
})
