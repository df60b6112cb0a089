import { expect, test } from 'vitest'
import { ProtocolError } from '../../../../src/base/errors.ts'
import { Reason } from '../../../../src/base/reasons.ts'
import { Framer, PacketTooLarge } from '../../../../src/wire/mqtt/framing.ts'
import { hex, join, packet } from './bytes.ts'

class Collected {
  readonly packets: string[] = []
  /** The buffers handed over, to see what was in place. */
  readonly buffers: Buffer[] = []
  readonly framer: Framer
  during: () => void = () => {}

  constructor(limit = 1000) {
    this.framer = new Framer(this, limit)
  }

  packet(buffer: Buffer, packetStart: number, bodyStart: number, end: number): void {
    this.buffers.push(buffer)
    this.packets.push(
      `${buffer.toString('hex', packetStart, bodyStart)} ${buffer.toString('hex', bodyStart, end)}`.trim(),
    )
    this.during()
  }

  push(bytes: Buffer) {
    return this.framer.push(bytes, 0, bytes.length)
  }
}

const A = hex('c0 00')
const B = hex('30 03 00 01 61')
const LARGE = packet(0x30, Buffer.alloc(700, 7))

test('packets that lie whole in the read are handed over in place', () => {
  const to = new Collected()
  const read = join([hex('ff'), A, B, LARGE, hex('ff')])
  expect(to.framer.push(read, 1, read.length - 1)).toBeNull()
  expect(to.packets).toEqual(['c000', '3003 000161', `30bc05 ${'07'.repeat(700)}`])
  expect(to.buffers.every((buffer) => buffer === read)).toBe(true)
  expect(to.framer.heldBytes).toBe(0)
})

test('a packet that spans reads is put together, the ones behind it are in place', () => {
  const to = new Collected()
  to.push(join([A, LARGE.subarray(0, 100)]))
  expect(to.framer.heldBytes).toBe(100)
  const last = join([LARGE.subarray(100), B, hex('30')])
  to.push(last)
  expect(to.packets).toEqual(['c000', `30bc05 ${'07'.repeat(700)}`, '3003 000161'])
  expect(to.buffers[2]).toBe(last)
  expect(to.framer.heldBytes).toBe(1)
})

test('byte by byte', () => {
  const to = new Collected()
  for (const byte of join([A, B, LARGE])) to.push(Buffer.from([byte]))
  expect(to.packets).toEqual(['c000', '3003 000161', `30bc05 ${'07'.repeat(700)}`])
})

test('what was handed over stays as it is until push returns', () => {
  const to = new Collected()
  to.push(B.subarray(0, 2))
  to.push(join([B.subarray(2), hex('30 05 00 01 62')]))
  expect(to.buffers[0]!.subarray(0, 5)).toEqual(B)
})

test('the size limit is judged by the fixed header, before anything is kept', () => {
  const to = new Collected()
  to.framer.limit = 100
  const error = to.push(hex('30 ff ff ff 7f 00'))
  expect(error).toBeInstanceOf(PacketTooLarge)
  expect((error as PacketTooLarge).reason).toBe(Reason.packetTooLarge)
  expect((error as PacketTooLarge).announced).toBe(268_435_460)
  expect(to.framer.heldBytes).toBe(0)
  expect(to.push(A)).toBeNull()
  expect(to.packets).toEqual([])
})

test('the limit is of the whole packet, and holds for a header that spans reads', () => {
  const to = new Collected(5)
  expect(to.push(B)).toBeNull()
  expect(to.push(hex('30'))).toBeNull()
  expect((to.push(hex('04')) as PacketTooLarge).announced).toBe(6)
})

test('the limit may change between two packets of one read', () => {
  const to = new Collected(5)
  to.during = () => {
    to.framer.limit = 1000
  }
  expect(to.push(join([A, LARGE]))).toBeNull()
  expect(to.packets).toHaveLength(2)
})

test('[MQTT-1.5.5-1] a remaining length of five bytes is malformed, however it arrives', () => {
  for (const cut of [1, 2, 3, 4, 5, 6]) {
    const to = new Collected()
    const bytes = hex('30 80 80 80 80 01')
    const error = to.push(bytes.subarray(0, cut)) ?? to.push(bytes.subarray(cut))
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error!.reason).toBe(Reason.malformedPacket)
  }
})

test('a remaining length with more bytes than it needs still frames', () => {
  const to = new Collected()
  to.push(hex('c0 80 00 30 83 80 00 00 01 61'))
  expect(to.packets).toEqual(['c08000', '30838000 000161'])
})

test('memory grows with what arrives, not with what is announced', () => {
  const to = new Collected(300_000_000)
  to.push(hex('30 ff ff ff 7f 01 02'))
  expect(to.framer.heldBytes).toBe(7)
})

test('pause stops within a read and keeps the rest; resume goes on', () => {
  const to = new Collected()
  to.during = () => to.framer.pause()
  const read = join([A, B, A, LARGE.subarray(0, 50)])
  to.push(read)
  expect(to.packets).toEqual(['c000'])
  expect(to.framer.paused).toBe(true)
  read.fill(0)
  to.push(LARGE.subarray(50))
  expect(to.packets).toEqual(['c000'])
  expect(to.framer.resume()).toBeNull()
  expect(to.packets).toEqual(['c000', '3003 000161'])
  to.during = () => {}
  to.framer.resume()
  expect(to.packets).toEqual(['c000', '3003 000161', 'c000', `30bc05 ${'07'.repeat(700)}`])
  expect(to.framer.heldBytes).toBe(0)
})

test('pause within a packet that was put together, then resume within the next', () => {
  const to = new Collected()
  to.during = () => to.framer.pause()
  to.push(B.subarray(0, 3))
  to.push(join([B.subarray(3), A, A]))
  expect(to.packets).toEqual(['3003 000161'])
  to.during = () => {
    to.framer.pause()
    to.framer.resume()
  }
  to.framer.resume()
  expect(to.packets).toEqual(['3003 000161', 'c000', 'c000'])
})

test('an error behind a pause is told by resume', () => {
  const to = new Collected(100)
  to.during = () => to.framer.pause()
  expect(to.push(join([A, LARGE]))).toBeNull()
  expect(to.framer.resume()).toBeInstanceOf(PacketTooLarge)
})

test('close within a packet ends it all', () => {
  const to = new Collected()
  to.during = () => to.framer.close()
  to.push(join([A, B, hex('30')]))
  to.push(A)
  expect(to.framer.resume()).toBeNull()
  expect(to.packets).toEqual(['c000'])
  expect(to.framer.heldBytes).toBe(0)
})
