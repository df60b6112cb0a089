// The hello: what each side of a link says in the clear, once, before TLS. The side that accepts speaks first, so that a
// dialler led astray by a forged beacon never prints on somebody's printer.
//
//    0  magic "edgemqtt"                8
//    8  oldest protocol version spoken  1     9  newest  1
//   10  intent: 1 link, 2 enrol         1    11  reserved, zero, ignored when read  5
//   16  cluster id (zero: none)         8
//   24  node id                         8
//   32  instance                        8
//   40  nonce, random                  16
//   56  reserved, zero, ignored         8    64 in all
//
// Both hellos are repeated byte for byte inside TLS (see confirm.ts), so that whoever changed one on the way is found.

import { PeerError } from '../../base/errors.ts'
import { type ClusterId, ID_BYTES, type InstanceId, NO_CLUSTER, type NodeId, readId } from '../../base/ids.ts'

export const HELLO_BYTES = 64
export const NONCE_BYTES = 16

/** Versions of the protocol between boxes, from the oldest to the newest. */
export interface Versions {
  readonly versionMin: number
  readonly versionMax: number
}

/** Those that this build speaks. */
export const PROTOCOL: Versions = { versionMin: 1, versionMax: 1 }

const MAGIC = Buffer.from('edgemqtt', 'latin1')
const INTENTS = ['link', 'enrol'] as const

export type Intent = (typeof INTENTS)[number]

export interface Hello extends Versions {
  readonly intent: Intent
  /** Null: belongs to no cluster yet. */
  readonly cluster: ClusterId | null
  readonly node: NodeId
  readonly instance: InstanceId
  readonly nonce: Buffer
}

export function encodeHello(hello: Hello): Buffer {
  const bytes = Buffer.alloc(HELLO_BYTES)
  MAGIC.copy(bytes, 0)
  bytes[8] = hello.versionMin
  bytes[9] = hello.versionMax
  bytes[10] = INTENTS.indexOf(hello.intent) + 1
  bytes.write(hello.cluster ?? NO_CLUSTER, 16, ID_BYTES, 'hex')
  bytes.write(hello.node, 24, ID_BYTES, 'hex')
  bytes.write(hello.instance, 32, ID_BYTES, 'hex')
  hello.nonce.copy(bytes, 40, 0, NONCE_BYTES)
  return bytes
}

/** Whether the first `length` bytes may be the beginning of a hello: the first wrong byte of a stranger is enough. */
export function beginsHello(bytes: Buffer, length: number): boolean {
  const end = Math.min(length, MAGIC.length)
  for (let index = 0; index < end; index++) {
    if (bytes[index] !== MAGIC[index]) return false
  }
  return true
}

/** Reads exactly 64 bytes. */
export function decodeHello(bytes: Buffer): Hello | PeerError {
  if (bytes.length !== HELLO_BYTES || !beginsHello(bytes, HELLO_BYTES)) return new PeerError('not a hello')
  const versionMin = bytes[8]!
  const versionMax = bytes[9]!
  const intent = INTENTS[bytes[10]! - 1]
  if (intent === undefined || versionMin === 0 || versionMin > versionMax) return new PeerError('not a hello')
  const cluster = readId<ClusterId>(bytes, 16)
  return {
    versionMin,
    versionMax,
    intent,
    cluster: cluster === NO_CLUSTER ? null : cluster,
    node: readId<NodeId>(bytes, 24),
    instance: readId<InstanceId>(bytes, 32),
    nonce: Buffer.from(bytes.subarray(40, 40 + NONCE_BYTES)),
  }
}

/**
 * The oldest version that both sides speak, or null. What is said on any link of a cluster that is upgraded box by box, and
 * kept or handed on, is then understood by the boxes that are not there yet, and a box can go back by one.
 */
export function commonVersion(a: Versions, b: Versions): number | null {
  const oldest = Math.max(a.versionMin, b.versionMin)
  return oldest <= Math.min(a.versionMax, b.versionMax) ? oldest : null
}
