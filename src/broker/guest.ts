// Who a connection belongs to before it has said a word: the listener it came through, and what that found out.

import type { ByteStream, Visitor } from '../base/ports/streams.ts'
import { Reason } from '../base/reasons.ts'
import type { ConnectPacket } from '../wire/mqtt/packets.ts'
import type { Refusal } from './connect.ts'
import type { AuthenticationRequest } from './ports.ts'

/** What a listener holds for its clients. */
export interface ListenerTerms {
  readonly name: string
  /** Null: no bound but that of all listeners together. */
  readonly maxConnections: number | null
  /** What stands before its clients' topics in the broker. */
  readonly mountPoint: string
  readonly allowEmptyClientId: boolean
  /** Whether the common name of a client's certificate is its user name. */
  readonly certificateNames: boolean
}

/** The name is needed; the rest is what a listener has that nothing is said of. */
export type NamedTerms = Pick<ListenerTerms, 'name'> & Partial<ListenerTerms>

export interface Guest {
  readonly terms: NamedTerms
  readonly proxied: boolean
  /** The user name that its certificate gives it. */
  readonly certified: string | null
  /** There is no room for it; it is only here to be told. */
  readonly surplus: boolean
}

export const guestOf = (terms: NamedTerms, { proxied, certificateName }: Visitor, surplus: boolean): Guest => ({
  terms,
  proxied,
  certified: terms.certificateNames === true ? certificateName : null,
  surplus,
})

/** What the authenticator is asked. */
export const requestOf = (
  { terms, proxied, certified }: Guest,
  { clientId, username, password }: Pick<ConnectPacket, 'clientId' | 'username' | 'password'>,
  stream: Pick<ByteStream, 'remote' | 'local'>,
): AuthenticationRequest => ({
  clientId,
  username: certified ?? username,
  password,
  remoteAddress: stream.remote.address,
  // Asking the kernel costs as much as a keyed hash, and few need the answer.
  get localAddress() {
    return stream.local.address
  },
  listener: terms.name,
  proxied,
  certified,
})

/** What a listener of its own terms, or without room, says no to. */
export function turnedAway(packet: ConnectPacket, { terms, surplus }: Guest): Refusal | null {
  if (surplus) return { refused: Reason.quotaExceeded, why: 'as many connections as there may be' }
  if (packet.clientId !== '' || terms.allowEmptyClientId !== false) return null
  return { refused: Reason.clientIdentifierNotValid, why: 'this listener wants a client id' }
}
