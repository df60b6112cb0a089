// What can be set of the cluster, in the units the code uses. Defaults are those of the configuration file.

import type { Endpoint } from '../base/ports/streams.ts'
import type { CertificateAuthority } from '../base/ports/trust.ts'
import { PROTOCOL, type Versions } from '../wire/link/hello.ts'

/** How boxes share the messages of a group among them. */
export type SharePolicy = 'local' | 'round-robin'

/** What ties this node to its hardware, to notice a copied card. Empty text: not known. */
export interface HardwareTies {
  readonly machineId: string
  readonly boardSerial: string
  readonly firstMac: string
}

/** The CA that lies in the configuration directory (`certs/ca.crt`, `certs/ca.key`); the key may be missing. */
export interface Bundle {
  readonly certificate: string
  readonly privateKey: CertificateAuthority['privateKey'] | null
}

export interface ClusterSettings {
  readonly enabled: boolean
  /** The name shown to people; not an identity. */
  readonly name: string
  readonly nodeName: string
  readonly version: string
  /** Spoken between boxes. */
  readonly protocol: Versions
  readonly bind: string
  readonly port: number
  /** Where others reach this node when it is behind NAT; port 0: the one listened on. */
  readonly advertise: Endpoint | null
  /** Boxes that share it form one cluster by themselves; null: there is none. */
  readonly password: string | null
  /** An address, `a.b.c.d/n`, that one living box holds beside its own; null: there is none. */
  readonly address: string | null
  readonly beacon: { readonly enabled: boolean; readonly port: number; readonly intervalMs: number }
  readonly mdns: { readonly enabled: boolean }
  /** Interfaces to speak on; empty: all but container and tunnel interfaces. */
  readonly interfaces: readonly string[]
  /** Static peers, `host` resolved by the caller's network at each dial. Reload replaces the list. */
  readonly peers: readonly Endpoint[]
  readonly heartbeatMs: number
  readonly deadAfterMs: number
  readonly linkQueue: {
    readonly maxMessages: number
    readonly maxBytes: number
    readonly whenFull: 'drop-oldest' | 'drop-newest'
  }
  /** Whose consumers get the messages of a shared subscription: those of the publisher's box first, or all in turn. */
  readonly sharedSubscriptions: SharePolicy
  /** How long the wills of a dead box's clients are held back, to give them time to connect elsewhere. */
  readonly willAfterMs: number
  /** How many boxes hold each session that outlives its connection: 1 or 2. */
  readonly copies: number
  /** Make a new cluster at first setup without listening first. */
  readonly newCluster: boolean
}

export const defaultClusterSettings: ClusterSettings = {
  enabled: true,
  name: 'default',
  nodeName: 'edge-mqtt',
  version: '0.0.0',
  protocol: PROTOCOL,
  bind: '0.0.0.0',
  port: 4883,
  advertise: null,
  password: null,
  address: null,
  beacon: { enabled: true, port: 4883, intervalMs: 5000 },
  mdns: { enabled: true },
  interfaces: [],
  peers: [],
  heartbeatMs: 1000,
  deadAfterMs: 5000,
  linkQueue: { maxMessages: 100_000, maxBytes: 64 * 1024 * 1024, whenFull: 'drop-oldest' },
  sharedSubscriptions: 'local',
  willAfterMs: 30_000,
  copies: 2,
  newCluster: false,
}
