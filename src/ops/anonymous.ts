// Who may connect while there are no accounts: by where the client comes from, and nothing else. A user name or password
// that nobody can check makes a client neither better nor worse.

import { unreachable } from '../base/errors.ts'
import type { AuthenticationRequest, AuthenticationResult, Authenticator } from '../broker/ports.ts'

export type AnonymousPolicy = 'never' | 'loopback' | 'always'

/** 127.0.0.0/8, ::1, and the former as an IPv6 listener sees it. */
export const isLoopback = (address: string): boolean =>
  address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address)

export function judge(policy: AnonymousPolicy, request: AuthenticationRequest): AuthenticationResult {
  switch (policy) {
    case 'always':
      return 'allowed'
    case 'loopback':
      // Both ends: a packet from elsewhere with a forged loopback source does not end at a loopback address.
      return isLoopback(request.remoteAddress) && isLoopback(request.localAddress) ? 'allowed' : refused(request)
    case 'never':
      return refused(request)
    default:
      return unreachable(policy)
  }
}

/** Tells a client with credentials that they are no good here, and one without that it would need some. */
const refused = (request: AuthenticationRequest): AuthenticationResult =>
  request.username === null ? 'notAuthorized' : 'badUserNameOrPassword'

/** `policy` is asked at each connection, so that a reload counts from the next one on. */
export const anonymousAuthenticator = (policy: () => AnonymousPolicy): Authenticator => ({
  authenticate: (request, done) => done(judge(policy(), request)),
})
