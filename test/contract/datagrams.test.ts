import { UdpDatagrams } from '../../src/host/udp.ts'
import { datagramsContract } from './datagrams.ts'
import { until } from './world.ts'

// The port of another node would hear these too: each process of a test run takes its own.
const port = 20_000 + (process.pid % 10_000)

datagramsContract('the host', () => ({
  one: new UdpDatagrams(),
  other: new UdpDatagrams(),
  on: (list) => list.find(({ loopback }) => loopback),
  port,
  until,
  close: () => {},
}))
