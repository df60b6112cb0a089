import { expect, test } from 'vitest'
import * as mqtt from '../../../bench/mqtt.ts'

const hex = (bytes: Buffer): string => bytes.toString('hex')
const golden = (text: string): string => text.replaceAll(' ', '')

test.each<[name: string, bytes: Buffer, is: string]>([
  ['CONNECT 3.1.1', mqtt.connect(4, 'ab', true), '10 0e 0004 4d515454 04 02 0000 0002 6162'],
  ['CONNECT 5', mqtt.connect(5, 'ab', true), '10 0f 0004 4d515454 05 02 0000 00 0002 6162'],
  ['CONNECT 3.1.1 that stays', mqtt.connect(4, 'ab', false), '10 0e 0004 4d515454 04 00 0000 0002 6162'],
  ['CONNECT 5 that stays', mqtt.connect(5, 'ab', false), '10 14 0004 4d515454 05 00 0000 05 11 00015180 0002 6162'],
  ['SUBSCRIBE 3.1.1', mqtt.subscribe(4, 0x102, ['a', '#'], 1), '82 0a 0102 0001 61 01 0001 23 01'],
  ['SUBSCRIBE 5', mqtt.subscribe(5, 0x102, ['a'], 2), '82 07 0102 00 0001 61 02'],
  ['UNSUBSCRIBE 3.1.1', mqtt.unsubscribe(4, 3, ['a']), 'a2 05 0003 0001 61'],
  ['UNSUBSCRIBE 5', mqtt.unsubscribe(5, 3, ['a']), 'a2 06 0003 00 0001 61'],
  ['DISCONNECT', mqtt.disconnect(), 'e0 00'],
  ['PUBACK', mqtt.acknowledgement(mqtt.PUBACK, 0x102), '40 02 0102'],
  ['PUBREL', mqtt.acknowledgement(mqtt.PUBREL, 0x102), '62 02 0102'],
])('the bytes of %s', (_name, bytes, is) => {
  expect(hex(bytes)).toBe(golden(is))
})

const STAMP = { lane: 1, sequence: 2, sentMs: 1.5 }
const PAYLOAD = '00000001 00000002 3ff8000000000000'

test.each<[version: mqtt.Version, qos: mqtt.Qos, retain: boolean, is: string]>([
  [4, 0, false, `30 13 0001 74 ${PAYLOAD}`],
  [4, 1, true, `33 15 0001 74 0102 ${PAYLOAD}`],
  [5, 0, false, `30 14 0001 74 00 ${PAYLOAD}`],
  [5, 2, false, `34 16 0001 74 0102 00 ${PAYLOAD}`],
])('the bytes of a PUBLISH, version %d, QoS %d, and where its parts are', (version, qos, retain, is) => {
  const form = mqtt.form(version, 't', qos, retain, 16)
  const bytes = Buffer.alloc(form.bytes.length + 1)
  mqtt.stamp(bytes, 1, form, 0x102, STAMP)
  expect(hex(bytes.subarray(1))).toBe(golden(is))
  const parts = mqtt.publishParts(version, bytes[1]!, bytes, 3, bytes.length)
  expect(parts).toEqual({ qos, packetId: qos === 0 ? 0 : 0x102, payloadAt: form.payloadAt + 1 })
})

test('properties of a PUBLISH are passed over, and what ends before its payload is an error', () => {
  const bytes = Buffer.from(golden('0001 74 02 0101 aa'), 'hex')
  expect(mqtt.publishParts(5, 0x30, bytes, 0, bytes.length).payloadAt).toBe(6)
  expect(() => mqtt.publishParts(5, 0x30, Buffer.from(golden('0001 74 09 0101'), 'hex'), 0, 6)).toThrow('ends before')
})

test('a payload has room for its stamp', () => {
  expect(() => mqtt.form(4, 't', 0, false, 15)).toThrow('16 bytes or more')
})

function packets(pieces: readonly Buffer[]): string[] {
  const found: string[] = []
  const reader = new mqtt.PacketReader((first, bytes, start, end) => {
    found.push(`${first.toString(16)}:${bytes.toString('latin1', start, end)}`)
  })
  for (const piece of pieces) reader.feed(piece)
  return found
}

test('a stream is the same packets wherever it is cut', () => {
  const long = Buffer.concat([Buffer.from([0x30, 0xac, 0x02]), Buffer.alloc(300, 'x')])
  const stream = Buffer.concat([Buffer.from([0x40, 2]), Buffer.from('ab'), Buffer.from([0xd0, 0]), long, long])
  const whole = ['40:ab', 'd0:', `30:${'x'.repeat(300)}`, `30:${'x'.repeat(300)}`]
  for (let cut = 0; cut <= stream.length; cut++) {
    expect(packets([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(whole)
  }
  expect(packets([...stream].map((byte) => Buffer.from([byte])))).toEqual(whole)
})

test.each<[name: string, bytes: string, says: string]>([
  ['a length of five bytes', '30 80 80 80 80 01', 'more than four bytes'],
  ['a length nobody sends', '30 81 80 40', 'which nobody sent'],
])('%s is an error', (_name, bytes, says) => {
  expect(() => packets([Buffer.from(golden(bytes), 'hex')])).toThrow(says)
})
