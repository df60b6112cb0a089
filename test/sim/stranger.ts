// Somebody on the LAN who is no member and no client: random bytes, half a hello, or nothing at all, on the ports of a
// node, and beacons that lead nowhere. No link and no client may suffer from it.

import type { HostError } from '../../src/base/errors.ts'
import type { ByteStream } from '../../src/base/ports/streams.ts'
import { SimDatagrams } from './datagrams.ts'
import type { Dice } from './random.ts'
import { streamsOf } from './streams.ts'
import type { SimNode, World } from './world.ts'

const DATAGRAMS = 20
const CONNECTIONS = 6

export function strangerKnocks(world: World, victim: SimNode, dice: Dice): void {
  const machine = dice.pick(world.network.machines)
  const clock = world.clock('stranger')
  const streams = streamsOf(world.network, machine, clock)
  const clusterPort = victim.plan.cluster.port ?? 4883
  for (let index = 0; index < CONNECTIONS; index++) {
    const port = dice.chance(0.7) ? clusterPort : victim.plan.mqttPort
    streams.dial({ address: victim.machine.address, port }, 3000, (result) => speak(result, dice))
  }
  const datagrams = new SimDatagrams(world.network, machine, clock)
  datagrams.bind(
    dice.whole(20_000, 30_000),
    () => {},
    () => {},
    (port) => {
      if (port instanceof Error) return
      const [loopback, lan] = machine.interfaces()
      for (let index = 0; index < DATAGRAMS; index++) {
        const bytes = dice.bytes(dice.pick([0, 1, 2, 3, 10, 26, 26, 26, 27, 500]))
        const to = { address: dice.chance(0.5) ? '255.255.255.255' : victim.machine.address, port: 4883 }
        port.send(dice.chance(0.2) ? loopback! : lan!, to, bytes)
      }
    },
  )
}

function speak(result: ByteStream | HostError, dice: Dice): void {
  if (result instanceof Error) return
  result.open({ received: () => {}, drained: () => {}, closed: () => {} })
  const mood = dice.weighted({ silent: 1, junk: 3, mqttish: 1, short: 1 })
  if (mood === 'junk') result.write(dice.bytes(dice.whole(1, 3000)))
  if (mood === 'mqttish') result.write(Buffer.concat([Buffer.from('101a00044d5154540502003c', 'hex'), dice.bytes(40)]))
  if (mood === 'short') result.write(dice.bytes(30))
  if (dice.chance(0.5)) result.end()
}
