// What the commands need of the real world, loaded when first asked for: main.ts brings it, tests bring their own.

import type { Trust } from '../base/ports/trust.ts'
import type { HardwareTies } from '../cluster/settings.ts'
import type { Node, NodeSettings, Ports } from '../compose.ts'

/** The ports that the host serves; the others are made here. */
export type HostPorts = Omit<Ports, 'log' | 'authenticator' | 'firstAccounts'>

export interface World {
  /** `runDir`: where the unit that holds the floating address finds the daemon; without it there is none. */
  ports(stateDir: string, runDir?: string): Promise<HostPorts>
  /** X.509 alone, to judge files before anything is started. */
  trust(): Promise<Trust>
  hardware(): Promise<HardwareTies>
  compose(): Promise<(settings: NodeSettings, ports: Ports) => Node>
}
