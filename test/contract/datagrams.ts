// What every Datagrams must do, in the simulator as on a real network.

import { afterEach, describe, expect, test } from 'vitest'
import { HostError } from '../../src/base/errors.ts'
import type { DatagramPort, Datagrams, NetInterface } from '../../src/base/ports/datagrams.ts'
import type { Endpoint } from '../../src/base/ports/streams.ts'
import type { World } from './world.ts'

export interface DatagramsWorld extends World {
  /** Two nodes that can reach each other by broadcast; they may share a machine. */
  readonly one: Datagrams
  readonly other: Datagrams
  /** The interface of `one` on which they reach each other. */
  on(list: readonly NetInterface[]): NetInterface | undefined
  /** A port that is free on both. */
  readonly port: number
}

interface Heard {
  readonly text: string
  readonly from: Endpoint
}

export function datagramsContract(name: string, make: () => DatagramsWorld): void {
  describe(`Datagrams of ${name}`, () => {
    let world: DatagramsWorld
    const ports: DatagramPort[] = []

    const bind = async (of: Datagrams, heard: Heard[] = [], failures: HostError[] = []): Promise<DatagramPort> => {
      let result: DatagramPort | HostError | null = null
      of.bind(
        world.port,
        (bytes, from) => heard.push({ text: bytes.toString('latin1'), from }),
        (_where, error) => failures.push(error),
        (port) => {
          expect(result).toBeNull()
          result = port
        },
      )
      await world.until(() => result !== null, 'bind to answer')
      const port = result as DatagramPort | HostError | null
      if (port === null || port instanceof HostError) throw port
      ports.push(port)
      return port
    }

    const here = (): NetInterface => world.on(world.one.interfaces())!

    afterEach(() => {
      for (const port of ports.splice(0)) port.close()
      world.close()
    })

    test('an interface has a name, an address, a netmask and the broadcast address they give', () => {
      world = make()
      const own = here()
      const numbers = (address: string) => address.split('.').map(Number)
      const mask = numbers(own.netmask)
      expect(own.name).not.toBe('')
      expect(numbers(own.broadcast)).toEqual(numbers(own.address).map((part, at) => part | (~mask[at]! & 255)))
    })

    test('a broadcast reaches every node that has bound the port, the sender too, with the sending address', async () => {
      world = make()
      const [mine, yours]: [Heard[], Heard[]] = [[], []]
      const port = await bind(world.one, mine)
      await bind(world.other, yours)
      port.send(here(), { address: here().broadcast, port: world.port }, Buffer.from('hello'))
      await world.until(() => mine.length > 0 && yours.length > 0, 'the broadcast')
      expect([mine[0]?.text, yours[0]?.text]).toEqual(['hello', 'hello'])
      expect(yours[0]?.from.address).toBe(here().address)
    })

    test('several datagrams sent at once all keep their bytes, though the buffer is used again', async () => {
      world = make()
      const yours: Heard[] = []
      const port = await bind(world.one)
      await bind(world.other, yours)
      const buffer = Buffer.from('0')
      for (let index = 0; index < 5; index++) {
        buffer.write(String(index))
        port.send(here(), { address: here().broadcast, port: world.port }, buffer)
      }
      await world.until(() => yours.length >= 5, 'five datagrams')
      expect(yours.map(({ text }) => text).sort()).toEqual(['0', '1', '2', '3', '4'])
    })

    test('a closed port hears and sends nothing more, and says nothing', async () => {
      world = make()
      const [mine, yours]: [Heard[], Heard[]] = [[], []]
      const failures: HostError[] = []
      const closed = await bind(world.one, mine, failures)
      const open = await bind(world.other, yours)
      closed.close()
      closed.close()
      closed.send(here(), { address: here().broadcast, port: world.port }, Buffer.from('from the closed'))
      open.send(here(), { address: here().broadcast, port: world.port }, Buffer.from('from the open'))
      await world.until(() => yours.length > 0, 'the datagram of the open one')
      expect([mine, yours.map(({ text }) => text), failures]).toEqual([[], ['from the open'], []])
    })
  })
}
