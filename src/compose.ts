// Builds one node from settings and ports, without I/O of its own: main.ts gives it the real world, the simulator its
// own (DESIGN 5).

import type { HostError } from './base/errors.ts'
import type { Clock } from './base/ports/clock.ts'
import type { Datagrams } from './base/ports/datagrams.ts'
import type { StateFiles } from './base/ports/files.ts'
import type { Log } from './base/ports/log.ts'
import type { Names } from './base/ports/names.ts'
import type { Random } from './base/ports/random.ts'
import type { Endpoint, Streams } from './base/ports/streams.ts'
import type { Trust } from './base/ports/trust.ts'
import type { Authenticator } from './broker/ports.ts'
import type { BrokerSettings } from './broker/settings.ts'
import type { Bundle, ClusterSettings, HardwareTies } from './cluster/settings.ts'
import type { ClusterStatus } from './cluster/status.ts'

export type { Bundle, HardwareTies } from './cluster/settings.ts'

/** The outside world of one node. */
export interface Ports {
  readonly clock: Clock
  readonly random: Random
  readonly streams: Streams
  readonly datagrams: Datagrams
  readonly names: Names
  readonly trust: Trust
  readonly files: StateFiles
  readonly log: Log
  readonly authenticator: Authenticator
}

export interface ListenerSettings {
  readonly name: string
  readonly type: 'mqtt'
  readonly bind: string
  readonly port: number
}

export interface NodeSettings {
  readonly broker: BrokerSettings
  readonly cluster: ClusterSettings
  readonly listeners: readonly ListenerSettings[]
  readonly bundle: Bundle | null
  readonly hardware: HardwareTies
}

/** A running node, as lifecycle, command line and simulator see it. */
export interface Node {
  /** Opens the listeners and the cluster. `done` gets null when ready, or what an MQTT or cluster port said (exit 69). */
  start(done: (error: HostError | null) => void): void
  /** Clean stop: MQTT 5 clients get 0x8B, announcements are withdrawn first; `done` is called within 2 s. */
  stop(done: () => void): void
  status(): NodeStatus
  /** Adds a candidate by hand (`cluster join ADDR`); `done` gets what became of the first attempt, in words. */
  join(to: Endpoint, done: (outcome: string) => void): void
  /** Applies settings that can change live; returns the keys (`cluster.port`) that need a restart. */
  configure(settings: NodeSettings): readonly string[]
}

export interface ListenerStatus {
  readonly name: string
  readonly type: string
  readonly bind: string
  readonly port: number
  readonly connections: number
}

/** The shape of `edge-mqtt status --json` (stable; fields are only added). */
export interface NodeStatus {
  readonly node: {
    readonly id: string
    readonly name: string
    readonly version: string
    readonly state: 'starting' | 'ready' | 'draining'
    readonly uptimeMs: number
  }
  readonly listeners: readonly ListenerStatus[]
  readonly cluster: ClusterStatus
  readonly clients: number
  readonly sessions: number
  readonly subscriptions: number
  readonly retained: number
  readonly routes: number
  readonly rates: { readonly inPerSecond: number; readonly outPerSecond: number }
  readonly dropped: number
  readonly problems: readonly string[]
  /** Every counter by name: drops, refusals, junk, close reasons. */
  readonly counters: Readonly<Record<string, number>>
}
