// A box that has a whole cluster side and no broker, on a cable with others, for tests of how boxes come together.

import type { HostError } from '../../../src/base/errors.ts'
import { Meter } from '../../../src/base/meter.ts'
import { type Log, type LogFields, silentLog } from '../../../src/base/ports/log.ts'
import { StampClock } from '../../../src/base/stamps.ts'
import { NoKeeper } from '../../../src/broker/ports.ts'
import { Cluster, type ClusterBox as Owner } from '../../../src/cluster/cluster.ts'
import type { InviteWish, MadeInvite } from '../../../src/cluster/enrolment/invites.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import { SharedSettings } from '../../../src/cluster/maps/sharedsettings.ts'
import { type ClusterSettings, defaultClusterSettings } from '../../../src/cluster/settings.ts'
import type { JoinOutcome, JoinRequest, WaitingStatus } from '../../../src/cluster/status.ts'
import { ClusterTime } from '../../../src/cluster/time/clustertime.ts'
import type { VirtualClock } from '../../virtual-clock.ts'
import { Cable, eth0, FakeDatagrams, FakeNames, FakeTrust, MemoryFiles, SeededRandom, sessionGround } from './fakes.ts'
import { FakeTls, Net } from './net.ts'
import { Shelf } from './shelf.ts'

export interface BoxOptions {
  readonly settings?: Partial<ClusterSettings>
  readonly bundle?: Owner['bundle']
  readonly files?: MemoryFiles
}

/** One LAN. */
export class Lan {
  readonly clock: VirtualClock
  readonly net: Net
  readonly cable: Cable

  constructor(clock: VirtualClock) {
    this.clock = clock
    this.net = new Net(clock)
    this.cable = new Cable(clock)
  }
}

export class ClusterBox {
  readonly lan: Lan
  readonly cluster: Cluster
  readonly files: MemoryFiles
  readonly address: string
  readonly meter = new Meter()
  readonly lines: string[] = []
  readonly replicated: Replicated
  readonly shared: SharedSettings
  started: HostError | null | undefined

  constructor(lan: Lan, last: number, options: BoxOptions = {}) {
    this.lan = lan
    const { clock } = lan
    this.address = `10.0.0.${last}`
    const random = new SeededRandom(last * 7919)
    this.files = options.files ?? new MemoryFiles(clock)
    const settings = { ...defaultClusterSettings, nodeName: `gw-${last}`, version: '0.1.0', ...options.settings }
    const time = new ClusterTime({ clock, synchronised: () => false, log: silentLog, meter: this.meter })
    const stamps = new StampClock(null, () => time.now())
    const log = this.#log()
    const features = { clock, random, log, meter: this.meter, time }
    this.replicated = new Replicated(features, stamps, new NoKeeper())
    time.onStep((step) => this.replicated.timeMoved(step))
    this.shared = new SharedSettings(this.replicated)
    const world = {
      ...features,
      ...{ streams: lan.net.at(this.address), datagrams: new FakeDatagrams(lan.cable, [eth0(last)]) },
      ...{ names: new FakeNames(), trust: new FakeTls(new FakeTrust(clock, random), clock), issuer: null },
      ...{ files: this.files, stamps, lived: time, replicated: this.replicated, shared: this.shared },
      safekeeping: new Shelf(clock).keeping,
    }
    this.cluster = new Cluster(
      settings,
      { ...world, ...sessionGround(clock) },
      {
        bundle: options.bundle ?? null,
        hardware: { machineId: '', boardSerial: '', firstMac: '' },
        devicePorts: () => [],
      },
    )
    this.cluster.start((error) => {
      this.started = error
    })
  }

  get status() {
    return this.cluster.status()
  }

  get id(): string {
    return this.cluster.self.id
  }

  /** Names of living members that it is linked with. */
  get linked(): string[] {
    return this.status.members.filter(({ linked }) => linked).map(({ name }) => name)
  }

  invite(wish: Partial<InviteWish> = {}): MadeInvite {
    const made = this.cluster.operator.invite({ ttlMs: 3_600_000, uses: 1, issuer: false, ...wish })
    if (made instanceof Error) throw made
    return made
  }

  join(request: Partial<JoinRequest>): JoinOutcome[] {
    const found: JoinOutcome[] = []
    this.cluster.operator.join({ to: null, code: null, replaces: null, ...request }, (outcome) => found.push(outcome))
    return found
  }

  approve(wanted: string): (WaitingStatus | HostError)[] {
    const found: (WaitingStatus | HostError)[] = []
    this.cluster.operator.approve(wanted, (result) => found.push(result))
    return found
  }

  stop(): void {
    this.replicated.stop()
    this.cluster.stop(() => {})
    this.lan.clock.advance(3000)
  }

  #log(): Log {
    const keep = (fields: LogFields, message: string) => {
      this.lines.push(`${message} ${JSON.stringify(fields)}`)
    }
    const log: Log = { ...silentLog, info: keep, warn: keep, error: keep, child: () => log }
    return log
  }
}
