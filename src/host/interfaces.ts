// The IPv4 interfaces of this machine, with the broadcast address of each subnet.

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
