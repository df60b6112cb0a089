import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import {
  ageItems,
  BATCH_HEADER_BYTES,
  BatchReader,
  encodeText,
  expiryOffset,
  itemBytes,
  writeBatchHeader,
  writeExpiry,
  writeItem,
} from '../../../../src/wire/link/forward.ts'
import { EMPTY, type Message } from '../../../../src/wire/message.ts'

const origin = { node: '00112233445566aa' as NodeId, incarnation: 258 }
const plain: Message = {
  origin,
  counter: 0,
  topic: 'a/b',
  qos: 0,
  retain: false,
  payload: Buffer.from('hi'),
  properties: EMPTY,
  expiresAt: Number.POSITIVE_INFINITY,
  publisher: 'p1' as ClientId,
  stamp: null,
}
const full: Message = {
  ...plain,
  counter: 3,
  qos: 2,
  retain: true,
  properties: Buffer.from('2600016100 0131'.replaceAll(' ', ''), 'hex'),
  expiresAt: 5000,
}

function encode(messages: readonly Message[], sequence = 1, nowMs = 1000): Buffer {
  const items = messages.map((message) => {
    const topic = encodeText(message.topic)
    const publisher = encodeText(message.publisher)
    const item = Buffer.alloc(itemBytes(message, topic, publisher))
    expect(writeItem(item, 0, message, topic, publisher, message.expiresAt - nowMs)).toBe(item.length)
    return item
  })
  const header = Buffer.alloc(BATCH_HEADER_BYTES)
  writeBatchHeader(header, sequence)
  return Buffer.concat([header, ...items])
}

function decode(bytes: Buffer, nowMs = 1000): Message[] {
  const reader = new BatchReader()
  const messages: Message[] = []
  expect(reader.open(bytes)).toBe(true)
  for (let message = reader.next(nowMs); message !== null; message = reader.next(nowMs)) messages.push(message)
  return messages
}

const stamped: Message = { ...plain, retain: true, stamp: { wallMs: 5, counter: 6, node: origin.node } }

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const HEADER = '01 000000000001'

test('a QoS 0 message has these bytes', () => {
  expect(encode([plain])).toEqual(bytesOf(`${HEADER} 00 0003612f62 00027031 00000002 6869`))
})

test('a message with everything has these bytes', () => {
  const expected = `${HEADER} 5e 0003612f62 00027031 000000000fa0 00112233445566aa 000000000102 000000000003
    07 2600016100 0131 00000002 6869`.replaceAll('\n', '')
  expect(encode([full])).toEqual(bytesOf(expected))
})

test('a stamped message has these bytes', () => {
  const expected = `${HEADER} 24 0003612f62 00027031 0013 01 0010 000000000005 0006 00112233445566aa 00000002 6869`
  expect(encode([stamped])).toEqual(bytesOf(expected))
})

test('what was written is read, in order', () => {
  expect(
    decode(encode([plain, full, stamped, { ...plain, payload: EMPTY, topic: 'ü', publisher: '' as ClientId }])),
  ).toEqual([
    { ...plain, origin: expect.anything() },
    full,
    { ...stamped, origin: expect.anything() },
    { ...plain, payload: EMPTY, topic: 'ü', publisher: '', origin: expect.anything() },
  ])
})

test('the expiry is what is left, by the clock of the reader', () => {
  const item = encode([full], 1, 2000)
  expect(decode(item, 90_000)[0]!.expiresAt).toBe(93_000)
  writeExpiry(item, BATCH_HEADER_BYTES + expiryOffset(encodeText(full.topic), encodeText(full.publisher)), 12.9)
  expect(decode(item, 90_000)[0]!.expiresAt).toBe(90_012)
})

test('items that waited have that much less left, each but those that never expire', () => {
  const batch = encode([plain, full, stamped, { ...full, expiresAt: 1500 }])
  expect(ageItems(batch, BATCH_HEADER_BYTES, batch.length, 1000)).toBe(4)
  expect(decode(batch, 0).map(({ expiresAt }) => expiresAt)).toEqual([
    Number.POSITIVE_INFINITY,
    3000,
    Number.POSITIVE_INFINITY,
    0,
  ])
})

test('items cut anywhere cannot be read', () => {
  const items = encode([full]).subarray(BATCH_HEADER_BYTES)
  for (let end = 1; end < items.length; end++) expect(ageItems(Buffer.from(items), 0, end, 0)).toBe(-1)
})

test('a batch of what may have come before says so', () => {
  const batch = encode([plain])
  const reader = new BatchReader()
  for (const [late, golden] of [
    ['late', '05 000000000007'],
    ['handed', '08 000000000007'],
  ] as const) {
    writeBatchHeader(batch, 7, 0, late)
    expect(batch.subarray(0, BATCH_HEADER_BYTES)).toEqual(bytesOf(golden))
    expect([reader.open(batch), reader.late, reader.sequence]).toEqual([true, late, 7])
  }
  expect([reader.open(encode([plain])), reader.late]).toEqual([true, false])
})

test('fields of later versions are passed over', () => {
  const extra = '0005 09 0002 abcd'
  expect(decode(bytesOf(`${HEADER} 20 0003612f62 00027031 ${extra} 00000002 6869`))).toMatchObject([
    { topic: 'a/b', payload: Buffer.from('hi') },
  ])
  expect(new BatchReader().open(bytesOf('09 000000000001 ff'))).toBe(false)
})

test('repeated topics and origins come out as the same values', () => {
  const [first, second] = decode(encode([full, { ...full, counter: 4 }]))
  expect(second!.origin).toBe(first!.origin)
  expect(second!.counter).toBe(4)
})

test.each([
  ['too short', '01 0000'],
  ['QoS 3', `${HEADER} 13 000161 0000 00112233445566aa 000000000001 000000000001 00000000`],
  ['a reserved flag', `${HEADER} 80 000161 0000 00000000`],
  ['QoS 1 without an id', `${HEADER} 01 000161 0000 00000000`],
  ['QoS 0 with an id', `${HEADER} 10 000161 0000 00112233445566aa 000000000001 000000000001 00000000`],
  ['counter 0', `${HEADER} 11 000161 0000 00112233445566aa 000000000001 000000000000 00000000`],
  ['an empty topic', `${HEADER} 00 0000 0000 00000000`],
  ['a wildcard in the topic', `${HEADER} 00 000123 0000 00000000`],
  ['a null character in the topic', `${HEADER} 00 000100 0000 00000000`],
  ['bytes that are no text in the topic', `${HEADER} 00 0001ff 0000 00000000`],
  ['bytes that are no text in the client id', `${HEADER} 00 000161 0001ff 00000000`],
  ['$SYS', `${HEADER} 00 0006 245359532f78 0000 00000000`],
  ['a payload cut short', `${HEADER} 00 000161 0000 00000002 00`],
  ['a payload beyond MQTT', `${HEADER} 00 000161 0000 ffffffff`],
  ['a topic alias among the properties', `${HEADER} 40 000161 0000 03 230001 00000000`],
  ['a payload format of 2', `${HEADER} 40 000161 0000 02 0102 00000000`],
  ['a wildcard in the response topic', `${HEADER} 40 000161 0000 04 08000123 00000000`],
  ['a stamp cut short', `${HEADER} 20 000161 0000 0005 01 0002 abcd 00000000`],
  ['extra fields that do not add up', `${HEADER} 20 000161 0000 0004 09 0002 ab 00000000`],
])('%s is refused', (_what, hex) => {
  expect(() => decode(bytesOf(hex))).toThrow(PeerError)
})
