// UDP behind the Datagrams port. One socket receives for all interfaces; each address sends through a socket bound to it,
// since a broadcast leaves only by the interface of the address its socket is bound to (without that, 255.255.255.255
// takes the default route, or fails where there is none).

import { createSocket, type Socket } from 'node:dgram'
import { HostError } from '../base/errors.ts'
import type { DatagramPort, Datagrams, NetInterface } from '../base/ports/datagrams.ts'
import { type Endpoint, endpointText } from '../base/ports/streams.ts'
import { hostError } from './host-errors.ts'
import { ipv4Interfaces } from './interfaces.ts'

/** Datagrams that wait for a sending socket to be bound; more at once are lost, as datagrams may be. */
const WAITING_MAX = 16

type Failed = (where: NetInterface | null, error: HostError) => void

/** Sends from one address of this machine. */
class Sender {
  readonly #socket: Socket
  #waiting: { to: Endpoint; bytes: Buffer }[] | null = []
  #from: NetInterface
  readonly #failed: Failed
  /** Set once the socket is of no use any more; the owner then makes another. */
  broken = false

  constructor(from: NetInterface, failed: Failed) {
    this.#from = from
    this.#failed = failed
    this.#socket = createSocket('udp4')
    this.#socket.on('error', (error) => {
      this.close()
      failed(from, hostError(`sending from ${from.address}`, error))
    })
    this.#socket.bind({ address: from.address, port: 0, exclusive: true }, () => this.#bound())
  }

  send(from: NetInterface, to: Endpoint, bytes: Buffer): void {
    this.#from = from
    if (this.#waiting === null) return this.#send(to, bytes)
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ to, bytes: Buffer.from(bytes) })
  }

  close(): void {
    if (this.broken) return
    this.broken = true
    this.#socket.close()
  }

  #bound(): void {
    if (this.broken) return
    const waiting = this.#waiting ?? []
    this.#waiting = null
    this.#socket.setBroadcast(true)
    for (const { to, bytes } of waiting) this.#send(to, bytes)
  }

  #send(to: Endpoint, bytes: Buffer): void {
    if (this.broken) return
    const from = this.#from
    try {
      // Node sends at once when it can, but may keep the bytes when the socket's buffer is full: hence the copy.
      this.#socket.send(Buffer.from(bytes), to.port, to.address, (error) => {
        if (error !== null && !this.broken)
          this.#failed(from, hostError(`${from.address} to ${endpointText(to)}`, error))
      })
    } catch (error) {
      this.#failed(from, hostError(`${from.address} to ${endpointText(to)}`, error))
    }
  }
}

class UdpPort implements DatagramPort {
  readonly #listener: Socket
  readonly #failed: Failed
  readonly #senders = new Map<string, Sender>()
  #closed = false

  constructor(listener: Socket, failed: Failed) {
    this.#listener = listener
    this.#failed = failed
  }

  send(from: NetInterface, to: Endpoint, bytes: Buffer): void {
    if (this.#closed) return
    let sender = this.#senders.get(from.address)
    if (sender === undefined || sender.broken) {
      sender = new Sender(from, (where, error) => this.#report(where, error))
      this.#senders.set(from.address, sender)
    }
    sender.send(from, to, bytes)
  }

  /** Closes the sockets of addresses that this machine does not have any more. */
  keep(addresses: ReadonlySet<string>): void {
    for (const [address, sender] of this.#senders) {
      if (addresses.has(address)) continue
      sender.close()
      this.#senders.delete(address)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#listener.close()
    for (const sender of this.#senders.values()) sender.close()
    this.#senders.clear()
  }

  #report(where: NetInterface | null, error: HostError): void {
    if (!this.#closed) this.#failed(where, error)
  }
}

export class UdpDatagrams implements Datagrams {
  readonly #ports = new Set<UdpPort>()
  readonly #list: () => NetInterface[]

  constructor(list: () => NetInterface[] = ipv4Interfaces) {
    this.#list = list
  }

  interfaces(): readonly NetInterface[] {
    const now = this.#list()
    const addresses = new Set(now.map(({ address }) => address))
    for (const port of this.#ports) port.keep(addresses)
    return now
  }

  bind(
    port: number,
    received: (bytes: Buffer, from: Endpoint) => void,
    failed: Failed,
    done: (result: DatagramPort | HostError) => void,
  ): void {
    // The kernel would take the lower 16 bits.
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      setImmediate(() => done(new HostError('invalid', `UDP port ${port}: not a port`)))
      return
    }
    // Broadcasts reach only a socket bound to 0.0.0.0; with reuse they reach each of several on one host.
    const listener = createSocket({ type: 'udp4', reuseAddr: true })
    let bound: UdpPort | null = null
    let told = false
    listener.on('error', (error) => {
      const failure = hostError(`UDP port ${port}`, error)
      if (bound !== null) return failed(null, failure)
      listener.close()
      if (told) return
      told = true
      done(failure)
    })
    listener.on('message', (bytes, from) => {
      if (bound !== null) received(bytes, { address: from.address, port: from.port })
    })
    listener.bind({ address: '0.0.0.0', port }, () => {
      told = true
      const opened = new UdpPort(listener, failed)
      bound = opened
      this.#ports.add(opened)
      listener.on('close', () => this.#ports.delete(opened))
      done(opened)
    })
  }
}
