// What a node says of itself to all others, in its part of the map `facts`.
//
//   listener/TYPE   port u16     clients reach this node by a listener of that type (mqtt, mqtts, ws, wss) there
//
// Keys that a later version knows, and bytes that it adds, are passed over.

import { PeerError } from '../../base/errors.ts'

/** Bytes of the longest value that is accepted. */
export const FACT_BYTES_MAX = 256

const LISTENER = 'listener/'

export const listenerKey = (type: string): string => `${LISTENER}${type}`

export function encodePort(port: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(port)
  return bytes
}

/** Throws PeerError. */
export function decodePort(value: Buffer): number {
  if (value.length < 2 || value.readUInt16BE(0) === 0) throw new PeerError('a listener without a port')
  return value.readUInt16BE(0)
}

/** Throws PeerError unless a member may have this entry. */
export function checkFact(key: string, value: Buffer): void {
  if (key.startsWith(LISTENER)) decodePort(value)
}
