// The IPv4 interfaces of this machine, with the broadcast address of each subnet.

import { isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { NetInterface } from '../base/ports/datagrams.ts'

/** The interfaces that are up now; none when the kernel does not say (a sandbox without AF_NETLINK). */
export function ipv4Interfaces(): NetInterface[] {
  const found: NetInterface[] = []
  for (const [name, addresses] of Object.entries(listed())) {
    for (const { family, address, netmask, internal } of addresses ?? []) {
      if (family !== 'IPv4') continue
      found.push({ name, address, netmask, broadcast: broadcastAddress(address, netmask), loopback: internal })
    }
  }
  return found
}

function listed(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch {
    return {}
  }
}

export function broadcastAddress(address: string, netmask: string): string {
  const mask = toNumber(netmask)
  return toText(((toNumber(address) & mask) | ~mask) >>> 0)
}

/** Whether `address` is on the link of `on`. */
export function sameSubnet(address: string, on: Pick<NetInterface, 'address' | 'netmask'>): boolean {
  const mask = toNumber(on.netmask)
  return (toNumber(address) & mask) === (toNumber(on.address) & mask)
}

const toNumber = (address: string): number => address.split('.').reduce((sum, part) => (sum << 8) | Number(part), 0)

const toText = (bits: number): string => [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.')

/** The bytes of an IPv4 or IPv6 address; null when it is neither. */
export function addressBytes(address: string): Buffer | null {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address)) return null
  // As a URL it is written one way, without an IPv4 address at its end.
  const [left = '', right] = new URL(`http://[${address.split('%', 1)[0]}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'))
  const [head, tail] = [groups(left), groups(right)]
  const zeros = new Array<string>(8 - head.length - tail.length).fill('0')
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...head, ...zeros, ...tail].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * index)
  }
  return bytes
}
