// Enhanced authentication (MQTT 4.12): AUTH packets before the CONNACK, and again on a connection that is open.

import { ProtocolError } from '../base/errors.ts'
import { Reason, type ReasonCode } from '../base/reasons.ts'
import { decodeControl } from '../wire/mqtt/control.ts'
import { encodeAuth } from '../wire/mqtt/encode.ts'
import type { AuthPacket, ClientPacket } from '../wire/mqtt/packets.ts'
import type { Connected } from './connected.ts'
import type { AuthenticationRequest, Authenticator, Exchange, ExchangeStep } from './ports.ts'

const AUTH = 15

/** An exchange under way. */
export class Enhanced {
  readonly method: string
  readonly #exchange: Exchange
  /** What the client sent last is being judged: it is not its turn. */
  waiting = false

  constructor(method: string, exchange: Exchange) {
    this.method = method
    this.#exchange = exchange
  }

  step(data: Buffer | null, done: (step: ExchangeStep) => void): void {
    this.waiting = true
    this.#exchange.step(data, (step) => {
      this.waiting = false
      done(step)
    })
  }

  /** The same before the CONNACK, for a packet in bytes [packetStart, end). */
  read(buffer: Buffer, packetStart: number, bodyStart: number, end: number): AuthPacket | ProtocolError {
    // [MQTT-3.1.4-6] Nothing else is even looked at.
    if (buffer[packetStart]! >> 4 !== AUTH) return wrong('no AUTH in the middle of an authentication')
    return this.answer(decodeControl(buffer, packetStart, bodyStart, end, 5))
  }

  /** The AUTH that goes on with the exchange, or what is wrong with what came instead. */
  answer(packet: ClientPacket | ProtocolError): AuthPacket | ProtocolError {
    if (packet instanceof ProtocolError) return packet
    if (packet.kind !== 'auth') return wrong(`${packet.kind} in the middle of an authentication`)
    // [MQTT-4.12.0-3] [MQTT-4.12.0-5]
    if (packet.reason !== Reason.continueAuthentication) return wrong('an AUTH that does not continue')
    if (packet.method !== this.method) return wrong('an AUTH with another method')
    return this.waiting ? wrong('an AUTH out of turn') : packet
  }

  /** [MQTT-4.12.0-2] */
  continued(data: Buffer): Buffer {
    return encodeAuth({ reason: Reason.continueAuthentication, method: this.method, data })
  }
}

/** The exchange that a CONNECT or AUTH begins; null: there is no such method here. */
export function enhancedBy(
  authenticator: Authenticator,
  method: string,
  request: AuthenticationRequest,
): Enhanced | null {
  const exchange = authenticator.exchange?.(method, request) ?? null
  return exchange === null ? null : new Enhanced(method, exchange)
}

/** An AUTH of a connected client; whatever else it sends goes on meanwhile. */
export function reauthenticate(
  state: Connected,
  packet: AuthPacket,
  authenticator: Authenticator,
  request: AuthenticationRequest,
  send: (bytes: Buffer) => void,
): void {
  const enhanced = exchangeOf(state, packet, authenticator, request)
  if (enhanced instanceof ProtocolError) return state.close(enhanced.reason, enhanced.message)
  state.enhanced = enhanced
  enhanced.step(packet.data, (step) => {
    if (state.enhanced !== enhanced) return
    if (step.at === 'continue') return send(enhanced.continued(step.data))
    state.enhanced = null
    // [MQTT-4.12.1-2] It stays who it is: somebody else may connect.
    if (step.at === 'refused' || step.account !== state.session.access.account) {
      return state.close(Reason.notAuthorized, 're-authentication failed')
    }
    send(encodeAuth({ reason: Reason.success, method: enhanced.method, data: step.data }))
  })
}

function exchangeOf(
  state: Connected,
  packet: AuthPacket,
  authenticator: Authenticator,
  request: AuthenticationRequest,
): Enhanced | ProtocolError {
  // [MQTT-4.12.0-7] [MQTT-4.12.1-1]
  if (state.method === null || packet.method !== state.method) return wrong('an AUTH without the method of its CONNECT')
  if (packet.reason === Reason.reauthenticate) {
    if (state.enhanced !== null) return wrong('an AUTH that begins anew in the middle of another')
    return (
      enhancedBy(authenticator, state.method, request) ?? wrong('a method that is gone', Reason.badAuthenticationMethod)
    )
  }
  if (state.enhanced === null) return wrong('an AUTH that continues nothing')
  const answer = state.enhanced.answer(packet)
  return answer instanceof ProtocolError ? answer : state.enhanced
}

const wrong = (message: string, reason: ReasonCode = Reason.protocolError): ProtocolError =>
  new ProtocolError(reason, message)
