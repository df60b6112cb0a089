// The layouts of stored records, byte by byte: what a card holds must be read for years.

import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../../src/base/bytes.ts'
import type { ClientId, NodeId } from '../../../../src/base/ids.ts'
import type { Message } from '../../../../src/wire/message.ts'
import { readArrival, writeArrival } from '../../../../src/wire/record/arrival.ts'
import { BatchWriter, RecordKind, readBatch } from '../../../../src/wire/record/batch.ts'
import { readCompleted, writeCompleted } from '../../../../src/wire/record/completed.ts'
import { readBegun, readDelivery, writeBegun, writeDelivery } from '../../../../src/wire/record/delivery.ts'
import { readKeyed, writeKeyed } from '../../../../src/wire/record/keyed.ts'
import { readMessage, writeMessage } from '../../../../src/wire/record/message.ts'
import { readParked, writeParked } from '../../../../src/wire/record/parked.ts'
import { readRetained, writeRetained } from '../../../../src/wire/record/retained.ts'
import { readRoute, writeRoute } from '../../../../src/wire/record/route.ts'
import {
  readSession,
  readSubscription,
  readUnsubscribed,
  writeSession,
  writeSubscription,
  writeUnsubscribed,
} from '../../../../src/wire/record/session.ts'
import { readHorizon, readShared, writeHorizon, writeShared } from '../../../../src/wire/record/shared.ts'

const NOW = 1000
const NEVER = Number.POSITIVE_INFINITY

function written(write: (into: ByteWriter) => void): Buffer {
  const into = new ByteWriter()
  write(into)
  return into.done()
}
const golden = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex')

const stamp = { wallMs: 0x018c_0102_0304, counter: 5, node: '00112233445566aa' as NodeId }
const message: Message = {
  origin: { node: '0102030405060708' as NodeId, incarnation: 9 },
  counter: 10,
  topic: 'a/b',
  qos: 1,
  retain: true,
  payload: Buffer.from('hi'),
  properties: Buffer.from([1, 1]),
  expiresAt: NOW + 5000,
  publisher: 'p' as ClientId,
  stamp: null,
}
const parked = { member: stamp.node, items: Buffer.from('items') }
const retained = { topic: 'a/b', stamp, message: { ...message, stamp } }
const session = {
  clientId: 'c' as ClientId,
  account: 'anna',
  away: true,
  expirySec: 60,
  endsAt: NOW + 60_000,
  willAt: NOW + 2000,
  will: {
    topic: 'w',
    qos: 2,
    retain: true,
    payload: Buffer.from('x'),
    properties: Buffer.alloc(0),
    delaySec: 2,
    expirySec: null,
  },
  epoch: { wallMs: 9, counter: 3, node: '0102030405060708' as NodeId },
  listener: 'mqtt',
} as const
const said = { since: { wallMs: 9, counter: 3, node: '0102030405060708' as NodeId }, order: 7 } as const
const subscription = {
  session: 1,
  filter: '$share/g/+',
  qos: 1,
  noLocal: false,
  retainAsPublished: true,
  identifier: 7,
  since: null,
  order: 0,
} as const
const delivery = {
  session: 1,
  message: 2,
  qos: 2,
  retain: true,
  awaiting: 'pubrec',
  packetId: 3,
  subscriptionIds: [7, 8],
  share: null,
} as const
const shared = { ...delivery, qos: 1, awaiting: 'queued', packetId: 0, share: { share: 'g', filter: 'a/+' } } as const

const goldens: [string, Buffer, Buffer, (body: Buffer) => unknown, unknown][] = [
  [
    'message',
    written((into) => writeMessage(into, message, NOW)),
    golden(`0d 0102030405060708 000000000009 00000000000a 000000001388 0003612f62 000170
            00000002 0101 00000002 6869`),
    (body) => readMessage(body, NOW),
    message,
  ],
  [
    'session',
    written((into) => writeSession(into, session, NOW)),
    golden(`000163 7f 0000003c 00000000ea60 0000000007d0 0004616e6e61 000000000009 0003 0102030405060708 00046d717474
            000177 02 01 00000002 000000000000 00000000
            00000001 78`),
    (body) => readSession(body, NOW),
    session,
  ],
  [
    'subscription',
    written((into) => writeSubscription(into, subscription)),
    golden('000000000001 000a 2473686172652f672f2b 09 00000008'),
    readSubscription,
    subscription,
  ],
  [
    'subscription with its time',
    written((into) => writeSubscription(into, { ...subscription, ...said })),
    golden('000000000001 000a 2473686172652f672f2b 19 00000008 000000000009 0003 0102030405060708 000000000007'),
    readSubscription,
    { ...subscription, ...said },
  ],
  [
    'unsubscribed',
    written((into) => writeUnsubscribed(into, { session: 1, filter: 'a/+', ...said })),
    golden('000000000001 0003 612f2b 000000000009 0003 0102030405060708 000000000007'),
    readUnsubscribed,
    { session: 1, filter: 'a/+', ...said },
  ],
  [
    'delivery',
    written((into) => writeDelivery(into, delivery)),
    golden('000000000001 000000000002 16 0003 02 00000007 00000008'),
    readDelivery,
    delivery,
  ],
  [
    'delivery of a shared subscription',
    written((into) => writeDelivery(into, shared)),
    golden('000000000001 000000000002 25 0000 02 00000007 00000008 0001 67 0003 612f2b'),
    readDelivery,
    shared,
  ],
  [
    'begun',
    written((into) => writeBegun(into, { session: 1, message: 2, packetId: 3, released: false })),
    golden('000000000001 000000000002 0003 00'),
    readBegun,
    { session: 1, message: 2, packetId: 3, released: false },
  ],
  [
    'completed',
    written((into) => writeCompleted(into, { session: 1, shared: true, origin: message.origin, counter: 42 })),
    golden('000000000001 01 0102030405060708 000000000009 00000000002a'),
    readCompleted,
    { session: 1, shared: true, origin: message.origin, counter: 42 },
  ],
  [
    'parked',
    written((into) => writeParked(into, { ...parked, waitedMs: 258.9, handed: false })),
    golden('00112233445566aa 000000000102 00000005 6974656d73'),
    readParked,
    { ...parked, waitedMs: 258, handed: false },
  ],
  [
    'parked for who keeps sessions going',
    written((into) => writeParked(into, { ...parked, waitedMs: 258.9, handed: true })),
    golden('00112233445566aa 800000000102 00000005 6974656d73'),
    readParked,
    { ...parked, waitedMs: 258, handed: true },
  ],
  [
    'arrival',
    written((into) => writeArrival(into, { member: stamp.node, run: '0102030405060708', received: 258 })),
    golden('00112233445566aa 0102030405060708 000000000102'),
    readArrival,
    { member: stamp.node, run: '0102030405060708', received: 258 },
  ],
  [
    'route',
    written((into) => writeRoute(into, { member: stamp.node, filter: 'a/+' })),
    golden('00112233445566aa 0003 612f2b'),
    readRoute,
    { member: stamp.node, filter: 'a/+' },
  ],
  [
    'begun, and released',
    written((into) => writeBegun(into, { session: 1, message: 2, packetId: 3, released: true })),
    golden('000000000001 000000000002 0003 01'),
    readBegun,
    { session: 1, message: 2, packetId: 3, released: true },
  ],
  [
    'retained',
    written((into) => writeRetained(into, retained, NOW)),
    golden(`0003612f62 018c01020304 0005 00112233445566aa 01 0000002a
            09 0102030405060708 000000000009 00000000000a 000000001388 000170 00000002 0101 00000002 6869`),
    (body) => readRetained(body, NOW),
    retained,
  ],
  [
    'retained, removed',
    written((into) => writeRetained(into, { ...retained, message: null }, NOW)),
    golden('0003612f62 018c01020304 0005 00112233445566aa 00'),
    (body) => readRetained(body, NOW),
    { ...retained, message: null },
  ],
  [
    'shared',
    written((into) => writeShared(into, { map: 'm', key: 'k', stamp, value: Buffer.from('v') })),
    golden('00016d 00016b 018c01020304 0005 00112233445566aa 01 00000001 76'),
    readShared,
    { map: 'm', key: 'k', stamp, value: Buffer.from('v') },
  ],
  [
    'shared, removed',
    written((into) => writeShared(into, { map: 'm', key: 'k', stamp, value: null })),
    golden('00016d 00016b 018c01020304 0005 00112233445566aa 00'),
    readShared,
    { map: 'm', key: 'k', stamp, value: null },
  ],
  [
    'horizon',
    written((into) => writeHorizon(into, 'm', stamp)),
    golden('00016d 018c01020304 0005 00112233445566aa'),
    readHorizon,
    { map: 'm', horizon: stamp },
  ],
  [
    'keyed',
    written((into) => writeKeyed(into, { space: 's', key: 'k', value: Buffer.from('v') })),
    golden('000173 00016b 00000001 76'),
    readKeyed,
    { space: 's', key: 'k', value: Buffer.from('v') },
  ],
]

describe.each(goldens)('%s', (_name, bytes, expected, read, value) => {
  test('is written as drawn', () => expect(bytes.toString('hex')).toBe(expected.toString('hex')))
  test('is read back', () => expect(read(expected)).toEqual(value))
  test('may be longer than known', () => expect(read(Buffer.concat([expected, Buffer.from([1, 2])]))).toEqual(value))
  test('is nothing when it is cut', () => {
    for (let end = 0; end < expected.length; end++) expect(read(expected.subarray(0, end))).toBeNull()
  })
})

test('a session that ends and fires nothing by time', () => {
  const plain = {
    ...session,
    account: null,
    away: false,
    endsAt: NEVER,
    willAt: NEVER,
    will: null,
    epoch: null,
    listener: null,
  }
  expect(
    readSession(
      written((into) => writeSession(into, plain, NOW)),
      5,
    ),
  ).toEqual(plain)
})

describe('batch', () => {
  const bytes = () => {
    const batch = new BatchWriter({ ageMs: 1, wallMs: 2, synchronised: true }, NOW)
    expect(batch.empty).toBe(true)
    expect(batch.put(5, { kind: RecordKind.retained, write: (into) => into.u48(2) })).toBe(17)
    batch.remove(6)
    return batch.done()
  }
  const read = (of: Buffer) => {
    const seen: unknown[] = []
    const time = readBatch(of, {
      put: (id, kind, body) => seen.push([id, kind, body.toString('hex')]),
      removed: (id) => seen.push(id),
    })
    return { time, seen }
  }

  test('is written as drawn and read back', () => {
    expect(bytes().toString('hex')).toBe(
      golden('01 01 000000000001 000000000002  07 000000000005 00000006 000000000002  00 000000000006').toString('hex'),
    )
    expect(read(bytes())).toEqual({
      time: { ageMs: 1, wallMs: 2, synchronised: true },
      seen: [[5, 7, '000000000002'], 6],
    })
  })

  test('of a later version, or cut in an item, is none', () => {
    expect(read(Buffer.from([2, ...bytes().subarray(1)])).time).toBeNull()
    for (const end of [0, 5, 13, 20, 30, 32]) expect(read(bytes().subarray(0, end)).time).toBeNull()
  })
})
