import { networkInterfaces } from 'node:os'
import { Dialled, plainly, tlsService, WEBSOCKET } from './dialled.ts'
import { streamsContract } from './streams.ts'
import { until } from './world.ts'

const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
const tls = await tlsService()

const kinds = {
  'a PROXY header': { ...plainly, proxy: true },
  TLS: { ...plainly, tls },
  WebSocket: { ...plainly, websocket: WEBSOCKET },
  'WebSocket over TLS': { ...plainly, tls, websocket: WEBSOCKET },
  'all of them': { ...plainly, proxy: true, tls, websocket: WEBSOCKET },
}

for (const [name, how] of Object.entries(kinds)) {
  for (const address of ['127.0.0.1', '::1'].filter((own) => addresses.includes(own))) {
    streamsContract(`the host, ${name}, ${address}`, () => {
      const streams = new Dialled(how)
      const oneWriteAtATime = how.tls !== null
      return { server: streams, client: streams, address, oneWriteAtATime, until, close: () => {} }
    })
  }
}
