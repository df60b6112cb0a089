import fc from 'fast-check'
import { generate, type Packet, parser } from 'mqtt-packet'
import { expect, test } from 'vitest'
import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import type { Message, QoS } from '../../../src/wire/message.ts'
import { type AckKind, AckView, encodeAck } from '../../../src/wire/mqtt/acks.ts'
import { decodeControl } from '../../../src/wire/mqtt/control.ts'
import { encodeConnack, encodeDisconnect, encodeSuback, encodeUnsuback } from '../../../src/wire/mqtt/encode.ts'
import type { ConnackValues, Version } from '../../../src/wire/mqtt/packets.ts'
import {
  encodePublish,
  type PublishForm,
  PublishView,
  packetIdOffset,
  passThroughProperties,
  publishLength,
} from '../../../src/wire/mqtt/publish.ts'
import { isMqttString } from '../../../src/wire/mqtt/utf8.ts'
import { readVarint, VARINT_MAX, varintBytes, writeVarint } from '../../../src/wire/mqtt/varint.ts'
import { bodyStart, join, text } from '../../unit/wire/mqtt/bytes.ts'

// mqtt-packet is the independent codec here: what it generates we decode, what we encode it parses.

const strings = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('\0'))
const topics = strings.filter((value) => value.length > 0 && !/[+#]/.test(value))
const versions = fc.constantFrom<Version[]>(4, 5)
const buffers = fc.uint8Array({ maxLength: 300, size: 'max' }).map((bytes) => Buffer.from(bytes))
const packetIds = fc.integer({ min: 1, max: 65_535 })
const u32 = fc.integer({ min: 0, max: 0xffffffff })

function parsed(bytes: Buffer, protocolVersion: Version): Packet {
  const found: Packet[] = []
  const reader = parser({ protocolVersion })
  reader.on('packet', (packet) => found.push(packet))
  reader.on('error', (error) => expect(error).toBeUndefined())
  expect(reader.parse(bytes)).toBe(0)
  expect(found).toHaveLength(1)
  return found[0]!
}

const userProperties = fc
  .array(fc.tuple(strings, strings), { maxLength: 5 })
  .map((pairs) => join(pairs.map(([name, value]) => join([0x26, text(name), text(value)]))))

const publishes = fc.record({
  version: versions,
  qos: fc.constantFrom<QoS[]>(0, 1, 2),
  dup: fc.boolean(),
  retain: fc.boolean(),
  packetId: packetIds,
  topic: topics,
  topicAlias: fc.integer({ min: 0, max: 65_535 }),
  expirySec: fc.oneof(fc.constant(-1), u32),
  properties: userProperties,
  payload: fc.oneof(
    buffers,
    fc.constantFrom(100, 200, 17_000).map((length) => Buffer.alloc(length, 7)),
  ),
})

const message = (topic: string, payload: Buffer, properties: Buffer): Message => ({
  origin: { node: '0000000000000001' as NodeId, incarnation: 1 },
  counter: 0,
  topic,
  qos: 0,
  retain: false,
  payload,
  properties,
  expiresAt: Number.POSITIVE_INFINITY,
  publisher: 'c' as ClientId,
  stamp: null,
})

test('a PUBLISH that we encode, we read, and mqtt-packet reads the same', () => {
  fc.assert(
    fc.property(publishes, ({ properties, payload, ...values }) => {
      const form: PublishForm = {
        ...values,
        dup: values.dup && values.qos > 0,
        packetId: values.qos > 0 ? values.packetId : 0,
        subscriptionIds: [],
      }
      const bytes = encodePublish(message(form.topic, payload, properties), form)
      expect(bytes.length).toBe(publishLength(message(form.topic, payload, properties), form))
      const view = new PublishView()
      expect(view.read(bytes, 0, bodyStart(bytes), bytes.length, form.version)).toBeNull()
      const five = form.version === 5
      expect({ ...view }).toMatchObject({
        qos: form.qos,
        dup: form.dup,
        retain: form.retain,
        packetId: form.packetId,
        topicAlias: five ? form.topicAlias : 0,
        expirySec: five ? form.expirySec : -1,
      })
      expect(view.topic(bytes)).toBe(form.topic)
      expect(passThroughProperties(view, bytes).equals(five ? properties : Buffer.alloc(0))).toBe(true)
      expect(bytes.subarray(view.payloadStart, view.payloadEnd).equals(payload)).toBe(true)
      if (form.qos > 0) expect(bytes.readUInt16BE(packetIdOffset(bytes))).toBe(form.packetId)
      expect(parsed(bytes, form.version)).toMatchObject({
        cmd: 'publish',
        topic: form.topic,
        qos: form.qos,
        dup: form.dup,
        retain: form.retain,
      })
    }),
    { numRuns: 500 },
  )
})

test('subscription identifiers, as mqtt-packet reads them', () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: VARINT_MAX }), { minLength: 2, maxLength: 5 })
  fc.assert(
    fc.property(ids, (subscriptionIds) => {
      const form: PublishForm = {
        version: 5,
        qos: 0,
        dup: false,
        retain: false,
        packetId: 0,
        topic: 'a',
        topicAlias: 0,
        subscriptionIds,
        expirySec: -1,
      }
      const packet = parsed(encodePublish(message('a', Buffer.from('p'), Buffer.alloc(0)), form), 5)
      expect(packet).toMatchObject({ properties: { subscriptionIdentifier: subscriptionIds } })
    }),
  )
})

const wills = fc.record({
  topic: topics,
  payload: buffers,
  qos: fc.constantFrom<QoS[]>(0, 1, 2),
  retain: fc.boolean(),
})

test('a CONNECT that mqtt-packet generates, we decode', () => {
  const connects = fc.record({
    version: versions,
    clientId: strings.filter((id) => id.length > 0),
    clean: fc.boolean(),
    keepalive: fc.nat(65_535),
    username: fc.option(topics),
    password: fc.option(buffers.filter((bytes) => bytes.length > 0)),
    will: fc.option(wills),
    sessionExpiryInterval: u32,
    receiveMaximum: fc.integer({ min: 1, max: 65_535 }),
    requestProblemInformation: fc.boolean(),
  })
  fc.assert(
    fc.property(connects, ({ version, username, password, will, clientId, clean, keepalive, ...properties }) => {
      const bytes = generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: version as 4 | 5,
        clientId,
        clean,
        keepalive,
        ...(username === null ? {} : { username, ...(password === null ? {} : { password }) }),
        ...(will === null ? {} : { will }),
        ...(version === 5 ? { properties } : {}),
      })
      expect(decodeControl(bytes, 0, bodyStart(bytes), bytes.length, null)).toMatchObject({
        kind: 'connect',
        version,
        cleanStart: clean,
        keepAliveSec: keepalive,
        clientId,
        username,
        password: username === null ? null : password,
        will,
        sessionExpirySec: version === 5 ? properties.sessionExpiryInterval : clean ? 0 : 0xffffffff,
        receiveMaximum: version === 5 ? properties.receiveMaximum : 65_535,
        requestProblemInformation: version === 5 ? properties.requestProblemInformation : true,
      })
    }),
  )
})

test('SUBSCRIBE and UNSUBSCRIBE that mqtt-packet generates, we decode', () => {
  const entries = fc.record({
    topic: topics,
    qos: fc.constantFrom<QoS[]>(0, 1, 2),
    nl: fc.boolean(),
    rap: fc.boolean(),
    rh: fc.constantFrom(0, 1, 2),
  })
  const lists = fc.array(entries, { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(versions, packetIds, lists, (version, messageId, list) => {
      const five = version === 5
      const subscribe = generate({ cmd: 'subscribe', messageId, subscriptions: list }, { protocolVersion: version })
      expect(decodeControl(subscribe, 0, bodyStart(subscribe), subscribe.length, version)).toEqual({
        kind: 'subscribe',
        packetId: messageId,
        subscriptionId: null,
        entries: list.map(({ topic, qos, nl, rap, rh }) => ({
          filter: topic,
          qos,
          noLocal: five && nl,
          retainAsPublished: five && rap,
          retainHandling: five ? rh : 0,
        })),
      })
      const unsubscriptions = list.map(({ topic }) => topic)
      const unsubscribe = generate({ cmd: 'unsubscribe', messageId, unsubscriptions }, { protocolVersion: version })
      expect(decodeControl(unsubscribe, 0, bodyStart(unsubscribe), unsubscribe.length, version)).toEqual({
        kind: 'unsubscribe',
        packetId: messageId,
        filters: unsubscriptions,
      })
    }),
  )
})

test('CONNACK, SUBACK, UNSUBACK and DISCONNECT that we encode, mqtt-packet parses', () => {
  const values = fc.record(
    {
      sessionExpirySec: u32,
      receiveMaximum: fc.integer({ min: 1, max: 65_535 }),
      assignedClientId: topics,
      reasonString: topics,
      serverKeepAliveSec: fc.nat(65_535),
    },
    { requiredKeys: [] },
  )
  const codes = fc.array(fc.constantFrom(0, 0x11, 0x80, 0x87, 0x8f), { minLength: 1, maxLength: 300, size: 'max' })
  fc.assert(
    fc.property(values, packetIds, codes, (optional, packetId, reasons) => {
      const connack: ConnackValues = { ...optional, sessionPresent: true, reason: 0 }
      expect(parsed(encodeConnack(connack, 5)!, 5)).toMatchObject({
        cmd: 'connack',
        sessionPresent: true,
        reasonCode: 0,
      })
      const properties = (parsed(encodeConnack(connack, 5)!, 5) as { properties?: object }).properties ?? {}
      expect(properties).toEqual(
        Object.fromEntries(
          Object.entries({
            sessionExpiryInterval: optional.sessionExpirySec,
            receiveMaximum: optional.receiveMaximum,
            assignedClientIdentifier: optional.assignedClientId,
            reasonString: optional.reasonString,
            serverKeepAlive: optional.serverKeepAliveSec,
          }).filter(([, value]) => value !== undefined),
        ),
      )
      expect(parsed(encodeUnsuback(packetId, reasons, 5), 5)).toMatchObject({ messageId: packetId, granted: reasons })
      const granted = reasons.map((reason) => (reason === 0x11 ? 1 : reason))
      expect(parsed(encodeSuback(packetId, granted, 5), 5)).toMatchObject({ messageId: packetId, granted })
      expect(parsed(encodeDisconnect({ reason: 0x8b }), 5)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8b })
    }),
  )
})

test('acknowledgements there and back', () => {
  const kinds = fc.constantFrom<AckKind[]>('puback', 'pubrec', 'pubrel', 'pubcomp')
  fc.assert(
    fc.property(kinds, packetIds, fc.boolean(), versions, (kind, packetId, failed, version) => {
      const reason = failed ? (kind === 'puback' || kind === 'pubrec' ? 0x97 : 0x92) : 0
      const bytes = encodeAck(kind, packetId, reason, version)
      const view = new AckView()
      expect(view.read(bytes, 0, 2, bytes.length, version)).toBeNull()
      expect({ ...view }).toEqual({ kind, packetId, reason: version === 5 ? reason : 0 })
      expect(parsed(bytes, version)).toMatchObject({ cmd: kind, messageId: packetId })
    }),
  )
})

test('variable byte integers there and back, in the fewest bytes', () => {
  fc.assert(
    fc.property(fc.nat(VARINT_MAX), (value) => {
      const into = Buffer.alloc(4)
      const end = writeVarint(value, into, 0)
      expect(end).toBe(varintBytes(value))
      expect(readVarint(into, 0, end)).toBe(value)
      expect(value).toBeGreaterThanOrEqual(end === 1 ? 0 : 128 ** (end - 1))
    }),
  )
})

test('[MQTT-1.5.4-1] isMqttString says what the standard decoder says', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const decodes = (bytes: Uint8Array) => {
    try {
      return !decoder.decode(bytes).includes('\0')
    } catch {
      return false
    }
  }
  const pieces = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }).map((value) => Buffer.from(value)),
    fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 4 }), (parts) => {
      const bytes = Buffer.concat(parts)
      expect(isMqttString(bytes, 0, bytes.length)).toBe(decodes(bytes))
    }),
    { numRuns: 5000 },
  )
})
