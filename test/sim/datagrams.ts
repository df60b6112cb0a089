// Simulated UDP: lost, doubled and overtaken on the way; broadcasts stay in their subnet and reach every socket bound
// to the port, the sender's own too; a unicast reaches the socket bound last.

import { HostError } from '../../src/base/errors.ts'
import type { DatagramPort, Datagrams, NetInterface } from '../../src/base/ports/datagrams.ts'
import type { Endpoint } from '../../src/base/ports/streams.ts'
import type { SimClock } from './clock.ts'
import type { Machine, Network } from './network.ts'

/** A bound socket. */
export interface Datagram {
  readonly owner: SimClock
  readonly received: (bytes: Buffer, from: Endpoint) => void
}

export class SimDatagrams implements Datagrams {
  readonly #network: Network
  readonly #machine: Machine
  readonly #clock: SimClock
  readonly #bound: { port: number; socket: Datagram }[] = []

  constructor(network: Network, machine: Machine, clock: SimClock) {
    this.#network = network
    this.#machine = machine
    this.#clock = clock
  }

  interfaces(): readonly NetInterface[] {
    return this.#machine.interfaces()
  }

  bind(
    port: number,
    received: (bytes: Buffer, from: Endpoint) => void,
    failed: (where: NetInterface | null, error: HostError) => void,
    done: (result: DatagramPort | HostError) => void,
  ): void {
    const socket: Datagram = { owner: this.#clock, received }
    const { datagrams } = this.#machine
    let open = true
    this.#clock.after(0.1, 'udp.bind', () => {
      const sharing = datagrams.get(port) ?? []
      datagrams.set(port, sharing)
      sharing.push(socket)
      this.#bound.push({ port, socket })
      const sendingPort = this.#machine.ephemeralPort()
      done({
        send: (from, to, bytes) => {
          if (open) this.#send(from, sendingPort, to, Buffer.from(bytes), failed)
        },
        close: () => {
          open = false
          this.#unbind(port, socket)
        },
      })
    })
  }

  /** The process is gone. */
  kill(): void {
    for (const { port, socket } of [...this.#bound]) this.#unbind(port, socket)
  }

  #unbind(port: number, socket: Datagram): void {
    const sharing = this.#machine.datagrams.get(port)
    const at = sharing?.indexOf(socket) ?? -1
    if (at >= 0) sharing!.splice(at, 1)
  }

  #send(
    from: NetInterface,
    sendingPort: number,
    to: Endpoint,
    bytes: Buffer,
    failed: (where: NetInterface | null, error: HostError) => void,
  ): void {
    if (!this.#machine.interfaces().some((own) => own.address === from.address)) {
      this.#clock.soon(() => failed(from, new HostError('unavailable', `${from.address} is gone`)))
      return
    }
    const source: Endpoint = { address: from.address, port: sendingPort }
    if (to.address !== '255.255.255.255' && to.address !== from.broadcast) {
      const target = this.#network.resolve(this.#machine, to.address)
      if (target !== null) this.#carry(target, to.port, bytes, source, true)
      return
    }
    if (from.loopback) return this.#carry(this.#machine, to.port, bytes, source, false)
    for (const machine of this.#network.machines) {
      if (machine.subnet === this.#machine.subnet) this.#carry(machine, to.port, bytes, source, false)
    }
  }

  #carry(target: Machine, port: number, bytes: Buffer, from: Endpoint, unicast: boolean): void {
    const network = this.#network
    const path = network.path(this.#machine, target)
    if (path.cut || !target.powered) return
    const copies = path.quality.duplicate > 0 && network.dice.chance(path.quality.duplicate) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const lateMs = network.latency(path)
      if (lateMs < 0) continue
      const sockets = target.datagrams.get(port) ?? []
      for (const socket of unicast ? sockets.slice(-1) : sockets) {
        network.timeline.after(lateMs, socket.owner, 'udp.arrival', () => {
          if (target.powered && target.datagrams.get(port)?.includes(socket) === true) socket.received(bytes, from)
        })
      }
    }
  }
}
