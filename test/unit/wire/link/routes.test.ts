import { expect, test } from 'vitest'
import { PeerError } from '../../../../src/base/errors.ts'
import { checkRoute, decodeRoute, encodeRoute, isForwardable } from '../../../../src/wire/link/routes.ts'

test('a route is a byte of flags; what later versions add is passed over', () => {
  expect(encodeRoute({ durable: false }).toString('hex')).toBe('00')
  expect(encodeRoute({ durable: true }).toString('hex')).toBe('01')
  expect(decodeRoute(Buffer.from([0x01]))).toEqual({ durable: true })
  expect(decodeRoute(Buffer.from([0xfe, 1, 2, 3]))).toEqual({ durable: false })
})

test.each(['a', 'a/b', '#', '+/+', '$other/x', '/', 'a/+/#'])('%s may be announced', (filter) => {
  expect(() => checkRoute(filter, encodeRoute({ durable: false }))).not.toThrow()
})

test.each(['', 'a#', 'a/#/b', 'a+', '$share/g/a', '$SYS/#', '$SYS', 'a\0b', 'x/'.repeat(1000)])(
  '%j may not be announced',
  (filter) => {
    expect(() => checkRoute(filter, encodeRoute({ durable: false }))).toThrow(PeerError)
  },
)

test('a route without flags is refused', () => {
  expect(() => checkRoute('a', Buffer.alloc(0))).toThrow(PeerError)
})

test('what is too deep for a route is not announced', () => {
  expect(isForwardable('x/'.repeat(999))).toBe(true)
  expect(isForwardable('x/'.repeat(1000))).toBe(false)
})
