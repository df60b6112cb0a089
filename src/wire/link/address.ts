// What a member says of the floating address, on the channel `address`, when it links and whenever that changes.
//
//   0  flags    1   bit 0: it could hold it, bit 1: it holds it
//   1  prefix   1   bits of the network, 1 .. 31
//   2  address  4
//   6  MAC      6   of the interface that it holds it on; zeros: it does not
//   12 anything behind is of a later version and ignored

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { PeerError } from '../../base/errors.ts'

export interface AddressClaim {
  readonly able: boolean
  readonly holds: boolean
  /** `a.b.c.d/n` */
  readonly address: string
  /** `aa:bb:cc:dd:ee:ff`; empty when it does not hold it. */
  readonly mac: string
}

export const ADDRESS_BYTES_MAX = 256
const ABLE = 1
const HOLDS = 2
const NO_MAC = '00:00:00:00:00:00'

export function encodeAddress({ able, holds, address, mac }: AddressClaim): Buffer {
  const [numbers, prefix] = address.split('/') as [string, string]
  const writer = new ByteWriter().u8((able ? ABLE : 0) | (holds ? HOLDS : 0)).u8(Number(prefix))
  for (const part of numbers.split('.')) writer.u8(Number(part))
  for (const part of (mac === '' ? NO_MAC : mac).split(':')) writer.u8(Number.parseInt(part, 16))
  return writer.done()
}

export function decodeAddress(bytes: Buffer): AddressClaim {
  const reader = new ByteReader(bytes)
  const flags = reader.u8()
  const prefix = reader.u8()
  const numbers = Array.from({ length: 4 }, () => reader.u8()).join('.')
  const mac = Array.from({ length: 6 }, () => reader.u8().toString(16).padStart(2, '0')).join(':')
  if (reader.broken) throw new PeerError('truncated address')
  if (prefix < 1 || prefix > 31) throw new PeerError('an address without a network')
  const address = `${numbers}/${prefix}`
  return { able: (flags & ABLE) !== 0, holds: (flags & HOLDS) !== 0, address, mac: mac === NO_MAC ? '' : mac }
}
