// Simulated multicast DNS: announcements, questions and answers within a subnet, each lost as datagrams are.

import type { Timer } from '../../src/base/ports/clock.ts'
import type { Announcement, FoundService, Names, ServiceType } from '../../src/base/ports/names.ts'
import type { SimClock } from './clock.ts'
import type { Machine, Network } from './network.ts'

interface Published {
  readonly machine: Machine
  readonly owner: SimClock
  readonly service: ServiceType
  /** Unpublished services are silent: before the probe is over, and after the goodbye. */
  live: boolean
}

interface Browsing {
  /** How often it has asked. */
  round: number
  next: Timer | null
  readonly machine: Machine
  readonly owner: SimClock
  readonly type: string
  readonly found: (service: FoundService) => void
  open: boolean
}

/** Pauses between questions; the last one for ever. */
const ASK_MS = [1000, 3000, 9000, 30_000] as const
/** How often the host looks at its interfaces. */
const POLL_MS = 3000

/** All that is published and looked for on the LAN. */
export class NameService {
  readonly #network: Network
  readonly #published = new Set<Published>()
  readonly #browsing = new Set<Browsing>()

  constructor(network: Network) {
    this.#network = network
  }

  of(machine: Machine, clock: SimClock): Names {
    return {
      announce: (service, wants) => this.#announce(machine, clock, service, wants),
      share: () => ({ withdraw: (done) => void clock.after(1, 'mdns.goodbye', done) }),
      browse: (type, wants, found) => this.#browse(machine, clock, type, wants, found),
      problem: () => null,
    }
  }

  /** The process is gone without a goodbye. */
  kill(clock: SimClock): void {
    for (const entry of this.#published) if (entry.owner === clock) this.#published.delete(entry)
    for (const entry of this.#browsing) if (entry.owner === clock) this.#browsing.delete(entry)
  }

  /** The machine has another address: within a few seconds the host notices, announces and asks anew. */
  moved(machine: Machine): void {
    const noticedMs = this.#network.dice.between(0, POLL_MS)
    for (const entry of this.#published) {
      if (entry.machine !== machine) continue
      entry.owner.after(noticedMs, 'mdns.announce', () => {
        for (const browsing of this.#browsing) this.#tell(entry, browsing)
      })
    }
    for (const browsing of this.#browsing) {
      if (browsing.machine !== machine) continue
      browsing.next?.cancel()
      browsing.round = 0
      browsing.next = browsing.owner.after(noticedMs, 'mdns.question', () => this.#askAll(browsing))
    }
  }

  #announce(
    machine: Machine,
    owner: SimClock,
    service: ServiceType,
    wants: (interfaceName: string) => boolean,
  ): Announcement {
    const entry: Published = { machine, owner, service, live: false }
    let withdrawn = false
    if (wants('eth0')) {
      const probedMs = this.#network.dice.between(300, 900)
      for (const delayMs of [probedMs, probedMs + 1000]) {
        owner.after(delayMs, 'mdns.announce', () => {
          if (withdrawn) return
          if (!entry.live && this.#nameTaken(entry)) return
          entry.live = true
          this.#published.add(entry)
          for (const browsing of this.#browsing) this.#tell(entry, browsing)
        })
      }
    }
    return {
      withdraw: (done) => {
        withdrawn = true
        entry.live = false
        this.#published.delete(entry)
        owner.after(this.#network.dice.between(1, 200), 'mdns.goodbye', done)
      },
    }
  }

  /** A second publisher of a name is refused by its probe, silently. */
  #nameTaken(entry: Published): boolean {
    for (const other of this.#published) {
      if (other.service.instance === entry.service.instance && other.service.name === entry.service.name) return true
    }
    return false
  }

  #browse(
    machine: Machine,
    owner: SimClock,
    type: string,
    wants: (interfaceName: string) => boolean,
    found: (service: FoundService) => void,
  ): () => void {
    const browsing: Browsing = { machine, owner, type, found, open: wants('eth0'), round: 0, next: null }
    this.#browsing.add(browsing)
    browsing.next = owner.after(0, 'mdns.question', () => this.#askAll(browsing))
    return () => {
      browsing.open = false
      browsing.next?.cancel()
      this.#browsing.delete(browsing)
    }
  }

  #askAll(browsing: Browsing): void {
    if (!browsing.open) return
    for (const entry of this.#published) this.#ask(browsing, entry)
    const pauseMs = ASK_MS[Math.min(browsing.round++, ASK_MS.length - 1)]!
    browsing.next = browsing.owner.after(pauseMs, 'mdns.question', () => this.#askAll(browsing))
  }

  #ask(browsing: Browsing, entry: Published): void {
    if (entry.service.name !== browsing.type) return
    this.#cross(browsing.machine, entry.machine, entry.owner, () => this.#tell(entry, browsing))
  }

  #tell(entry: Published, browsing: Browsing): void {
    if (entry.service.name !== browsing.type || !entry.live) return
    const { instance, port, text } = entry.service
    const service: FoundService = { instance, addresses: [entry.machine.address], port, text }
    this.#cross(entry.machine, browsing.machine, browsing.owner, () => {
      if (browsing.open) browsing.found(service)
    })
  }

  /** One multicast datagram from machine to machine. */
  #cross(from: Machine, to: Machine, owner: SimClock, run: () => void): void {
    if (from.subnet !== to.subnet || !to.powered || !from.powered) return
    const path = this.#network.path(from, to)
    const lateMs = path.cut ? -1 : this.#network.latency(path)
    if (lateMs >= 0) this.#network.timeline.after(lateMs, owner, 'mdns.arrival', run)
  }
}
