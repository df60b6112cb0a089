import { describe, expect, test } from 'vitest'
import type { AuthenticationResult } from '../../../src/broker/ports.ts'
import { type AnonymousPolicy, anonymousAuthenticator, isLoopback } from '../../../src/ops/anonymous.ts'

const ask = (policy: AnonymousPolicy, remoteAddress: string, localAddress: string, username: string | null = null) => {
  let result: AuthenticationResult | null = null
  const request = { clientId: 'c', username, password: null, remoteAddress, localAddress, listener: 'mqtt' }
  anonymousAuthenticator(() => policy).authenticate(request, (given) => {
    result = given
  })
  return result
}

describe('loopback addresses', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1']) {
    test(`${address} is one`, () => expect(isLoopback(address)).toBe(true))
  }
  for (const address of ['', '10.0.0.1', '128.0.0.1', '::2', '::', '::ffff:10.0.0.1', '127.0.0.1.evil', '1127.0.0.1']) {
    test(`${address} is none`, () => expect(isLoopback(address)).toBe(false))
  }
})

describe('without accounts', () => {
  // [policy, remote, local, user name, result]
  for (const [policy, remote, local, username, result] of [
    ['always', '10.0.0.9', '10.0.0.1', null, 'allowed'],
    ['always', '10.0.0.9', '10.0.0.1', 'u', 'allowed'],
    ['loopback', '127.0.0.1', '127.0.0.1', null, 'allowed'],
    ['loopback', '::1', '::1', 'u', 'allowed'],
    ['loopback', '10.0.0.9', '10.0.0.1', null, 'notAuthorized'],
    ['loopback', '10.0.0.9', '10.0.0.1', 'u', 'badUserNameOrPassword'],
    ['loopback', '127.0.0.1', '10.0.0.1', null, 'notAuthorized'],
    ['loopback', '10.0.0.1', '127.0.0.1', null, 'notAuthorized'],
    ['never', '127.0.0.1', '127.0.0.1', null, 'notAuthorized'],
    ['never', '127.0.0.1', '127.0.0.1', 'u', 'badUserNameOrPassword'],
  ] as const) {
    test(`${policy}: ${remote} to ${local} as ${username ?? 'nobody'}: ${result}`, () => {
      expect(ask(policy, remote, local, username)).toBe(result)
    })
  }

  test('a change of policy counts from the next connection on', () => {
    let policy: AnonymousPolicy = 'never'
    const results: AuthenticationResult[] = []
    const authenticator = anonymousAuthenticator(() => policy)
    const request = { clientId: 'c', username: null, password: null, remoteAddress: '', localAddress: '', listener: '' }
    authenticator.authenticate(request, (result) => results.push(result))
    policy = 'always'
    authenticator.authenticate(request, (result) => results.push(result))
    expect(results).toEqual(['notAuthorized', 'allowed'])
  })
})
