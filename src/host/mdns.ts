// Multicast DNS behind the Names port, by bonjour-service: one instance for each interface, since one for all finds
// nothing where there is no default route. A network that is missing, or a port that is taken, never ends the daemon:
// it is a line in `problem`, and tried again.

import type { NetInterface } from '../base/ports/datagrams.ts'
import type { Announcement, FoundService, Names, ServiceType } from '../base/ports/names.ts'
import { errorWords } from './host-errors.ts'
import { ipv4Interfaces } from './interfaces.ts'
import { type BonjourClass, Voice, type Wish } from './mdns-voice.ts'

/** How often the interfaces are looked at. */
const POLL_MS = 1000
/** How long an interface that failed is left alone. */
const RETRY_MS = 30_000

export interface MdnsTimes {
  readonly pollMs: number
  readonly retryMs: number
}

export class MdnsNames implements Names {
  readonly #list: () => readonly NetInterface[]
  readonly #times: MdnsTimes
  readonly #wishes = new Set<Wish>()
  /** By address. */
  readonly #voices = new Map<string, Voice>()
  readonly #failures = new Map<string, { text: string; untilMs: number }>()
  #class: BonjourClass | null = null
  #loading = false
  #loadFailure: string | null = null
  #poll: NodeJS.Timeout | null = null

  constructor(
    list: () => readonly NetInterface[] = ipv4Interfaces,
    times: MdnsTimes = { pollMs: POLL_MS, retryMs: RETRY_MS },
  ) {
    this.#list = list
    this.#times = times
  }

  announce(service: ServiceType, wants: (interfaceName: string) => boolean): Announcement {
    const wish: Wish = { wants, start: (voice) => voice.announce(service) }
    this.#add(wish)
    return { withdraw: (done) => this.#remove(wish, done) }
  }

  browse(type: string, wants: (interfaceName: string) => boolean, found: (service: FoundService) => void): () => void {
    const wish: Wish = { wants, start: (voice) => voice.browse(type, found) }
    this.#add(wish)
    return () => this.#remove(wish, () => {})
  }

  share(name: string, wants: (interfaceName: string) => boolean): Announcement {
    const wish: Wish = { wants, start: (voice) => voice.share(name) }
    this.#add(wish)
    return { withdraw: (done) => this.#remove(wish, done) }
  }

  problem(): string | null {
    if (this.#wishes.size === 0) return null
    if (this.#loadFailure !== null) return this.#loadFailure
    const failed = [...this.#failures].map(([address, { text }]) => `mDNS on ${address}: ${text}`)
    if (failed.length > 0) return failed.join('; ')
    return this.#class !== null && this.#voices.size === 0 ? 'mDNS: no network interface to speak on' : null
  }

  #add(wish: Wish): void {
    this.#wishes.add(wish)
    if (this.#poll === null) {
      this.#poll = setInterval(() => this.#look(), this.#times.pollMs)
    }
    if (this.#class === null) this.#load()
    else this.#look()
  }

  #remove(wish: Wish, done: () => void): void {
    this.#wishes.delete(wish)
    if (this.#wishes.size === 0 && this.#poll !== null) {
      clearInterval(this.#poll)
      this.#poll = null
    }
    const speaking = [...this.#voices.values()]
    let left = speaking.length
    if (left === 0) return void setImmediate(done)
    for (const voice of speaking) {
      voice.stop(wish, () => {
        if (--left > 0) return
        this.#drop()
        done()
      })
    }
  }

  /** Loaded with the first wish: a box that has mDNS switched off never pays for it. */
  #load(): void {
    if (this.#loading) return
    this.#loading = true
    import('bonjour-service').then(
      ({ Bonjour }) => {
        this.#class = Bonjour
        this.#look()
      },
      (error: unknown) => {
        this.#loadFailure = `mDNS: ${errorWords(error)}`
      },
    )
  }

  /** Makes what exists follow what is wished and which interfaces there are. */
  #look(): void {
    if (this.#class === null || this.#wishes.size === 0) return
    const now = new Map(this.#list().map((on) => [on.address, on]))
    for (const [address, voice] of this.#voices) {
      const on = now.get(address)
      if (on !== undefined && on.name === voice.on.name) continue
      voice.close()
      this.#voices.delete(address)
    }
    for (const address of this.#failures.keys()) {
      if (!now.has(address)) this.#failures.delete(address)
    }
    for (const on of now.values()) {
      for (const wish of this.#wishes) {
        if (wish.wants(on.name)) this.#voiceOn(on, this.#class)?.start(wish)
      }
    }
  }

  #voiceOn(on: NetInterface, bonjour: BonjourClass): Voice | null {
    const voice = this.#voices.get(on.address)
    if (voice !== undefined) return voice
    const failure = this.#failures.get(on.address)
    if (failure !== undefined && failure.untilMs > performance.now()) return null
    const made = new Voice(bonjour, on, {
      failed: (text) => {
        this.#failures.set(on.address, { text, untilMs: performance.now() + this.#times.retryMs })
        if (this.#voices.get(on.address) !== made) return
        this.#voices.delete(on.address)
        made.close()
      },
      ready: () => this.#failures.delete(on.address),
    })
    this.#voices.set(on.address, made)
    return made
  }

  /** Closes what nobody wishes any more. */
  #drop(): void {
    for (const [address, voice] of this.#voices) {
      if (voice.idle) {
        voice.close()
        this.#voices.delete(address)
      }
    }
  }
}
