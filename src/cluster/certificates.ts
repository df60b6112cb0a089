// Certificates of the cluster's CA that are not nodes': the one that this box's listeners show, which is kept up to date,
// and those for devices, which are made on demand.
//
//   listener.json   the certificate shown, its key, whom it names, until when, and the CA it came from

import { HostError } from '../base/errors.ts'
import { type Clock, every, type Timer } from '../base/ports/clock.ts'
import type { StateFiles } from '../base/ports/files.ts'
import type { Log } from '../base/ports/log.ts'
import type { CertificateAuthority, ServiceIssuer, ServiceSubject, Trust } from '../base/ports/trust.ts'

export const LISTENER_FILE = 'listener.json'

/** A certificate with what a client needs to judge it. */
export interface IssuedCertificate {
  readonly certificate: string
  readonly privateKey: string
  readonly authority: string
}

export interface CertificatesWorld {
  readonly clock: Clock
  readonly files: StateFiles
  readonly trust: Pick<Trust, 'makeKeys' | 'read'>
  /** Null: this node cannot issue any. */
  readonly issuer: ServiceIssuer | null
  readonly log: Log
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
/** 2026-11-01: a clock that shows less is wrong, and what it would date would have ended long ago for everybody else. */
const RELEASED_MS = 1_793_491_200_000

export const isDeviceName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/.test(name)

export class Certificates {
  readonly #world: CertificatesWorld
  readonly #reached: () => Reached
  readonly #shown: (certificate: IssuedCertificate | null, authority: string, why: string | null) => void
  #authority: string | null = null
  #ca: CertificateAuthority | null = null
  #kept: Kept | null = null
  #working = false
  #looking: Timer | null = null

  /** `shown` is called with each certificate that the listeners are to show from then on. */
  constructor(
    world: CertificatesWorld,
    reached: () => Reached,
    shown: (certificate: IssuedCertificate | null, authority: string, why: string | null) => void,
  ) {
    this.#world = world
    this.#reached = reached
    this.#shown = shown
  }

  /** This node has become a member; the CA with its key, if this box has it. */
  begin(ca: CertificateAuthority | null, authority: string): void {
    this.#ca = ca
    this.#authority = authority
    if (ca === null || this.#world.issuer === null) {
      return this.#shown(
        null,
        authority,
        "this box does not have the key of its cluster's CA: give it tls.cert and tls.key, or enabled: false",
      )
    }
    this.#kept = this.#read()
    if (this.#kept !== null && this.#kept.authority === authority) this.#shown(this.#kept, authority, null)
    this.#look()
    this.#looking ??= every(this.#world.clock, LOOK_MS, 'certificates.look', () => this.#look())
  }

  stop(): void {
    this.#looking?.cancel()
    this.#looking = null
    this.#ca = null
  }

  /** The CA's certificate and its fingerprint; null: not a member yet. */
  authority(): { readonly certificate: string; readonly fingerprint: string } | null {
    if (this.#authority === null) return null
    const facts = this.#world.trust.read(this.#authority)
    const fingerprint = !(facts instanceof HostError) && facts.kind === 'ca' ? facts.fingerprint : ''
    return { certificate: this.#authority, fingerprint }
  }

  /** A certificate by which a device proves its name. It has no end: a revocation list ends it. */
  issue(name: string, done: (result: IssuedCertificate | HostError) => void): void {
    const ca = this.#ca
    if (!isDeviceName(name)) {
      return done(
        new HostError('invalid', `not a name for a device: ${JSON.stringify(name)}; letters, digits and . _ @ - are`),
      )
    }
    if (ca === null) {
      return done(new HostError('unavailable', "this box does not have the key of its cluster's CA: ask one that has"))
    }
    this.#issue(ca, { commonName: name, names: [], addresses: [], fromMs: null, toMs: null }, done)
  }

  #look(): void {
    const ca = this.#ca
    if (ca === null || this.#working) return
    const reached = this.#reached()
    const nowMs = Math.max(this.#world.clock.wall(), RELEASED_MS)
    const why = this.#renewal(ca, reached, nowMs)
    if (why === null) return
    this.#working = true
    const fromMs = nowMs - BACKDATED_MS
    const toMs = fromMs + LIFE_MS
    this.#issue(ca, { ...reached, fromMs, toMs }, (result) => {
      this.#working = false
      if (this.#ca !== ca) return
      if (result instanceof HostError) {
        return this.#world.log.error({ why: result.message }, 'no certificate for the listeners')
      }
      const kept: Kept = { ...result, reached, fromMs, toMs }
      this.#kept = kept
      this.#world.files.write(LISTENER_FILE, Buffer.from(JSON.stringify(kept)), true, (error) => {
        if (error !== null) this.#world.log.warn({ why: error.message }, 'the certificate of the listeners is not kept')
      })
      const { names, addresses } = reached
      this.#world.log.info({ why, names, addresses, days: LIFE_MS / DAY_MS }, 'new certificate for the listeners')
      this.#shown(kept, kept.authority, null)
    })
  }

  /** Why a new one is needed; null: it is not. */
  #renewal(ca: CertificateAuthority, reached: Reached, nowMs: number): string | null {
    const kept = this.#kept
    if (kept === null) return 'there is none'
    if (kept.authority !== ca.certificate) return 'another CA'
    if (JSON.stringify(kept.reached) !== JSON.stringify(reached)) return 'other names or addresses'
    if (nowMs < kept.fromMs) return 'it begins in the future'
    return nowMs > kept.fromMs + (kept.toMs - kept.fromMs) * (2 / 3) ? 'two thirds of its life are over' : null
  }

  #issue(ca: CertificateAuthority, to: ServiceSubject, done: (result: IssuedCertificate | HostError) => void): void {
    this.#world.trust.makeKeys((keys) => {
      if (keys instanceof HostError) return done(keys)
      this.#world.issuer!.issueService(ca, to, keys.publicKey, (certificate) => {
        if (certificate instanceof HostError) return done(certificate)
        done({ certificate, privateKey: keys.privateKey, authority: ca.certificate })
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
