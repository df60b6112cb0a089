import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ProtocolError } from '../../../src/base/errors.ts'
import { decodeControl } from '../../../src/wire/mqtt/control.ts'
import { Framer } from '../../../src/wire/mqtt/framing.ts'
import type { Version } from '../../../src/wire/mqtt/packets.ts'
import { PublishView, passThroughProperties } from '../../../src/wire/mqtt/publish.ts'
import { badPackets } from '../../unit/wire/mqtt/bad-packets.ts'
import { bodyStart, packet } from '../../unit/wire/mqtt/bytes.ts'

const LIMIT = 4096

const versions = fc.constantFrom<Version[]>(3, 4, 5)
const wholePackets = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 400, size: 'max' }))
  .map(([first, body]) => packet(first, Buffer.from(body)))

/** Feeds a stream to a framer in reads of these lengths (over and over), pausing and resuming now and then. */
function frames(stream: Buffer, reads: readonly number[], pauseAfter: number): string[] {
  const found: string[] = []
  let untilPause = pauseAfter
  const framer = new Framer(
    {
      packet(buffer, packetStart, bodyAt, end) {
        found.push(`${bodyAt - packetStart}:${buffer.toString('hex', packetStart, end)}`)
        if (--untilPause !== 0) return
        framer.pause()
        untilPause = pauseAfter
      },
    },
    LIMIT,
  )
  const say = (error: ProtocolError | null) => {
    if (error !== null) found.push(`error ${error.reason}`)
  }
  let at = 0
  for (let index = 0; at < stream.length; index++) {
    const end = Math.min(stream.length, at + reads[index % reads.length]!)
    // The host uses its read buffer again, so nothing may be kept of it.
    const read = Buffer.from(stream.subarray(at, end))
    say(framer.push(read, 0, read.length))
    read.fill(0xee)
    while (framer.paused) say(framer.resume())
    at = end
  }
  return found
}

test('any split of a stream into reads gives the same packets, whole or junk', () => {
  const streams = fc.oneof(
    fc.array(wholePackets, { maxLength: 20, size: 'max' }).map((packets) => Buffer.concat(packets)),
    fc.uint8Array({ maxLength: 2000, size: 'max' }).map((bytes) => Buffer.from(bytes)),
  )
  const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(streams, lengths, fc.integer({ min: 0, max: 5 }), (stream, reads, pauseAfter) => {
      expect(frames(stream, reads, pauseAfter)).toEqual(frames(stream, [Math.max(1, stream.length)], 0))
    }),
    { numRuns: 500 },
  )
})

test('whole packets come out as they went in', () => {
  fc.assert(
    fc.property(fc.array(wholePackets, { maxLength: 20, size: 'max' }), (packets) => {
      expect(frames(Buffer.concat(packets), [100], 0)).toEqual(
        packets.map((bytes) => `${bodyStart(bytes)}:${bytes.toString('hex')}`),
      )
    }),
  )
})

/** Bytes that get further than pure chance: packets that are nearly right, with some bytes changed. */
const nearlyRight = fc
  .tuple(
    fc.constantFrom(...badPackets.map(({ bytes }) => bytes)),
    fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
  )
  .map(([bytes, changes]) => {
    const changed = Buffer.from(bytes.subarray(bodyStart(bytes)))
    for (const [at, value] of changes) if (changed.length > 0) changed[at % changed.length] = value
    return packet(bytes[0]!, changed)
  })

test('decodeControl and PublishView never throw, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.oneof(wholePackets, nearlyRight), fc.option(versions), (bytes, version) => {
      const start = bodyStart(bytes)
      if (bytes[0]! >> 4 !== 3 || version === null) {
        const decoded = decodeControl(bytes, 0, start, bytes.length, version)
        expect(decoded instanceof ProtocolError || decoded.kind.length > 0).toBe(true)
        return
      }
      const view = new PublishView()
      const error = view.read(bytes, 0, start, bytes.length, version)
      if (error !== null) return
      expect(view.payloadEnd).toBe(bytes.length)
      expect(view.payloadStart).toBeGreaterThanOrEqual(view.propertiesEnd)
      expect(passThroughProperties(view, bytes).length).toBeLessThanOrEqual(view.propertiesEnd - view.propertiesStart)
    }),
    { numRuns: 3000 },
  )
})

test('what the byte pass takes, mqtt-packet takes too', () => {
  fc.assert(
    fc.property(nearlyRight, fc.option(versions), (bytes, version) => {
      if (bytes[0]! >> 4 === 3) return
      const decoded = decodeControl(bytes, 0, bodyStart(bytes), bytes.length, version)
      if (decoded instanceof ProtocolError) expect(decoded.message).not.toContain('mqtt-packet')
    }),
    { numRuns: 5000 },
  )
})
