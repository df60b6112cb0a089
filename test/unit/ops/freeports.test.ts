import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { TcpStreams } from '../../../src/host/tcp.ts'
import { loadConfiguration } from '../../../src/ops/config/load.ts'
import { portsOf, takenPorts } from '../../../src/ops/freeports.ts'

function configuration(...settings: readonly string[]) {
  const loaded = loadConfiguration({ file: null, environment: {}, settings })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.configuration
}

describe('the ports of a configuration', () => {
  test('are those of the listeners that are enabled and of the cluster', () => {
    expect(portsOf(configuration())).toContainEqual({ key: 'listeners.mqtt.port', address: '0.0.0.0', port: 1883 })
    expect(portsOf(configuration())).toContainEqual({ key: 'cluster.port', address: '0.0.0.0', port: 4883 })
    const keys = portsOf(configuration('listeners.mqtt.enabled=false', 'cluster.enabled=false')).map(({ key }) => key)
    expect(keys).not.toContain('listeners.mqtt.port')
    expect(keys).not.toContain('cluster.port')
  })

  test('that are taken are named by their key, and free ones are free again afterwards', async () => {
    const other = createServer()
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port))
    })
    const asked = configuration(
      `listeners.mqtt.port=${port}`,
      'listeners.mqtt.bind=127.0.0.1',
      'cluster.port=0',
      'cluster.bind=127.0.0.1',
    )
    const only = { ...asked, listeners: { mqtt: asked.listeners['mqtt']! } }
    const taken = await takenPorts(only, new TcpStreams())
    expect(taken).toHaveLength(1)
    expect(taken[0]).toMatch(new RegExp(`^listeners\\.mqtt\\.port: .*${port}`))
    await new Promise((resolve) => other.close(resolve))
    expect(await takenPorts(only, new TcpStreams())).toEqual([])
    expect(await takenPorts(only, new TcpStreams())).toEqual([])
  })
})
