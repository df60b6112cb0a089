// The PROXY header of a load balancer (haproxy's proxy-protocol.txt), versions 1 and 2: who the client really is.

import { isIP } from 'node:net'
import type { Endpoint } from '../base/ports/streams.ts'

export interface ProxyHeader {
  /** Bytes of the header; what follows is the client's. */
  readonly length: number
  /** Null: the proxy speaks for itself (a health check), or does not know. */
  readonly ends: { readonly remote: Endpoint; readonly local: Endpoint } | null
}

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
const V1_BYTES_MAX = 107
const V2_FIXED_BYTES = 16
/** Addresses and the extras that load balancers add. */
const V2_BODY_BYTES_MAX = 4096
const V1_START = Buffer.from('PROXY ')

/** The header at the start of `bytes`; null: more is needed; 'bad': there is none. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null | 'bad' {
  const seen = Math.min(bytes.length, SIGNATURE.length)
  if (bytes.subarray(0, seen).equals(SIGNATURE.subarray(0, seen)))
    return bytes.length < V2_FIXED_BYTES ? null : v2(bytes)
  const start = Math.min(bytes.length, V1_START.length)
  return bytes.subarray(0, start).equals(V1_START.subarray(0, start)) ? v1(bytes) : 'bad'
}

function v1(bytes: Buffer): ProxyHeader | null | 'bad' {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_BYTES_MAX ? null : 'bad'
  const [, family, from, to, fromPort, toPort, ...more] = bytes.toString('latin1', 0, end).split(' ')
  const length = end + 2
  if (family === 'UNKNOWN') return { length, ends: null }
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0
  if (version === 0 || more.length > 0) return 'bad'
  const remote = v1Endpoint(from, fromPort, version)
  const local = v1Endpoint(to, toPort, version)
  return remote === null || local === null ? 'bad' : { length, ends: { remote, local } }
}

function v1Endpoint(address = '', port = '', version: number): Endpoint | null {
  const good = isIP(address) === version && /^(?:0|[1-9]\d{0,4})$/.test(port) && Number(port) <= 65_535
  return good ? { address, port: Number(port) } : null
}

function v2(bytes: Buffer): ProxyHeader | null | 'bad' {
  const [version, command] = [bytes[12]! >> 4, bytes[12]! & 0x0f]
  const family = bytes[13]! >> 4
  const body = bytes.readUInt16BE(14)
  if (version !== 2 || command > 1 || body > V2_BODY_BYTES_MAX) return 'bad'
  const length = V2_FIXED_BYTES + body
  if (bytes.length < length) return null
  const addressBytes = family === 1 ? 4 : family === 2 ? 16 : 0
  if (command === 0 || addressBytes === 0) return { length, ends: null }
  if (body < 2 * addressBytes + 4) return 'bad'
  const at = V2_FIXED_BYTES
  const port = at + 2 * addressBytes
  return {
    length,
    ends: {
      remote: { address: addressText(bytes.subarray(at, at + addressBytes)), port: bytes.readUInt16BE(port) },
      local: { address: addressText(bytes.subarray(at + addressBytes, port)), port: bytes.readUInt16BE(port + 2) },
    },
  }
}

/** As people and Node write it: one address, one text. */
function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.subarray(0, 12).equals(MAPPED)) return bytes.subarray(12).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
