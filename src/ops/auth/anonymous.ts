// Who may connect without an account: by where the client comes from, and nothing else. A user name or password that
// nobody can check makes a client neither better nor worse.

import { unreachable } from '../../base/errors.ts'
import { UNIX_ADDRESS } from '../../base/ports/streams.ts'
import type { AuthenticationRequest } from '../../broker/ports.ts'

export type AnonymousPolicy = 'never' | 'loopback' | 'always'

/** 127.0.0.0/8, ::1, the former as an IPv6 listener sees it, and a unix socket: all of them this machine. */
export const isLoopback = (address: string): boolean =>
  address === UNIX_ADDRESS || address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address)

/** Asks where the client is only where that counts: the kernel has to be asked for the address it came to. */
export function mayBeAnonymous(policy: AnonymousPolicy, request: AuthenticationRequest): boolean {
  switch (policy) {
    case 'always':
      return true
    case 'loopback':
      // Both ends: a packet from elsewhere with a forged loopback source does not end at a loopback address. And what a
      // proxy on this machine passes on may come from anywhere.
      return request.proxied !== true && isLoopback(request.remoteAddress) && isLoopback(request.localAddress)
    case 'never':
      return false
    default:
      return unreachable(policy)
  }
}
