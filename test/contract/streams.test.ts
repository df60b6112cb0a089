import { networkInterfaces } from 'node:os'
import { TcpStreams } from '../../src/host/tcp.ts'
import { streamsContract } from './streams.ts'
import { until } from './world.ts'

const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))

for (const handles of [true, false]) {
  for (const address of ['127.0.0.1', '::1'].filter((own) => addresses.includes(own))) {
    streamsContract(`the host, ${handles ? 'its handles' : "'data' events"}, ${address}`, () => {
      const streams = new TcpStreams({ handles })
      return { server: streams, client: streams, address, until, close: () => {} }
    })
  }
}
