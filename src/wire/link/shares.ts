// The value of a share group in a node's part: what this node has of it. The key is `name/filter`, as it stands behind
// `$share/`.
//
//   flags u8: bit 0 durable (some persistent session is in it), bits 1-7 zero, ignored when read
//   consumers u16 . connected u16          65,535: so many or more
//   ... bytes that a later version adds are ignored

import { PeerError } from '../../base/errors.ts'
import { isNodeLocal } from './routes.ts'
import { isGroup } from './sharetargets.ts'

const DURABLE = 1
const COUNT_MAX = 0xffff

/** Bytes of the longest value that is accepted. */
export const SHARE_BYTES_MAX = 64

/** What a node has of a share group. */
export interface ShareCount {
  readonly consumers: number
  /** Those that are connected now. */
  readonly connected: number
  /** Some persistent session is among them. */
  readonly durable: boolean
}

export function encodeShare({ consumers, connected, durable }: ShareCount): Buffer {
  const bytes = Buffer.alloc(5)
  bytes[0] = durable ? DURABLE : 0
  bytes.writeUInt16BE(Math.min(consumers, COUNT_MAX), 1)
  bytes.writeUInt16BE(Math.min(connected, COUNT_MAX), 3)
  return bytes
}

/** Throws PeerError. */
export function decodeShare(value: Buffer): ShareCount {
  if (value.length < 5) throw new PeerError('share group cut short')
  return {
    consumers: value.readUInt16BE(1),
    connected: value.readUInt16BE(3),
    durable: (value[0]! & DURABLE) !== 0,
  }
}

/** The topic filter of a group. */
export const filterOf = (group: string): string => group.slice(group.indexOf('/') + 1)

/** Throws PeerError unless a member may announce this group. */
export function checkShare(group: string, value: Buffer): void {
  decodeShare(value)
  if (!isGroup(group)) throw new PeerError('share group with an invalid name or filter')
  if (isNodeLocal(filterOf(group))) throw new PeerError('share group of $SYS, which stays on its node')
}
