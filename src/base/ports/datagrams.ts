// UDP as the core sees it: one receiving port for all interfaces, one sending side per interface (a broadcast leaves by
// one interface only when its socket is bound to an address of that interface).

import type { HostError } from '../errors.ts'
import type { Endpoint } from './streams.ts'

/** An IPv4 address of this machine. An interface with two addresses is listed twice. */
export interface NetInterface {
  readonly name: string
  readonly address: string
  readonly netmask: string
  /** The subnet's broadcast address, for example 192.168.1.255. */
  readonly broadcast: string
  readonly loopback: boolean
}

export interface DatagramPort {
  /** Sends `bytes` from `from`'s address. Errors are the world's: they reach `failed` of `bind`, never throw. */
  send(from: NetInterface, to: Endpoint, bytes: Buffer): void
  close(): void
}

export interface Datagrams {
  /** The IPv4 interfaces that are up now. Asked again on every tick: they come and go. */
  interfaces(): readonly NetInterface[]
  /**
   * Binds `port` on all addresses, shared with other processes of this machine (reuse), so that several nodes on one
   * host all hear broadcasts. `received` gets bytes valid during the call only; `failed` gets errors of later sends.
   */
  bind(
    port: number,
    received: (bytes: Buffer, from: Endpoint) => void,
    failed: (where: NetInterface | null, error: HostError) => void,
    done: (result: DatagramPort | HostError) => void,
  ): void
}
