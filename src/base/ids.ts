// Who is who: the ids that travel between boxes, as fixed bytes on the wire and as hexadecimal text everywhere else.

import type { Random } from './ports/random.ts'

declare const brand: unique symbol
type Branded<Of, Name> = Of & { readonly [brand]: Name }

/** 8 random bytes made at first setup, as 16 hexadecimal digits; stands in the node's certificate. */
export type NodeId = Branded<string, 'NodeId'>
/** 8 random bytes made with the first CA and kept by every later CA, as 16 hexadecimal digits. */
export type ClusterId = Branded<string, 'ClusterId'>
/** One run of a node, as 16 hexadecimal digits: 6 bytes of milliseconds since 1970 at start, 2 random. */
export type InstanceId = Branded<string, 'InstanceId'>
/** An MQTT client identifier. */
export type ClientId = Branded<string, 'ClientId'>

export const ID_BYTES = 8

/** On the wire: "none", for a box that belongs to no cluster yet. */
export const NO_CLUSTER = '0000000000000000' as ClusterId

const PATTERN = /^[0-9a-f]{16}$/

export const isId = (text: string): boolean => PATTERN.test(text)
export const nodeId = (random: Random): NodeId => random.bytes(ID_BYTES).toString('hex') as NodeId

/** A cluster id is never all zeros: that is the wire's "none". */
export function clusterId(random: Random): ClusterId {
  const bytes = random.bytes(ID_BYTES)
  bytes[0]! |= 1
  return bytes.toString('hex') as ClusterId
}

/**
 * Later starts compare greater while clocks are right, so that of two live instances of one id the later gives way. Two
 * starts in one millisecond are ordered by chance, and so are those of two boxes whose clocks are wrong: all that counts
 * is that both boxes see the same order.
 */
export function instanceId(random: Random, wallMs: number): InstanceId {
  const bytes = random.bytes(ID_BYTES)
  bytes.writeUIntBE(Math.floor(Math.max(0, wallMs)) % 2 ** 48, 0, 6)
  return bytes.toString('hex') as InstanceId
}

/** Reads 8 bytes at `at` as an id; the caller has checked the length. */
export const readId = <Id extends string>(bytes: Buffer, at: number): Id =>
  bytes.toString('hex', at, at + ID_BYTES) as Id
