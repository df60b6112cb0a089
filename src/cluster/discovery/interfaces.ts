// Which interfaces the cluster speaks on, and which addresses are on their subnets.

import type { Datagrams, NetInterface } from '../../base/ports/datagrams.ts'
import type { Endpoint } from '../../base/ports/streams.ts'
import { ENDPOINTS_MAX } from '../../wire/link/confirm.ts'
import type { ClusterSettings } from '../settings.ts'

/** Interfaces of containers, virtual machines and tunnels: what is behind them is not the LAN of the gateways. */
const APART = [
  'docker',
  'podman',
  'lxc',
  'lxd',
  'veth',
  'br-',
  'virbr',
  'vmnet',
  'vboxnet',
  'tun',
  'tap',
  'wg',
  'zt',
  'tailscale',
  'ppp',
  'cni',
  'flannel',
  'cali',
  'kube',
  'ifb',
]

/** `named` is what the settings name; when that is empty, everything but containers and tunnels. */
export function wantsInterface(name: string, named: readonly string[]): boolean {
  return named.length > 0 ? named.includes(name) : !APART.some((prefix) => name.startsWith(prefix))
}

/** Four bytes as one number; null for anything but a dotted IPv4 address. */
export function ipv4(text: string): number | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  let value = 0
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null
    value = value * 256 + Number(part)
  }
  return value
}

/** Whether `address` is one of this machine's own or in the subnet of one of `interfaces`. */
export function onLink(address: string, interfaces: readonly NetInterface[]): boolean {
  const asked = ipv4(address)
  if (asked === null) return false
  return interfaces.some((face) => {
    const own = ipv4(face.address)
    const mask = ipv4(face.netmask)
    if (own === null || mask === null) return false
    return asked === own || (mask !== 0 && (asked & mask) === (own & mask))
  })
}

/** The interfaces with the addresses that are this machine's own: the floating one is another's tomorrow. */
export function withoutAddress(datagrams: Datagrams, floating: () => string | null): Datagrams {
  const own = (face: NetInterface) => floating()?.startsWith(`${face.address}/`) !== true
  return {
    interfaces: () => datagrams.interfaces().filter(own),
    bind: (...how) => datagrams.bind(...how),
  }
}

/** Where a beacon goes from one interface. Loopback has no neighbours, but other nodes of this machine. */
export function broadcastAddresses(face: NetInterface): readonly string[] {
  // The host part of a /31 or /32 is too small for a broadcast address: what the port says there is a neighbour.
  const subnet = ((ipv4(face.netmask) ?? 0) & 0b11) === 0 ? [face.broadcast] : []
  return face.loopback ? subnet : ['255.255.255.255', ...subnet]
}

/** Where devices may look for a node, in its own opinion: the floating address is each one's, sooner or later. */
export function reachableAddresses(
  { advertise, address }: Pick<ClusterSettings, 'advertise' | 'address'>,
  faces: readonly NetInterface[],
): readonly string[] {
  const own = faces.filter(({ name }) => wantsInterface(name, [])).map((face) => face.address)
  const floating = address === null ? [] : [address.slice(0, address.indexOf('/'))]
  return [...own, ...floating, ...(advertise === null ? [] : [advertise.address])]
}

/** Where others reach a node that listens at `port`, in its own opinion. */
export function ownEndpoints(
  { advertise, bind, interfaces }: Pick<ClusterSettings, 'advertise' | 'bind' | 'interfaces'>,
  port: number,
  faces: readonly NetInterface[],
): readonly Endpoint[] {
  if (advertise !== null) return [{ address: advertise.address, port: advertise.port || port }]
  if (bind !== '0.0.0.0' && bind !== '::') return [{ address: bind, port }]
  return faces
    .filter(({ name, loopback }) => !loopback && wantsInterface(name, interfaces))
    .slice(0, ENDPOINTS_MAX)
    .map(({ address }) => ({ address, port }))
}
