// A box that has nothing but links and channels, for tests of those.

import type { ClusterId, InstanceId, NodeId } from '../../../src/base/ids.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import type { Endpoint } from '../../../src/base/ports/streams.ts'
import type { Credentials } from '../../../src/base/ports/trust.ts'
import { LinkChannels } from '../../../src/cluster/links/channels.ts'
import type { DialOutcome } from '../../../src/cluster/links/dialling.ts'
import type { Link, LinkEnd } from '../../../src/cluster/links/link.ts'
import { Links } from '../../../src/cluster/links/links.ts'
import { Refusals } from '../../../src/cluster/links/refusals.ts'
import { KnownKeys } from '../../../src/cluster/trust/keys.ts'
import { PROTOCOL, type Versions } from '../../../src/wire/link/hello.ts'
import type { VirtualClock } from '../../virtual-clock.ts'
import { at, cluster, FakeTrust, instance, MemoryFiles, node, SeededRandom } from './fakes.ts'
import { FakeTls, type Net } from './net.ts'

export interface BoxOptions {
  /** A digit: the node id is sixteen of it. */
  readonly id: string
  readonly address?: string
  readonly instance?: InstanceId
  readonly cluster?: ClusterId
  /** The node id and key of the certificate, and the key of its CA. */
  readonly certificate?: { readonly node?: NodeId; readonly key?: string; readonly ca?: string }
  /** A box that waits to be let in. */
  readonly waiting?: boolean
  /** Of the protocol, that it speaks. */
  readonly versions?: Versions
  readonly files?: MemoryFiles
}

export class LinkBox {
  readonly id: NodeId
  readonly endpoint: Endpoint
  readonly instance: InstanceId
  readonly links: Links
  readonly channels: LinkChannels
  readonly refusals: Refusals
  readonly meter = new Meter()
  readonly events: string[] = []
  readonly files: MemoryFiles
  /** Ids and keys of boxes that were removed, as this one knows. */
  readonly removed = new Set<string>()
  heartbeatMs = 1000

  constructor(net: Net, options: BoxOptions) {
    const { clock } = net
    const { id } = options
    this.id = node(id)
    this.endpoint = at(options.address ?? `10.0.0.${Number.parseInt(id, 16)}`)
    this.instance = options.instance ?? instance(id)
    this.files = options.files ?? new MemoryFiles(clock)
    const random = new SeededRandom(id.charCodeAt(0))
    const trust = new FakeTls(new FakeTrust(clock, random), clock)
    const { certificate = {}, waiting = false } = options
    const credentials: Credentials = {
      certificate: `node|${certificate.node ?? this.id}|${certificate.key ?? `k${id}`}|${certificate.ca ?? 'ca'}`,
      privateKey: `key|k${id}`,
      anchors: [`ca|${cluster('c')}|${certificate.ca ?? 'ca'}`],
    }
    const streams = net.at(this.endpoint.address)
    const world = { clock, random, trust, streams, log: silentLog, meter: this.meter }
    this.refusals = new Refusals(world)
    this.channels = new LinkChannels(clock)
    const greeter = {
      id: this.id,
      instance: this.instance,
      versions: options.versions ?? PROTOCOL,
      cluster: waiting ? null : (options.cluster ?? cluster('c')),
      credentials: waiting ? null : credentials,
    }
    const keys = new KnownKeys(this.files, silentLog)
    this.links = new Links(
      world,
      {
        greeter: () => greeter,
        about: () => ({ clusterPort: this.endpoint.port, endpoints: [this.endpoint], name: `box-${id}`, version: '1' }),
        heartbeatMs: () => this.heartbeatMs,
        agrees: (id, key) => keys.agrees(id, key),
        removed: (id, key) => this.removed.has(id) || this.removed.has(key),
      },
      this.refusals,
      {
        up: (link, stream) => {
          this.events.push(`up ${link.peer[0]}`)
          return this.channels.attach(link, stream)
        },
        down: (link: Link, why: LinkEnd) => {
          this.events.push(`down ${link.peer[0]} ${why.reason}`)
          if (link.lanes !== null) this.channels.detach(link.lanes)
        },
        enrolling: (stream, hellos, leave) => {
          this.events.push(`enrol ${hellos.theirs.node[0]}`)
          leave()
          stream.destroy()
        },
        sameIdentity: (other) => this.events.push(`same identity ${other[0]}`),
        weAreRemoved: (by) => this.events.push(`removed by ${by[0]}`),
      },
    )
    streams.listen(
      this.endpoint,
      (stream) => this.links.accept(stream),
      () => {},
    )
  }

  dial(other: LinkBox | Endpoint): DialOutcome[] {
    const outcomes: DialOutcome[] = []
    const to = 'endpoint' in other ? other.endpoint : other
    this.links.dial(to, null, (outcome) => outcomes.push(outcome))
    return outcomes
  }

  /** Peers of links that are up. */
  get linked(): string[] {
    return [...this.links.used()].map((link) => link.peer[0]!).sort()
  }

  refused(): string[] {
    return this.refusals.rows().map(({ address, reason }) => `${address} ${reason}`)
  }
}

/** Sees to it that nothing is left behind: streams that are open, but for two ends of each link that is up. */
export const openStreams = (net: Net): number => net.streams.filter((stream) => !stream.isClosed).length

export type { VirtualClock }
