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
  return [...findings, ...listenerSlips(configuration), ...portClashes(configuration)]
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

function listenerSlips({ listeners }: Configuration): readonly Finding[] {
  return Object.entries(listeners).flatMap(([name, { enabled, type, path, tls }]) => {
    if (!enabled) return []
    const at = (key: string, what: string): Finding => ({ path: ['listeners', name, ...key.split('.')], what })
    const found: Finding[] = []
    if (type === 'unix' && path === null) found.push(at('path', 'a unix socket needs its path'))
    if (type !== 'unix' && type !== 'ws' && type !== 'wss' && path !== null) {
      found.push(at('path', `only ws, wss and unix have a path, and this one is of type ${type}`))
    }
    if ((tls.cert === null) !== (tls.key === null)) {
      found.push(at(tls.cert === null ? 'tls.cert' : 'tls.key', 'a certificate and its key come together'))
    }
    const { cert, ca, crl, client_certificates, username_from } = tls
    const some = cert !== null || ca !== null || crl !== null || client_certificates !== 'none'
    if (some && type !== 'mqtts' && type !== 'wss') {
      found.push(at('type', `found ${type} with tls settings; right would be mqtts or wss`))
    }
    if (client_certificates === 'none' && (ca !== null || crl !== null || username_from !== null)) {
      found.push(
        at('tls.client_certificates', 'found none; right would be optional or required, to judge or name them'),
      )
    }
    return found
  })
}

function portClashes(configuration: Configuration): readonly Finding[] {
  const taken = [
    ...(configuration.cluster.enabled
      ? [{ path: ['cluster', 'port'], bind: configuration.cluster.bind, port: configuration.cluster.port }]
      : []),
    ...Object.entries(configuration.listeners)
      .filter(([, { enabled, type }]) => enabled && type !== 'unix')
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
