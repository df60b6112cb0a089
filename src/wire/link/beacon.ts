// The datagram by which a node announces its cluster port, and the same fields as text in its mDNS record.
//
//   0        2                10               18               26
//   +--------+----------------+----------------+----------------+-----------
//   |  port  |   cluster id   |    node id     |    instance    | later ...
//   +--------+----------------+----------------+----------------+-----------
//
// Big-endian. Cluster id zero: the box belongs to no cluster. Port zero: the box cannot be dialled yet (first setup
// alone). Just the two bytes of a port are a beacon too. Later versions only add behind what stands here.

import { type ClusterId, ID_BYTES, type InstanceId, isId, NO_CLUSTER, type NodeId, readId } from '../../base/ids.ts'

export const BEACON_BYTES = 2 + 3 * ID_BYTES
/** Longer than any version will need, and shorter than the smallest datagram that IPv4 might cut in two. */
const BEACON_BYTES_MAX = 512
const AT_CLUSTER = 2
const AT_NODE = AT_CLUSTER + ID_BYTES
const AT_INSTANCE = AT_NODE + ID_BYTES

/** Nobody's: a beacon with such a node id or instance is junk. */
const ZERO = '0'.repeat(2 * ID_BYTES)

export interface Beacon {
  /** TCP port of the links. */
  readonly port: number
  /** `NO_CLUSTER` for a box that belongs to none. */
  readonly cluster: ClusterId
  readonly node: NodeId
  readonly instance: InstanceId
}

/** What a datagram of only two bytes says. */
export interface BarePort {
  readonly port: number
  readonly cluster: null
  readonly node: null
  readonly instance: null
}

export function encodeBeacon(beacon: Beacon): Buffer {
  const bytes = Buffer.alloc(BEACON_BYTES)
  bytes.writeUInt16BE(beacon.port, 0)
  bytes.write(beacon.cluster, AT_CLUSTER, ID_BYTES, 'hex')
  bytes.write(beacon.node, AT_NODE, ID_BYTES, 'hex')
  bytes.write(beacon.instance, AT_INSTANCE, ID_BYTES, 'hex')
  return bytes
}

/** Reads a datagram; null is junk. */
export function decodeBeacon(bytes: Buffer): Beacon | BarePort | null {
  if (bytes.length === 2) {
    const port = bytes.readUInt16BE(0)
    return port === 0 ? null : { port, cluster: null, node: null, instance: null }
  }
  if (bytes.length < BEACON_BYTES || bytes.length > BEACON_BYTES_MAX) return null
  const node = readId<NodeId>(bytes, AT_NODE)
  const instance = readId<InstanceId>(bytes, AT_INSTANCE)
  if (node === ZERO || instance === ZERO) return null
  return { port: bytes.readUInt16BE(0), cluster: readId<ClusterId>(bytes, AT_CLUSTER), node, instance }
}

/** The same as text of a DNS-SD record (RFC 6763 chapter 6); the port stands in the record itself. */
export function beaconText(beacon: Beacon): Record<string, string> {
  return { c: beacon.cluster, n: beacon.node, i: beacon.instance }
}

/** Reads the text of a DNS-SD record; null is junk. Keys of later versions are passed over. */
export function readBeaconText(port: number, text: Readonly<Record<string, string>>): Beacon | null {
  const { c: cluster = NO_CLUSTER, n: node = '', i: instance = '' } = text
  if (!isId(cluster) || !isId(node) || !isId(instance) || node === ZERO || instance === ZERO) return null
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) return null
  return { port, cluster: cluster as ClusterId, node: node as NodeId, instance: instance as InstanceId }
}
