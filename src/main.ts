#!/usr/bin/env node
// The program: the real world (host), the node (compose) and what people see (ops), joined. Each part is loaded when a
// command needs it.

import { run } from './ops/cli/program.ts'
import type { World } from './ops/world.ts'

const world: World = {
  async ports(stateDir, runDir) {
    const [
      { HostClock },
      { HostRandom },
      { TcpStreams },
      { UdpDatagrams },
      { MdnsNames },
      { HostTrust },
      { HostFiles },
      { HostMemory },
      { LogEngine, logDirectory },
      { Synchronised },
      { SocketAddressUnit },
    ] = await Promise.all([
      import('./host/clock.ts'),
      import('./host/random.ts'),
      import('./host/tcp.ts'),
      import('./host/udp.ts'),
      import('./host/mdns.ts'),
      import('./host/trust.ts'),
      import('./host/files.ts'),
      import('./host/memory.ts'),
      import('./host/log-engine.ts'),
      import('./host/synchronised.ts'),
      import('./host/address-unit.ts'),
    ])
    const synchronised = new Synchronised()
    await synchronised.first()
    const trust = new HostTrust()
    return {
      clock: new HostClock(),
      random: new HostRandom(),
      streams: new TcpStreams(),
      datagrams: new UdpDatagrams(),
      names: new MdnsNames(),
      trust,
      issuer: trust,
      files: new HostFiles(stateDir),
      memory: new HostMemory(),
      engine: new LogEngine(logDirectory(`${stateDir}/store`)),
      synchronised: () => synchronised.now(),
      ...(runDir === undefined ? {} : { addressUnit: new SocketAddressUnit(`${runDir}/address.sock`) }),
    }
  },
  async trust() {
    const { HostTrust } = await import('./host/trust.ts')
    return new HostTrust()
  },
  async hardware() {
    const { hardwareFacts } = await import('./host/facts.ts')
    return hardwareFacts()
  },
  async compose() {
    const { compose } = await import('./compose.ts')
    return compose
  },
}

// Whoever reads our output may go away first (`edge-mqtt status | head`): that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

// The daemon's own handles may still be open in a hung part of the world: what is asked to end, ends.
process.exit(await run(process.argv.slice(2), world))
