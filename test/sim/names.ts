// Simulated multicast DNS: announcements, questions and answers within a subnet, each lost as datagrams are.

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
  readonly machine: Machine
  readonly owner: SimClock
  readonly type: string
  readonly found: (service: FoundService) => void
  open: boolean
}

/** Milliseconds after the first question at which it is put again, and from then on every so often. */
const QUESTIONS_MS = [0, 1000, 3000]
const QUESTION_EVERY_MS = 10_000

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
      browse: (type, wants, found) => this.#browse(machine, clock, type, wants, found),
      problem: () => null,
    }
  }

  /** The process is gone without a goodbye. */
  kill(clock: SimClock): void {
    for (const entry of this.#published) if (entry.owner === clock) this.#published.delete(entry)
    for (const entry of this.#browsing) if (entry.owner === clock) this.#browsing.delete(entry)
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
    const browsing: Browsing = { machine, owner, type, found, open: wants('eth0') }
    this.#browsing.add(browsing)
    const ask = (): void => {
      if (browsing.open) for (const entry of this.#published) this.#ask(browsing, entry)
    }
    for (const delayMs of QUESTIONS_MS) owner.after(delayMs, 'mdns.question', ask)
    const again = (): void => {
      ask()
      if (browsing.open) owner.after(QUESTION_EVERY_MS, 'mdns.question', again)
    }
    owner.after(QUESTION_EVERY_MS, 'mdns.question', again)
    return () => {
      browsing.open = false
      this.#browsing.delete(browsing)
    }
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
