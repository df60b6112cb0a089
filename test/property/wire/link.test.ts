import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PeerError } from '../../../src/base/errors.ts'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { parseTopicName } from '../../../src/topic/name.ts'
import {
  BATCH_HEADER_BYTES,
  BatchReader,
  encodeText,
  itemBytes,
  writeBatchHeader,
  writeItem,
} from '../../../src/wire/link/forward.ts'
import { decodeOwned, encodeOwned, type OwnedMessage } from '../../../src/wire/link/owned.ts'
import { checkRoute } from '../../../src/wire/link/routes.ts'
import type { Message } from '../../../src/wire/message.ts'

/** Runs `read`; anything but a PeerError is a fault of ours. */
function onlyPeerErrors(read: () => void): void {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(PeerError)
  }
}

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const nodeId = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((id) => Buffer.from(id).toString('hex') as NodeId)
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((each) => Buffer.from(each))
const mqttText = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !text.includes('\0'))
const topic = mqttText.filter((text) => !(parseTopicName(text, 1000) instanceof Error) && !text.startsWith('$SYS'))

const position = fc.record({
  incarnation: fc.record({ wallMs: u48, counter: fc.integer({ min: 0, max: 0xffff }), node: nodeId }),
  run: u32,
  sequence: u48,
})
const summary = fc.record({ sequence: u48, count: u32, high: u32, low: u32 })
const owned: fc.Arbitrary<OwnedMessage> = fc.oneof(
  fc.record({ kind: fc.constant('follow' as const), whole: fc.boolean(), position }),
  fc.record({ kind: fc.constant('resume' as const), sequence: u48 }),
  fc.record({ kind: fc.constant('begin' as const), position }),
  fc.record({
    kind: fc.constant('entries' as const),
    entries: fc.array(fc.record({ key: mqttText, value: bytes(20) }), { maxLength: 10 }),
  }),
  fc.record({ kind: fc.constant('end' as const), summary }),
  fc.record({ kind: fc.constant('more' as const) }),
  fc.record({
    kind: fc.constant('delta' as const),
    sequence: u48,
    changes: fc.array(fc.record({ key: mqttText, value: fc.option(bytes(20)) }), { maxLength: 10 }),
  }),
  fc.record({ kind: fc.constant('taken' as const), whole: fc.boolean(), sequence: u48 }),
  fc.record({ kind: fc.constant('digest' as const), summary }),
)

test('messages of an owned map come out as they went in', () => {
  fc.assert(
    fc.property(owned, (message) => {
      expect(decodeOwned(encodeOwned(message))).toEqual(message)
    }),
  )
})

test('arbitrary bytes, and true messages with bytes changed, are read or refused, never worse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => onlyPeerErrors(() => decodeOwned(Buffer.from(random)))),
  )
  fc.assert(
    fc.property(owned, fc.nat(), fc.nat(255), (message, at, byte) => {
      const changed = encodeOwned(message)
      changed[at % changed.length] = byte
      onlyPeerErrors(() => decodeOwned(changed))
      onlyPeerErrors(() => decodeOwned(changed.subarray(0, at % changed.length)))
    }),
  )
})

test('a route is announced or refused, never worse', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), bytes(5), (filter, value) =>
      onlyPeerErrors(() => checkRoute(filter, value)),
    ),
  )
})

const userProperty = fc
  .tuple(mqttText, mqttText)
  .map(([name, value]) => Buffer.concat([Buffer.from([0x26]), encodeText(name), encodeText(value)]))
const message: fc.Arbitrary<Message> = fc
  .record({
    origin: fc.record({ node: nodeId, incarnation: u48 }),
    counter: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    topic,
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
    payload: bytes(300),
    properties: fc.array(userProperty, { maxLength: 4 }).map((all) => Buffer.concat(all)),
    leftMs: fc.option(fc.integer({ min: 0, max: 2 ** 42 })),
    publisher: mqttText,
    stamp: fc.option(fc.record({ wallMs: u48, counter: fc.integer({ min: 0, max: 0xffff }), node: nodeId })),
  })
  .map(({ leftMs, publisher, ...rest }) => ({
    ...rest,
    publisher: publisher as ClientId,
    counter: rest.qos === 0 ? 0 : rest.counter,
    expiresAt: leftMs === null ? Number.POSITIVE_INFINITY : NOW_MS + leftMs,
  }))
const NOW_MS = 5000

function encode(messages: readonly Message[]): Buffer {
  const items = messages.map((each) => {
    const topicText = encodeText(each.topic)
    const publisherText = encodeText(each.publisher)
    const item = Buffer.alloc(itemBytes(each, topicText, publisherText))
    expect(writeItem(item, 0, each, topicText, publisherText, each.expiresAt - NOW_MS)).toBe(item.length)
    return item
  })
  const header = Buffer.alloc(BATCH_HEADER_BYTES)
  writeBatchHeader(header, 1)
  return Buffer.concat([header, ...items])
}

function decode(reader: BatchReader, batch: Buffer): Message[] {
  const messages: Message[] = []
  if (!reader.open(batch)) return messages
  for (let next = reader.next(NOW_MS); next !== null; next = reader.next(NOW_MS)) messages.push(next)
  return messages
}

test('forwarded messages come out as they went in', () => {
  const reader = new BatchReader()
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), (messages) => {
      const expected = messages.map((each) => (each.qos === 0 ? { ...each, origin: expect.anything() } : each))
      expect(decode(reader, encode(messages))).toEqual(expected)
    }),
  )
})

test('batches with bytes changed or cut off are read or refused, never worse, and leave the reader fit', () => {
  const reader = new BatchReader()
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat(255), (messages, at, byte) => {
      const batch = encode(messages)
      const changed = Buffer.from(batch)
      changed[at % changed.length] = byte
      onlyPeerErrors(() => decode(reader, changed))
      onlyPeerErrors(() => decode(reader, batch.subarray(0, at % batch.length)))
      onlyPeerErrors(() => decode(reader, Buffer.concat([batch, Buffer.from([byte])])))
      expect(decode(reader, batch)).toHaveLength(messages.length)
    }),
    { numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (random) =>
      onlyPeerErrors(() => decode(reader, Buffer.from(random))),
    ),
  )
  expect(decode(reader, encode([]))).toEqual([])
})
