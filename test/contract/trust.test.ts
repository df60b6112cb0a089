import { TcpStreams } from '../../src/host/tcp.ts'
import { HostTrust } from '../../src/host/trust.ts'
import { keyedContract } from './keyed.ts'
import { trustContract } from './trust.ts'
import { until } from './world.ts'

for (const handles of [true, false]) {
  const name = `the host, ${handles ? 'its handles' : "'data' events"}`
  const make = () => {
    const streams = new TcpStreams({ handles })
    const trust = new HostTrust()
    return { trust, server: streams, client: streams, address: '127.0.0.1', until, close: () => {} }
  }
  trustContract(name, make)
  keyedContract(name, make)
}
