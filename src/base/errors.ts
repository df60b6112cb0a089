// Whose fault is it? (STYLE 7) The peer's: ProtocolError, PeerError. The world's: HostError. Ours: Bug.

import type { ReasonCode } from './reasons.ts'

/** A client broke MQTT. Carries the MQTT 5 reason code for the DISCONNECT or CONNACK; the connection is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly reason: ReasonCode
  constructor(reason: ReasonCode, message: string) {
    super(message)
    this.reason = reason
  }
}

/** A member broke the rules between boxes; its link is closed with this reason. */
export class PeerError extends Error {
  override readonly name = 'PeerError'
}

export type HostErrorKind = 'unavailable' | 'denied' | 'invalid' | 'failed'

/** The world did not do its part: a port taken, a file unreadable, a network gone. */
export class HostError extends Error {
  override readonly name = 'HostError'
  readonly kind: HostErrorKind
  constructor(kind: HostErrorKind, message: string) {
    super(message)
    this.kind = kind
  }
}

/** We broke our own rules. The node stops and systemd starts it afresh. */
export class Bug extends Error {
  override readonly name = 'Bug'
}

/** Stays on in production: a broken invariant must not go on to lose messages. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Bug(message)
}

/** Ends a switch over a union, so that a new member of the union fails to compile. */
export function unreachable(value: never): never {
  throw new Bug(`unreachable: ${String(value)}`)
}
