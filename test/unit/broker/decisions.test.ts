import { describe, expect, test } from 'vitest'
import type { ClientId } from '../../../src/base/ids.ts'
import { Access } from '../../../src/broker/authorize.ts'
import { cappedExpirySec, objection, termsFor } from '../../../src/broker/connect.ts'
import { expiryLeftSec } from '../../../src/broker/delivery.ts'
import { NoRules } from '../../../src/broker/ports.ts'
import { defaultBrokerSettings } from '../../../src/broker/settings.ts'
import { willFate } from '../../../src/broker/will.ts'
import { EMPTY } from '../../../src/wire/message.ts'
import type { ConnectPacket, WillPacket } from '../../../src/wire/mqtt/packets.ts'
import { message } from './make.ts'

const will: WillPacket = {
  topic: 'w',
  qos: 0,
  retain: false,
  payload: EMPTY,
  delaySec: 0,
  expirySec: null,
  properties: EMPTY,
}

const connect = (changes: Partial<ConnectPacket> = {}): ConnectPacket => ({
  kind: 'connect',
  version: 5,
  bridge: false,
  cleanStart: true,
  keepAliveSec: 60,
  clientId: 'c',
  username: null,
  password: null,
  will: null,
  sessionExpirySec: 0,
  receiveMaximum: 65_535,
  maximumPacketSize: null,
  topicAliasMaximum: 0,
  requestResponseInformation: false,
  requestProblemInformation: true,
  authenticationMethod: null,
  authenticationData: null,
  ...changes,
})

const settings = defaultBrokerSettings
const limited = { ...settings, limits: { ...settings.limits, maxQoS: 1 as const, retain: false, maxKeepAliveSec: 30 } }
const terms = (changes: Partial<ConnectPacket>, given = settings) => termsFor(connect(changes), given, () => 'made-up')

describe('what a CONNECT gets', () => {
  test.each([
    [{}, null],
    [{ will }, null],
    [{ will: { ...will, topic: 'a/#' } }, 0x90],
    [{ will: { ...will, topic: '' } }, 0x90],
    [{ will: { ...will, qos: 2 as const } }, 0x9b],
    [{ will: { ...will, retain: true } }, 0x9a],
  ])('%j is refused with %s', (changes, reason) => {
    expect(objection(connect(changes), limited)?.refused ?? null).toBe(reason)
  })

  test.each([
    [{ keepAliveSec: 60 }, settings, 90_000, undefined],
    [{ keepAliveSec: 0 }, settings, Number.POSITIVE_INFINITY, undefined],
    [{ keepAliveSec: 20 }, limited, 30_000, undefined],
    [{ keepAliveSec: 31 }, limited, 45_000, 30],
    [{ keepAliveSec: 0 }, limited, 45_000, 30],
    [{ keepAliveSec: 0, version: 4 as const }, limited, Number.POSITIVE_INFINITY, undefined],
  ])('keep alive of %j', (changes, given, silenceMs, toldSec) => {
    const { silenceMs: granted, told } = terms(changes, given)
    expect([granted, told.serverKeepAliveSec]).toEqual([silenceMs, toldSec])
  })

  test('window, expiry, client id', () => {
    expect(terms({ receiveMaximum: 10 }).window).toBe(10)
    expect(terms({}).window).toBe(64)
    expect(terms({ clientId: '' })).toMatchObject({ clientId: 'made-up', told: { assignedClientId: 'made-up' } })
    expect(terms({ sessionExpirySec: 0xffffffff })).toMatchObject({
      expirySec: 604_800,
      told: { sessionExpirySec: 604_800 },
    })
    expect(terms({ sessionExpirySec: 7 }).told.sessionExpirySec).toBe(undefined)
    expect(cappedExpirySec(604_801, settings)).toBe(604_800)
  })
})

test.each([
  ['said goodbye', true, 10, 100, 'drop'],
  ['no delay', false, 0, 100, 'now'],
  ['no session left', false, 10, 0, 'now'],
  ['delayed', false, 10, 100, { at: 11_000 }],
  ['session ends first', false, 100, 10, { at: 11_000 }],
] as const)('[MQTT-3.1.2-8] the will when %s', (_name, said, delaySec, expirySec, fate) => {
  expect(willFate({ ...will, delaySec }, said, 1000, 1000 + expirySec * 1000)).toEqual(fate)
})

test.each([
  [Number.POSITIVE_INFINITY, -1],
  [5000, 4],
  [1001, 1],
  [1000, 0],
  [500, 0],
])('[MQTT-3.3.2-6] a message that expires at %d has %d s left at 1000', (expiresAt, left) => {
  expect(expiryLeftSec(message('x', { expiresAt }), 1000)).toBe(left)
})

test('clients do not write the topics of the broker', () => {
  const access = new Access(null, 'c' as ClientId, new NoRules())
  const topics = ['$SYS/x', '$edge/x', '$SYS', 'SYS/x', '$other/x', 'a/$SYS/x']
  expect(topics.map((topic) => access.mayPublish(topic))).toEqual([false, false, true, true, true, true])
})
