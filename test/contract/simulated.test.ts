// The simulator's ports keep the same contracts as the real host's, on virtual time.

import { SimClock, Timeline } from '../sim/clock.ts'
import { SimDatagrams } from '../sim/datagrams.ts'
import { Disk, SimFiles } from '../sim/disk.ts'
import { NameService } from '../sim/names.ts'
import { Network } from '../sim/network.ts'
import { Dice } from '../sim/random.ts'
import { SimEngine, StoreDisk } from '../sim/store-disk.ts'
import { streamsOf } from '../sim/streams.ts'
import { Notary, SimTrust } from '../sim/trust.ts'
import { clockContract } from './clock.ts'
import { datagramsContract } from './datagrams.ts'
import { engineContract } from './engine.ts'
import { filesContract } from './files.ts'
import { keyedContract } from './keyed.ts'
import { namesContract } from './names.ts'
import { randomContract } from './random.ts'
import { streamsContract } from './streams.ts'
import { trustContract } from './trust.ts'

/** Virtual milliseconds after which nothing more is waited for. */
const DEADLINE_MS = 60_000

function lan(seed: string) {
  const timeline = new Timeline()
  const dice = new Dice(seed)
  const network = new Network(timeline, dice.fork('network'))
  const machines = [network.addMachine(), network.addMachine()] as const
  const clocks = machines.map((_, index) => new SimClock(timeline, index, `box ${index}`, 5, 0))
  const until = async (condition: () => boolean, what: string): Promise<void> => {
    const deadline = timeline.now + DEADLINE_MS
    while (!condition()) {
      if (timeline.now > deadline) throw new Error(`still waiting for: ${what}`)
      timeline.runUntil(timeline.now + 1)
    }
  }
  const [one, other] = clocks as [SimClock, SimClock]
  return { timeline, dice, network, machines, one, other, until, close: () => {} }
}

const shapes = {
  'a quick LAN': () => {},
  'a slow LAN and small buffers': (network: Network) => {
    network.sendBufferBytes = 30_000
    network.receiveBufferBytes = 20_000
    network.defaultQuality = { delayMs: 2, jitterMs: 5, loss: 0.01, duplicate: 0 }
  },
}

randomContract('the simulator', () => new Dice('contract'))

clockContract('the simulator', () => {
  const { one, until, close } = lan('clock')
  return { clock: one, until, close }
})

filesContract('the simulator', () => {
  const { one, dice, until, close } = lan('files')
  const disk = new Disk()
  return { files: new SimFiles(disk, one, dice), again: () => new SimFiles(disk, one, dice), until, close }
})

engineContract('the simulator', () => {
  const { one, dice, until, close } = lan('engine')
  const disk = new StoreDisk()
  return { run: () => new SimEngine(disk, one, dice), until, close }
})

datagramsContract('the simulator', () => {
  const { network, machines, one, other, until, close } = lan('datagrams')
  return {
    one: new SimDatagrams(network, machines[0], one),
    other: new SimDatagrams(network, machines[0], other),
    on: (list) => list.find(({ loopback }) => !loopback),
    port: 4883,
    until,
    close,
  }
})

namesContract('the simulator', () => {
  const { network, machines, one, other, until, close } = lan('names')
  const names = new NameService(network)
  return { one: names.of(machines[0], one), other: names.of(machines[1], other), interfaceName: 'eth0', until, close }
})

for (const [shape, apply] of Object.entries(shapes)) {
  const make = () => {
    const { network, machines, one, other, dice, until, close } = lan(shape)
    apply(network)
    return {
      server: streamsOf(network, machines[0], one),
      client: streamsOf(network, machines[1], other),
      address: machines[0].address,
      trust: new SimTrust(new Notary(), one, dice),
      until,
      close,
    }
  }
  streamsContract(`the simulator, ${shape}`, make)
  trustContract(`the simulator, ${shape}`, make)
  keyedContract(`the simulator, ${shape}`, make)
}
