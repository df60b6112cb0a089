// Whatever arrives: frames come out as they went in, however they are torn, and nonsense throws nothing but PeerError.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { limits } from '../../../../src/base/limits.ts'
import { decodeConfirm } from '../../../../src/wire/link/confirm.ts'
import { decodeGoodbye, decodeNumber, decodeOpen, encodeFrame, FrameReader } from '../../../../src/wire/link/frame.ts'
import { decodeHello, HELLO_BYTES } from '../../../../src/wire/link/hello.ts'
import { decodeMembers } from '../../../../src/wire/link/members.ts'

const frame = fc.record({
  kind: fc.integer({ min: 0, max: 255 }),
  channel: fc.integer({ min: 0, max: 65_535 }),
  body: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 3000 })),
})

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index]!, end))
}

const onlyPeerError = (run: () => unknown): boolean => {
  try {
    run()
    return true
  } catch (error) {
    return error instanceof PeerError
  }
}

describe('frames', () => {
  test('come out whole and in order, however the stream is torn', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.map(({ kind, channel, body }) => encodeFrame(kind, channel, Buffer.from(body))),
        )
        const reader = new FrameReader()
        const read: typeof frames = []
        for (const piece of pieces(bytes, cuts)) {
          // What is handed over is valid during the call only: the buffer is spoilt right after.
          const lent = Buffer.from(piece)
          reader.read(lent, 0, lent.length, (kind, channel, buffer, start, end) => {
            read.push({ kind, channel, body: Uint8Array.from(buffer.subarray(start, end)) })
            return true
          })
          lent.fill(0xee)
        }
        expect(read).toEqual(frames)
        expect(reader.keptBytes).toBe(0)
      }),
    )
  })

  test('arbitrary bytes throw nothing but PeerError and keep at most one frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), (reads) => {
        const reader = new FrameReader()
        const ok = onlyPeerError(() => {
          for (const read of reads) reader.read(Buffer.from(read), 0, read.length, () => true)
        })
        expect(ok).toBe(true)
        expect(reader.keptBytes).toBeLessThanOrEqual(limits.frameBytes + 4)
      }),
    )
  })
})

describe('bodies', () => {
  test('arbitrary bytes throw nothing but PeerError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (array) => {
        const bytes = Buffer.from(array)
        const runs = [
          () => decodeMembers(bytes),
          () => decodeConfirm(bytes, 0, bytes.length),
          () => decodeOpen(bytes, 0, bytes.length),
          () => decodeGoodbye(bytes, 0, bytes.length),
          () => decodeNumber(bytes, 0, bytes.length),
        ]
        for (const run of runs) expect(onlyPeerError(run)).toBe(true)
      }),
    )
  })

  test('arbitrary 64 bytes behind the magic are a hello or a PeerError, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: HELLO_BYTES, maxLength: HELLO_BYTES }), (array) => {
        const bytes = Buffer.from(array)
        bytes.write('edgemqtt', 0)
        const hello = decodeHello(bytes)
        expect(hello instanceof PeerError || hello.node.length === 16).toBe(true)
      }),
    )
  })
})
