// Whole clusters on a LAN in memory, to see trust through rotations, removals and restarts.

import { HostError } from '../../../src/base/errors.ts'
import { Meter } from '../../../src/base/meter.ts'
import { silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { Cluster, type ClusterBox } from '../../../src/cluster/cluster.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import { SharedSettings } from '../../../src/cluster/maps/sharedsettings.ts'
import { type ClusterSettings, defaultClusterSettings } from '../../../src/cluster/settings.ts'
import { ClusterTime } from '../../../src/cluster/time/clustertime.ts'
import type { Papers } from '../../../src/cluster/trust/custody.ts'
import type { TrustLife } from '../../../src/cluster/trust/trustlife.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import { Cable, eth0, FakeDatagrams, FakeNames, FakeTrust, MemoryFiles, SeededRandom, sessionGround } from './fakes.ts'
import { FakeTls, Net } from './net.ts'
import { Shelf } from './shelf.ts'

export const BUNDLE = { certificate: 'ca|cccccccccccccccc|cakey', privateKey: 'key|cakey' }
const TIES = { machineId: '', boardSerial: '', firstMac: '' }

export class Lab {
  readonly clock = new VirtualClock()
  readonly net = new Net(this.clock)
  readonly cable = new Cable(this.clock)

  gateway(last: number, options: GatewayOptions = {}): TrustGateway {
    return new TrustGateway(this, last, options).start()
  }

  /** A member that has a certificate, and not the key of the CA. */
  keyless(last: number): TrustGateway {
    const files = new MemoryFiles(this.clock)
    const id = last.toString(16).padStart(16, 'a')
    files.texts.set('node.json', `{"id":"${id}"}`)
    files.texts.set('node.crt', `node|${id}|k${last}|cakey`)
    files.texts.set('node.key', `key|k${last}`)
    files.texts.set('ca.crt', BUNDLE.certificate)
    return this.gateway(last, { files, bundle: null })
  }

  advance(ms: number): void {
    this.clock.advance(ms)
  }
}

export interface GatewayOptions {
  readonly bundle?: ClusterBox['bundle']
  readonly files?: MemoryFiles
  readonly settings?: Partial<ClusterSettings>
}

let runs = 0

export class TrustGateway {
  readonly lab: Lab
  readonly last: number
  readonly cluster: Cluster
  readonly files: MemoryFiles
  readonly meter = new Meter()
  readonly options: GatewayOptions
  readonly datagrams: FakeDatagrams
  readonly replicated: Replicated
  /** CAs that the listeners were told of. */
  readonly told: Papers[] = []
  /** Where clients were sent. */
  drained = 0

  constructor(lab: Lab, last: number, options: GatewayOptions = {}) {
    const { clock, net, cable } = lab
    this.lab = lab
    this.last = last
    this.options = options
    const random = new SeededRandom(last * 7919 + runs++)
    this.files = options.files ?? new MemoryFiles(clock)
    const settings = {
      ...defaultClusterSettings,
      nodeName: `gw-${last}`,
      version: '0.1.0',
      mdns: { enabled: false },
      ...options.settings,
    }
    const time = new ClusterTime({ clock, synchronised: () => true, log: silentLog, meter: this.meter })
    const stamps = new StampClock(null, () => time.now())
    this.replicated = new Replicated({ clock, random, log: silentLog, meter: this.meter }, stamps, new NoKeeper())
    this.datagrams = new FakeDatagrams(cable, [eth0(last)])
    const world = {
      ...{ clock, random, files: this.files, log: silentLog, meter: this.meter },
      streams: net.at(`10.0.0.${last}`),
      datagrams: this.datagrams,
      names: new FakeNames(),
      trust: new FakeTls(new FakeTrust(clock, random), clock),
      issuer: null,
      stamps,
      time,
      lived: time,
      replicated: this.replicated,
      shared: new SharedSettings(this.replicated),
      safekeeping: new Shelf(clock).keeping,
    }
    this.cluster = new Cluster(
      settings,
      { ...world, ...sessionGround(clock) },
      {
        bundle: options.bundle === undefined ? BUNDLE : options.bundle,
        hardware: TIES,
        devicePorts: () => [],
        joined: (papers) => this.told.push(papers),
        renewed: (papers) => this.told.push(papers),
        drain: () => void this.drained++,
      },
    )
  }

  start(): this {
    this.cluster.start((error) => {
      if (error !== null) throw error
    })
    return this
  }

  /** Stops it, and starts another run with what is on its disk. */
  again(whileOffMs = 0): TrustGateway {
    this.stop()
    // The others are not run through all of that time: it is what their clocks show that counts.
    this.lab.clock.wallOffsetMs += whileOffMs
    return new TrustGateway(this.lab, this.last, { ...this.options, files: this.files }).start()
  }

  stop(): void {
    this.replicated.stop()
    this.cluster.stop(() => {})
    this.lab.advance(1000)
  }

  get trust(): TrustLife {
    return this.cluster.presence!.trust
  }

  get id(): string {
    return this.cluster.self.id
  }

  /** Names of linked members. */
  get linked(): string {
    const rows = this.cluster.status().members
    return rows
      .filter(({ linked }) => linked)
      .map(({ name }) => name)
      .sort()
      .join(' ')
  }

  /** Names of those that have the key of the CA, as this box knows. */
  get holders(): string {
    return this.trust
      .holders(`gw-${this.last}`)
      .map(({ name }) => name)
      .sort()
      .join(' ')
  }

  get generation(): number {
    return this.trust.custody.papers?.generation ?? -1
  }

  get hasKey(): boolean {
    return this.trust.custody.standing().ca !== null
  }

  /** The answer to a command, in its time. */
  async<T>(ask: (trust: TrustLife, done: (result: T | HostError) => void) => void): { result: T; error: string } {
    const answer = { result: null as T, error: '' }
    ask(this.trust, (result) => {
      if (result instanceof HostError) answer.error = result.message
      else answer.result = result
    })
    return answer
  }
}
