// Certificates of the cluster's CA that are not nodes': the one that this box's listeners show, which is kept up to date,
// and those for devices, which are made on demand.
//
//   listener.json   the certificate shown, its key, whom it names, until when, and the CA it came from

import { HostError } from '../../base/errors.ts'
import { type Clock, every, type Timer } from '../../base/ports/clock.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { ServiceSubject, Trust } from '../../base/ports/trust.ts'
import type { Issued } from './issuing.ts'

export const LISTENER_FILE = 'listener.json'

/** A certificate with what a client needs to judge it. */
export interface IssuedCertificate {
  readonly certificate: string
  readonly privateKey: string
  readonly authority: string
}

export interface CertificatesWorld {
  readonly clock: Clock
  /** The cluster's: a box whose own clock is wrong is to show what others find valid. */
  readonly time: { now(): number }
  readonly files: StateFiles
  readonly trust: Pick<Trust, 'makeKeys' | 'read'>
  /** Has a certificate signed by the CA, here or by a member that has its key; null: nothing is signed here. */
  readonly sign:
    | ((subject: ServiceSubject, publicKey: string, done: (result: Issued | HostError) => void) => void)
    | null
  readonly log: Log
}

/** The CA in use, and those before it that clients may still know. */
export interface Roots {
  readonly authority: string
  /** Of the CA in use, signed by the one before, and so on: shown to clients that trust an earlier one. */
  readonly chain: readonly string[]
  readonly earlier: readonly string[]
}

/** What the listeners are reached by now. */
export interface Reached {
  readonly commonName: string
  readonly names: readonly string[]
  readonly addresses: readonly string[]
}

interface Kept extends IssuedCertificate {
  readonly reached: Reached
  readonly fromMs: number
  readonly toMs: number
}

const DAY_MS = 86_400_000
/** 825 days at most (CLUSTER 2), a day less for whoever counts both ends. */
const LIFE_MS = 824 * DAY_MS
/** How far the clocks of devices may be behind ours. */
const BACKDATED_MS = 30 * DAY_MS
/** How often names, addresses and time are looked at. */
const LOOK_MS = 60_000
/** After a failure: the member with the CA's key is linked a moment after the start. */
const AGAIN_MS = 5000
const WITHOUT = 'this node makes no certificates: give it tls.cert and tls.key, or enabled: false'
/** 2026-11-01: a clock that shows less is wrong, and what it would date would have ended long ago for everybody else. */
export const RELEASED_MS = 1_793_491_200_000

export const isDeviceName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/.test(name)

/** `anchors`: what the certificates of clients may end in; `why` there is no certificate to show. */
type Shown = (certificate: IssuedCertificate | null, anchors: readonly string[], why: string | null) => void

export class Certificates {
  readonly #world: CertificatesWorld
  readonly #reached: () => Reached
  readonly #shown: Shown
  #roots: Roots | null = null
  #kept: Kept | null = null
  #working = false
  #looking: Timer | null = null
  #again: Timer | null = null
  /** What kept us from a certificate last, so that the log tells it once. */
  #failure: string | null = null

  /** `shown` is called with each certificate that the listeners are to show from then on. */
  constructor(world: CertificatesWorld, reached: () => Reached, shown: Shown) {
    this.#world = world
    this.#reached = reached
    this.#shown = shown
  }

  /** This node has become a member, or the CA has been replaced. */
  begin(roots: Roots): void {
    this.#roots = roots
    if (this.#world.sign === null) return this.#show(null, WITHOUT)
    this.#kept ??= this.#read()
    const { authority, earlier } = roots
    // One of an earlier CA is better than none until there is a new one.
    if (this.#kept !== null && [authority, ...earlier].includes(this.#kept.authority)) this.#show(this.#kept, null)
    this.#look()
    this.#looking ??= every(this.#world.clock, LOOK_MS, 'certificates.look', () => this.#look())
  }

  stop(): void {
    this.#looking?.cancel()
    this.#looking = null
    this.#again?.cancel()
    this.#roots = null
  }

  /** The CA's certificate and its fingerprint; null: not a member yet. */
  authority(): { readonly certificate: string; readonly fingerprint: string } | null {
    if (this.#roots === null) return null
    const certificate = this.#roots.authority
    const facts = this.#world.trust.read(certificate)
    const fingerprint = !(facts instanceof HostError) && facts.kind === 'ca' ? facts.fingerprint : ''
    return { certificate, fingerprint }
  }

  /** A certificate by which a device proves its name. It has no end: a revocation list ends it. */
  issue(name: string, done: (result: IssuedCertificate | HostError) => void): void {
    if (!isDeviceName(name)) {
      return done(
        new HostError('invalid', `not a name for a device: ${JSON.stringify(name)}; letters, digits and . _ @ - are`),
      )
    }
    if (this.#roots === null) {
      return done(new HostError('unavailable', 'this box is not a member of a cluster yet'))
    }
    this.#issue({ commonName: name, names: [], addresses: [], fromMs: null, toMs: null }, done)
  }

  #look(): void {
    const roots = this.#roots
    if (roots === null || this.#working) return
    const reached = this.#reached()
    const nowMs = Math.max(this.#world.time.now(), RELEASED_MS)
    const why = this.#renewal(roots, reached, nowMs)
    if (why === null) return
    this.#working = true
    const fromMs = nowMs - BACKDATED_MS
    const toMs = fromMs + LIFE_MS
    this.#issue({ ...reached, fromMs, toMs }, (result) => {
      this.#working = false
      if (this.#roots === null) return
      if (result instanceof HostError) return this.#failed(result.message)
      this.#failure = null
      const kept: Kept = { ...result, reached, fromMs, toMs }
      this.#kept = kept
      this.#world.files.write(LISTENER_FILE, Buffer.from(JSON.stringify(kept)), true, (error) => {
        if (error !== null) this.#world.log.warn({ why: error.message }, 'the certificate of the listeners is not kept')
      })
      const { names, addresses } = reached
      this.#world.log.info({ why, names, addresses, days: LIFE_MS / DAY_MS }, 'new certificate for the listeners')
      this.#show(kept, null)
      // The CA may have been replaced meanwhile.
      this.#look()
    })
  }

  /** Whoever has the key may be linked in a moment; until then the listeners go on with what they have. */
  #failed(why: string): void {
    if (this.#failure !== why) this.#world.log.warn({ why }, 'no new certificate for the listeners yet')
    this.#failure = why
    if (this.#kept === null) this.#show(null, `no certificate yet: ${why}`)
    this.#again?.cancel()
    this.#again = this.#world.clock.after(AGAIN_MS, 'certificates.again', () => this.#look())
  }

  #show(kept: Kept | null, why: string | null): void {
    const { authority, chain, earlier } = this.#roots!
    const anchors = [authority, ...earlier]
    if (kept === null || kept.authority !== authority) return this.#shown(kept, anchors, why)
    this.#shown({ ...kept, certificate: [kept.certificate, ...chain].join('') }, anchors, why)
  }

  /** Why a new one is needed; null: it is not. */
  #renewal(roots: Roots, reached: Reached, nowMs: number): string | null {
    const kept = this.#kept
    if (kept === null) return 'there is none'
    if (kept.authority !== roots.authority) return 'another CA'
    if (JSON.stringify(kept.reached) !== JSON.stringify(reached)) return 'other names or addresses'
    if (nowMs < kept.fromMs) return 'it begins in the future'
    return nowMs > kept.fromMs + (kept.toMs - kept.fromMs) * (2 / 3) ? 'two thirds of its life are over' : null
  }

  #issue(to: ServiceSubject, done: (result: IssuedCertificate | HostError) => void): void {
    const { sign, trust } = this.#world
    if (sign === null) return done(new HostError('unavailable', WITHOUT))
    trust.makeKeys((keys) => {
      if (keys instanceof HostError) return done(keys)
      sign(to, keys.publicKey, (issued) => {
        if (issued instanceof HostError) return done(issued)
        done({ certificate: issued.certificate, privateKey: keys.privateKey, authority: issued.authority })
      })
    })
  }

  /** A file that is damaged costs a new certificate, nothing more. */
  #read(): Kept | null {
    try {
      const text = this.#world.files.read(LISTENER_FILE)?.toString('utf8') ?? ''
      const kept = JSON.parse(text) as Partial<Kept> | null
      const texts = [kept?.certificate, kept?.privateKey, kept?.authority]
      const whole = texts.every((each) => typeof each === 'string') && Number.isFinite(kept?.fromMs)
      return whole && Number.isFinite(kept?.toMs) ? (kept as Kept) : null
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof HostError) return null
      throw error
    }
  }
}

/** The names that a box is reached by: its own, with and without `.local`, and the one that all boxes share. */
export function reachedBy(nodeName: string, hostName: string, addresses: readonly string[]): Reached {
  const labels = [hostName, nodeName].map((name) => name.toLowerCase()).filter((name) => LABEL.test(name))
  const names = [...new Set(labels.flatMap((label) => [label, `${label}.local`])), 'edge-mqtt.local', 'localhost']
  return { commonName: nodeName, names, addresses: [...new Set(addresses)].sort() }
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
