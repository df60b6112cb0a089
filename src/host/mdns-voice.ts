// Multicast DNS on one interface: what this node publishes there, asks there and answers there.

import { isIPv4 } from 'node:net'
import type { Bonjour, Browser, Service } from 'bonjour-service'
import type { NetInterface } from '../base/ports/datagrams.ts'
import type { FoundService, ServiceType } from '../base/ports/names.ts'
import { errorWords } from './host-errors.ts'
import { sameSubnet } from './interfaces.ts'
import { type NameReply, type Query, SharedName } from './shared-name.ts'

/** Pauses between questions: often at first, since an answer may be lost; then now and then. */
const ASK_MS = [1000, 3000, 9000, 30_000] as const
/** Instances that one question may bring before it is forgotten and asked anew: anybody can invent names. */
const FOUND_MAX = 256
/** How long a goodbye may take to leave. */
const WITHDRAW_MS = 900

export type BonjourClass = typeof Bonjour

/** What is published or asked on every interface, and how to stop it on one. */
export interface Wish {
  readonly wants: (interfaceName: string) => boolean
  start(voice: Voice): Ended
}

/** Ends a wish on one interface. `goodbye`: say so on the network; `gone` is called when that has left. */
type Ended = (goodbye: boolean, gone: () => void) => void

/** The part of bonjour-service behind its private `server`, which alone tells of errors. */
interface Multicast {
  emit(event: string, ...details: unknown[]): boolean
  off(event: 'query', listener: (query: Query, from: { address: string; port: number }) => void): void
  on(event: 'query', listener: (query: Query, from: { address: string; port: number }) => void): void
  on(event: 'error' | 'warning', listener: (error: Error) => void): void
  on(event: 'ready', listener: () => void): void
  respond(reply: NameReply['packet'], to: NameReply['to'], sent: () => void): void
}

export class Voice {
  readonly on: NetInterface
  readonly #bonjour: Bonjour
  readonly #mdns: Multicast
  readonly #wishes = new Map<Wish, Ended>()
  /** Goodbyes that have not left yet. */
  #leaving = 0
  #socket: 'binding' | 'ready' | 'failed' = 'binding'
  #closed = false

  constructor(bonjour: BonjourClass, on: NetInterface, tell: { failed: (text: string) => void; ready: () => void }) {
    this.on = on
    const options = { interface: on.address, bind: '0.0.0.0' }
    const failed = (error: Error): void => {
      this.#socket = 'failed'
      if (this.#closed) this.#destroy()
      else tell.failed(errorWords(error))
    }
    this.#bonjour = new bonjour(options as never, failed)
    const { mdns } = (this.#bonjour as unknown as { server: { mdns: Multicast } }).server
    this.#mdns = mdns
    hearOnLink(mdns, on)
    mdns.on('error', failed)
    // Without its membership it would speak on whatever interface the default route has. All other warnings are junk
    // from the network.
    mdns.on('warning', (error) => {
      if ('syscall' in error && error.syscall === 'addMembership' && !this.#closed) tell.failed(errorWords(error))
    })
    mdns.on('ready', () => {
      this.#socket = 'ready'
      if (this.#closed) this.#destroy()
      else tell.ready()
    })
  }

  get idle(): boolean {
    return this.#wishes.size === 0 && this.#leaving === 0
  }

  start(wish: Wish): void {
    if (!this.#wishes.has(wish)) this.#wishes.set(wish, wish.start(this))
  }

  stop(wish: Wish, gone: () => void): void {
    const end = this.#wishes.get(wish)
    this.#wishes.delete(wish)
    this.#leaving++
    let told = false
    const once = (): void => {
      if (told) return
      told = true
      clearTimeout(timer)
      this.#leaving--
      gone()
    }
    const timer = setTimeout(once, WITHDRAW_MS)
    if (end === undefined) setImmediate(once)
    else end(this.#socket !== 'failed', once)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const end of this.#wishes.values()) end(this.#socket !== 'failed', () => {})
    this.#wishes.clear()
    if (this.#socket !== 'binding') this.#destroy()
  }

  /**
   * Never while the socket is being bound, and never from within its events: the library would go on to set up a socket
   * that is closed, which throws, and its timer would run for ever.
   */
  #destroy(): void {
    setImmediate(() => this.#bonjour.destroy())
  }

  announce(service: ServiceType): Ended {
    const published = this.#bonjour.publish({
      name: service.instance,
      type: service.name,
      port: service.port,
      host: hostName(service.instance),
      txt: { ...service.text },
      // Instance names are unique by the node id in them. A probe would be answered by this very node, heard through
      // another of its interfaces, and the service be refused.
      probe: false,
      disableIPv6: true,
    })
    let leaving = false
    const all = published.records.bind(published)
    published.records = () => all().filter((record) => this.#ours(record, leaving))
    return (goodbye, gone) => {
      leaving = true
      if (goodbye) published.stop(gone)
      else setImmediate(gone)
    }
  }

  /** Answers for a name that others answer for as well, with the address of this interface. */
  share(name: string): Ended {
    const shared = new SharedName(name, this.on.address, ({ packet, to }, sent = () => {}) =>
      this.#mdns.respond(packet, to, sent),
    )
    const asked = (query: Query, from: { address: string; port: number }): void => shared.asked(query, from)
    this.#mdns.on('query', asked)
    shared.announce()
    return (goodbye, gone) => {
      this.#mdns.off('query', asked)
      shared.stop()
      if (goodbye) shared.goodbye(gone)
      else setImmediate(gone)
    }
  }

  /** Not the addresses of other interfaces; and a goodbye leaves alone what other services of this node share. */
  #ours(record: { type: string; name: string; data: unknown }, leaving: boolean): boolean {
    if (record.type === 'A') return !leaving && record.data === this.on.address
    return !(leaving && record.name.startsWith('_services.'))
  }

  browse(type: string, found: (service: FoundService) => void): Ended {
    let browser: Browser | null = null
    let timer: NodeJS.Timeout
    let round = 0
    const up = (service: Service): void => {
      const told = foundOn(this.on, service)
      if (told !== null) found(told)
      if (browser !== null && browser.services.length >= FOUND_MAX) ask()
    }
    // A browser tells of an instance once and remembers it: a new one for each question hears from all that live.
    const ask = (): void => {
      browser?.stop()
      browser = this.#bonjour.find({ type })
      browser.on('up', up)
      browser.on('srv-update', up)
      browser.on('txt-update', up)
    }
    const again = (): void => {
      ask()
      timer = setTimeout(again, ASK_MS[Math.min(round++, ASK_MS.length - 1)])
    }
    again()
    return (_goodbye, gone) => {
      clearTimeout(timer)
      browser?.stop()
      setImmediate(gone)
    }
  }
}

/**
 * Every socket on the port hears what any interface receives. Lets pass what came by this one (RFC 6762 11: only on-link
 * sources count), or a browser would take a service as known that it heard through another interface, and one question
 * be answered on all of them.
 */
export function hearOnLink(mdns: Pick<Multicast, 'emit'>, on: NetInterface): void {
  const emit = mdns.emit.bind(mdns)
  mdns.emit = (event, ...details) => {
    const from = event === 'query' || event === 'response' ? (details[1] as { address: string }).address : on.address
    return sameSubnet(from, on) && emit(event, ...details)
  }
}

/** A label fit for a host name, from an instance's name that may have spaces and dots. */
export function hostName(instance: string): string {
  const label = instance
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return `${label === '' ? 'edge-mqtt' : label}.local`
}

/** What was heard, if it came by this interface. */
export function foundOn(
  on: NetInterface,
  service: Pick<Service, 'name' | 'port' | 'addresses' | 'referer' | 'txt'>,
): FoundService | null {
  const from = service.referer?.address
  if (from === undefined || !sameSubnet(from, on)) return null
  // An instance may list addresses of networks that are not ours; the one it spoke from is always good.
  const near = (service.addresses ?? []).filter((address) => isIPv4(address) && sameSubnet(address, on))
  const addresses = near.includes(from) ? near : [...near, from]
  const text: Record<string, string> = {}
  for (const [key, value] of Object.entries((service.txt as Record<string, unknown> | undefined) ?? {})) {
    if (typeof value === 'string') text[key] = value
  }
  return { instance: service.name, addresses, port: service.port, text }
}
