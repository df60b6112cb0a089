import { describe, expect, test } from 'vitest'
import { isLoopback, mayBeAnonymous } from '../../../../src/ops/auth/anonymous.ts'

describe('loopback addresses', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1']) {
    test(`${address} is one`, () => expect(isLoopback(address)).toBe(true))
  }
  for (const address of ['', '10.0.0.1', '128.0.0.1', '::2', '::', '::ffff:10.0.0.1', '127.0.0.1.evil', '1127.0.0.1']) {
    test(`${address} is none`, () => expect(isLoopback(address)).toBe(false))
  }
})

describe('without an account', () => {
  for (const [policy, remoteAddress, localAddress, proxied, may] of [
    ['always', '10.0.0.9', '10.0.0.1', false, true],
    ['always', '127.0.0.1', '127.0.0.1', true, true],
    ['loopback', '127.0.0.1', '127.0.0.1', false, true],
    ['loopback', '::1', '::1', false, true],
    ['loopback', '127.0.0.1', '127.0.0.1', true, false],
    ['loopback', '10.0.0.9', '10.0.0.1', false, false],
    ['loopback', '127.0.0.1', '10.0.0.1', false, false],
    ['loopback', '10.0.0.1', '127.0.0.1', false, false],
    ['never', '127.0.0.1', '127.0.0.1', false, false],
  ] as const) {
    test(`${policy}: ${remoteAddress} to ${localAddress}${proxied ? ' by a proxy' : ''}: ${may}`, () => {
      const request = { clientId: 'c', username: null, password: null, remoteAddress, localAddress, listener: 'mqtt' }
      expect(mayBeAnonymous(policy, { ...request, proxied })).toBe(may)
    })
  }
})
