// Whatever way the network cuts a client's bytes into reads, its receivers get the same messages: the fast path that
// hands on many packets as one piece is the slow path that looks at each.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOf, Lab, type Version } from '../conformance/lab.ts'

const packet = fc.record({
  topic: fc.constantFrom('a', 'b', 'a/b', '$x/a'),
  payload: fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.integer({ min: 100, max: 300 }).map((length) => 'y'.repeat(length)),
  ),
  qos: fc.constantFrom(0, 0, 0, 0, 1, 2),
  retain: fc.constantFrom(false, false, false, true),
  expiry: fc.constantFrom(undefined, undefined, undefined, 60),
  kind: fc.constantFrom('publish', 'publish', 'publish', 'publish', 'publish', 'pingreq', 'subscribe', 'unsubscribe'),
})

const receiver = fc.record({
  version: fc.constantFrom<Version>(4, 5),
  filter: fc.constantFrom('a', '#', '+', 'a/#', '$share/g/#'),
  qos: fc.constantFrom(0, 1, 2),
  aliases: fc.constantFrom(0, 0, 2),
  identifier: fc.constantFrom(undefined, undefined, 7),
})

test('a stream cut anywhere reaches every receiver as the same messages', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<Version>(4, 5),
      fc.array(packet, { minLength: 1, maxLength: 20 }),
      fc.array(receiver, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 12 }),
      (version, packets, receivers, cuts) => {
        const bytes = Buffer.concat(packets.flatMap((each, index) => encoded(each, version, index + 1)))
        const whole = played(version, bytes, receivers, [])
        expect(played(version, bytes, receivers, cuts)).toEqual(whole)
      },
    ),
    { numRuns: 300 },
  )
})

type Packet = typeof packet extends fc.Arbitrary<infer T> ? T : never
type Receiver = typeof receiver extends fc.Arbitrary<infer T> ? T : never

function encoded({ topic, payload, qos, retain, expiry, kind }: Packet, version: Version, messageId: number): Buffer[] {
  if (kind === 'pingreq') return [bytesOf({ cmd: 'pingreq' }, version)]
  if (kind === 'subscribe') {
    return [bytesOf({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 0 }] }, version)]
  }
  if (kind === 'unsubscribe') return [bytesOf({ cmd: 'unsubscribe', messageId, unsubscriptions: [topic] }, version)]
  const properties = version === 5 && expiry !== undefined ? { properties: { messageExpiryInterval: expiry } } : {}
  const publish = bytesOf({ cmd: 'publish', topic, payload, qos, retain, messageId, ...properties }, version)
  return qos === 2 ? [publish, bytesOf({ cmd: 'pubrel', messageId }, version)] : [publish]
}

function played(version: Version, bytes: Buffer, receivers: readonly Receiver[], cuts: readonly number[]): unknown {
  const lab = new Lab()
  const clients = receivers.map(({ version, filter, qos, aliases, identifier }, index) => {
    const client = lab.connected({ version, id: `r${index}`, properties: { topicAliasMaximum: aliases } })
    const properties = version === 5 && identifier !== undefined ? { subscriptionIdentifier: identifier } : undefined
    client.subscribe(filter, { qos }, properties)
    client.one('suback')
    return client
  })
  const publisher = lab.connected({ version, id: 'p' })
  let at = 0
  for (const cut of cuts) {
    publisher.raw(bytes.subarray(at, at + cut))
    at += cut
  }
  publisher.raw(bytes.subarray(at))
  const counts = lab.broker.counts()
  return { got: [publisher, ...clients].map((client) => client.take()), counts }
}
