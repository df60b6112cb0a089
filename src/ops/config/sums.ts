// What must hold between keys: each value may be right alone and the sum still cannot work.

import type { Path } from './layers.ts'
import type { Configuration } from './schema.ts'
import { durationText, sizeText } from './units.ts'

export interface Finding {
  readonly path: Path
  /** The key on the other side of the sum: where to look when `path` was left at its default. */
  readonly against?: Path
  readonly what: string
}

/** Sums that cannot work: the node does not start. */
export function contradictions(configuration: Configuration): readonly Finding[] {
  const { cluster } = configuration
  const findings: Finding[] = []
  if (cluster.dead_after < 3 * cluster.heartbeat) {
    findings.push({
      path: ['cluster', 'dead_after'],
      against: ['cluster', 'heartbeat'],
      what:
        `found ${durationText(cluster.dead_after)} with a heartbeat of ${durationText(cluster.heartbeat)}; ` +
        `right would be at least three heartbeats, ${durationText(3 * cluster.heartbeat)} or more`,
    })
  }
  return [...findings, ...portClashes(configuration)]
}

/** What works, but not as its writer may think. */
export function doubts(configuration: Configuration): readonly Finding[] {
  const packet = configuration.limits.max_packet_size
  const queues = [
    { path: ['sessions', 'queue', 'max_bytes'], bytes: configuration.sessions.queue.max_bytes },
    { path: ['cluster', 'link_queue', 'max_bytes'], bytes: configuration.cluster.link_queue.max_bytes },
  ]
  return queues
    .filter((queue) => queue.bytes < packet)
    .map(({ path, bytes }) => ({
      path,
      what: `${sizeText(bytes)} cannot hold one message of limits.max_packet_size (${sizeText(packet)})`,
    }))
}

function portClashes(configuration: Configuration): readonly Finding[] {
  const taken = [
    ...(configuration.cluster.enabled
      ? [{ path: ['cluster', 'port'], bind: configuration.cluster.bind, port: configuration.cluster.port }]
      : []),
    ...Object.entries(configuration.listeners)
      .filter(([, listener]) => listener.enabled)
      .map(([name, { bind, port }]) => ({ path: ['listeners', name, 'port'], bind, port })),
  ]
  return taken.flatMap((mine, index) => {
    const other = taken.slice(0, index).find((each) => each.port === mine.port && overlap(each.bind, mine.bind))
    if (other === undefined || mine.port === 0) return []
    const what = `found ${mine.port}, which is ${other.path.join('.')} already; right would be a port of its own`
    return [{ path: mine.path, what }]
  })
}

const EVERYWHERE = ['0.0.0.0', '::']
const overlap = (a: string, b: string): boolean => a === b || EVERYWHERE.includes(a) || EVERYWHERE.includes(b)
