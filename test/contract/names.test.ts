import type { NetInterface } from '../../src/base/ports/datagrams.ts'
import { MdnsNames } from '../../src/host/mdns.ts'
import { namesContract } from './names.ts'
import { until } from './world.ts'

// Multicast over the loopback interface: what is tried here never leaves the machine.
const loopback: NetInterface = {
  name: 'lo',
  address: '127.0.0.1',
  netmask: '255.0.0.0',
  broadcast: '127.255.255.255',
  loopback: true,
}

namesContract('the host', () => ({
  one: new MdnsNames(() => [loopback]),
  other: new MdnsNames(() => [loopback]),
  interfaceName: 'lo',
  until,
  close: () => {},
}))
