// SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT and AUTH, read field by field: every rule that can be checked on the bytes,
// and the values.

import { ProtocolError } from '../../base/errors.ts'
import { Reason } from '../../base/reasons.ts'
import type { QoS } from '../message.ts'
import type { BytePass } from './byte-pass.ts'
import type {
  AuthPacket,
  DisconnectPacket,
  SubscribeEntry,
  SubscribePacket,
  UnsubscribePacket,
  Version,
} from './packets.ts'
import { allow, Property } from './properties.ts'

const SUBSCRIBE_PROPERTIES = allow(Property.subscriptionId, Property.user)
const UNSUBSCRIBE_PROPERTIES = allow(Property.user)
const DISCONNECT_PROPERTIES = allow(Property.sessionExpiry, Property.reasonString, Property.user)
const AUTH_PROPERTIES = allow(
  Property.authenticationMethod,
  Property.authenticationData,
  Property.reasonString,
  Property.user,
)

/** Reasons that a client may give in DISCONNECT (MQTT 3.14.2.1). */
const DISCONNECT_REASONS: readonly number[] = [
  Reason.success,
  Reason.disconnectWithWill,
  Reason.unspecifiedError,
  Reason.malformedPacket,
  Reason.protocolError,
  Reason.implementationSpecificError,
  Reason.topicNameInvalid,
  Reason.receiveMaximumExceeded,
  Reason.topicAliasInvalid,
  Reason.packetTooLarge,
  Reason.messageRateTooHigh,
  Reason.quotaExceeded,
  Reason.administrativeAction,
  Reason.payloadFormatInvalid,
]

/** `first`: the first byte of the packet, `pass` stands behind its header; so in all of these. */
export function readSubscribe(pass: BytePass, first: number, version: Version): SubscribePacket | ProtocolError {
  // [MQTT-3.8.1-1]
  requestFlags(pass, first, version)
  const packetId = pass.packetId()
  let subscriptionId: number | null = null
  if (version === 5) {
    pass.allProperties(SUBSCRIBE_PROPERTIES, (id, { number }) => {
      if (id !== Property.subscriptionId) return
      if (number === 0) pass.fail(Reason.protocolError, 'a subscription identifier of 0')
      subscriptionId = number
    })
  }
  // [MQTT-3.8.3-2]
  if (pass.atEnd) pass.fail(Reason.protocolError, 'a SUBSCRIBE without topic filter')
  const entries: SubscribeEntry[] = []
  while (!pass.atEnd) {
    pass.string('a topic filter')
    const filter = pass.valueText
    // MQTT 3.1 leaves the other bits unused.
    const options = pass.u8() & (version === 3 ? 3 : 0xff)
    if (pass.error !== null) break
    subscribeOptions(pass, version, options, filter.startsWith('$share/'))
    entries.push({
      filter,
      qos: (options & 3) as QoS,
      noLocal: (options & 4) !== 0,
      retainAsPublished: (options & 8) !== 0,
      retainHandling: ((options >> 4) & 3) as 0 | 1 | 2,
    })
  }
  return pass.finish() ?? { kind: 'subscribe', packetId, subscriptionId, entries }
}

function subscribeOptions(pass: BytePass, version: Version, options: number, shared: boolean): void {
  // [MQTT-3.8.3-5] [MQTT3-3-8.3-4]
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) {
    pass.fail(Reason.malformedPacket, 'reserved bits in subscription options')
  } else if ((options & 3) === 3) {
    pass.fail(Reason.protocolError, 'a subscription with QoS 3')
  } else if ((options & 0x30) === 0x30) {
    pass.fail(Reason.protocolError, 'a subscription with retain handling 3')
  } else if (shared && (options & 4) !== 0) {
    // [MQTT-3.8.3-4]
    pass.fail(Reason.protocolError, 'a shared subscription with no local')
  }
}

export function readUnsubscribe(pass: BytePass, first: number, version: Version): UnsubscribePacket | ProtocolError {
  // [MQTT-3.10.1-1]
  requestFlags(pass, first, version)
  const packetId = pass.packetId()
  if (version === 5) pass.allProperties(UNSUBSCRIBE_PROPERTIES, () => {})
  // [MQTT-3.10.3-2]
  if (pass.atEnd) pass.fail(Reason.protocolError, 'an UNSUBSCRIBE without topic filter')
  const filters: string[] = []
  while (!pass.atEnd) {
    pass.string('a topic filter')
    filters.push(pass.valueText)
  }
  return pass.finish() ?? { kind: 'unsubscribe', packetId, filters }
}

/** 0010; MQTT 3.1 sets DUP when it sends again, and leaves the last bit unused. */
function requestFlags(pass: BytePass, first: number, version: Version): void {
  if (version !== 3 && (first & 0x0f) !== 2) pass.fail(Reason.malformedPacket, 'reserved flags are not 0010')
}

/** Flags of 0, for PINGREQ, DISCONNECT and AUTH; MQTT 3.1 leaves them unused. */
function noFlags(pass: BytePass, first: number, version: Version): void {
  if (version !== 3 && (first & 0x0f) !== 0) pass.fail(Reason.malformedPacket, 'reserved flags are not 0000')
}

export function readPingreq(
  pass: BytePass,
  first: number,
  version: Version,
): { readonly kind: 'pingreq' } | ProtocolError {
  noFlags(pass, first, version)
  return pass.finish() ?? { kind: 'pingreq' }
}

export function readDisconnect(pass: BytePass, first: number, version: Version): DisconnectPacket | ProtocolError {
  // [MQTT-3.14.1-1]
  noFlags(pass, first, version)
  let reason: number = Reason.success
  let sessionExpirySec: number | null = null
  if (version === 5 && !pass.atEnd) {
    reason = pass.u8()
    // [MQTT-3.14.2-1]
    if (!DISCONNECT_REASONS.includes(reason)) pass.fail(Reason.protocolError, `reason ${reason} in a DISCONNECT`)
    if (!pass.atEnd) {
      pass.allProperties(DISCONNECT_PROPERTIES, (id, { number }) => {
        if (id === Property.sessionExpiry) sessionExpirySec = number
      })
    }
  }
  return pass.finish() ?? { kind: 'disconnect', reason, sessionExpirySec }
}

export function readAuth(pass: BytePass, first: number, version: Version): AuthPacket | ProtocolError {
  if (version !== 5) return new ProtocolError(Reason.protocolError, 'an AUTH before MQTT 5')
  // [MQTT-3.15.1-1]
  noFlags(pass, first, version)
  // [MQTT-3.15.2-1] Without a reason it would be Success, which only a server says.
  const reason = pass.atEnd ? Reason.success : pass.u8()
  if (reason !== Reason.continueAuthentication && reason !== Reason.reauthenticate) {
    pass.fail(Reason.protocolError, `reason ${reason} in an AUTH`)
  }
  let method: string | null = null
  let data: Buffer | null = null
  if (!pass.atEnd) {
    pass.allProperties(AUTH_PROPERTIES, (id, cursor) => {
      if (id === Property.authenticationMethod) method = cursor.text()
      if (id === Property.authenticationData) {
        data = Buffer.from(pass.bytes.subarray(cursor.valueStart, cursor.valueEnd))
      }
    })
  }
  if (method === null) pass.fail(Reason.protocolError, 'an AUTH without authentication method')
  return pass.finish() ?? { kind: 'auth', reason, method, data }
}
