import { expect, test } from 'vitest'
import { readProxyHeader } from '../../../src/host/proxy-header.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

const good: readonly (readonly [string, Buffer, unknown])[] = [
  [
    'version 1, IPv4',
    Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 40000 8883\r\n'),
    { remote: { address: '192.0.2.7', port: 40_000 }, local: { address: '192.0.2.1', port: 8883 } },
  ],
  [
    'version 1, IPv6',
    Buffer.from('PROXY TCP6 2001:db8::7 ::1 40000 8883\r\n'),
    { remote: { address: '2001:db8::7', port: 40_000 }, local: { address: '::1', port: 8883 } },
  ],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN whatever it says\r\n'), null],
  [
    'version 2, IPv4, with an extra',
    hex(`${SIGNATURE} 21 11 0010 c0000207 c0000201 9c40 22b3 04 0001 00`),
    { remote: { address: '192.0.2.7', port: 40_000 }, local: { address: '192.0.2.1', port: 8883 } },
  ],
  [
    'version 2, IPv6',
    hex(`${SIGNATURE} 21 21 0024 20010db8000000000000000000000007 00000000000000000000ffffc0000201 9c40 22b3`),
    { remote: { address: '2001:db8::7', port: 40_000 }, local: { address: '192.0.2.1', port: 8883 } },
  ],
  ['version 2, a health check', hex(`${SIGNATURE} 20 00 0000`), null],
  ['version 2, a unix socket', hex(`${SIGNATURE} 21 31 0002 0000`), null],
]

test.each(good)('%s, whole and byte by byte', (_name, header, ends) => {
  const bytes = Buffer.concat([header, Buffer.from('MQTT')])
  expect(readProxyHeader(bytes)).toEqual({ length: header.length, ends })
  for (let length = 0; length < header.length; length++) expect(readProxyHeader(bytes.subarray(0, length))).toBeNull()
})

test.each([
  ['no header', Buffer.from('GET / HTTP/1.1\r\n')],
  ['an MQTT packet', hex('100c 0004 4d515454 04 02 0000 0000')],
  ['an address that is none', Buffer.from('PROXY TCP4 300.0.2.7 192.0.2.1 1 2\r\n')],
  ['the other family', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['a port that is none', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 70000\r\n')],
  ['no end', Buffer.from(`PROXY TCP4 ${' '.repeat(107)}`)],
  ['version 3', hex(`${SIGNATURE} 31 11 000c c0000207 c0000201 9c40 22b3`)],
  ['an unknown command', hex(`${SIGNATURE} 22 11 000c c0000207 c0000201 9c40 22b3`)],
  ['addresses that do not fit', hex(`${SIGNATURE} 21 11 0004 c0000207`)],
  ['60,000 bytes of extras', hex(`${SIGNATURE} 21 11 ea60`)],
])('%s is bad', (_name, bytes) => {
  expect(readProxyHeader(bytes)).toBe('bad')
})
