// Whether the ports that a configuration asks for are free: tried by listening for a moment, before an installer changes
// anything.

import { HostError } from '../base/errors.ts'
import type { Endpoint, Streams } from '../base/ports/streams.ts'
import type { Configuration } from './config/schema.ts'

/** The configuration's TCP ports, each with its key. */
export function portsOf({ cluster, listeners }: Configuration): (Endpoint & { readonly key: string })[] {
  const ports = Object.entries(listeners)
    .filter(([, listener]) => listener.enabled)
    .map(([name, { bind, port }]) => ({ key: `listeners.${name}.port`, address: bind, port }))
  if (cluster.enabled) ports.push({ key: 'cluster.port', address: cluster.bind, port: cluster.port })
  return ports
}

/** What stands in the way, by key: `listeners.mqtt.port: port 1883 is taken`. */
export async function takenPorts(configuration: Configuration, streams: Pick<Streams, 'listen'>): Promise<string[]> {
  const taken: string[] = []
  for (const { key, ...at } of portsOf(configuration)) {
    const result = await new Promise<HostError | null>((resolve) => {
      streams.listen(
        at,
        (stream) => stream.destroy(),
        (result) => {
          if (!(result instanceof HostError)) result.close()
          resolve(result instanceof HostError ? result : null)
        },
      )
    })
    if (result !== null) taken.push(`${key}: ${result.message}`)
  }
  return taken
}
