// What makes this box a member: its certificate and key, the CA in use, and the CAs before it that are still believed.
// The one owner of these; everybody else asks here, at each use, since a rotation replaces them while the node runs.

import type { HostError } from '../../base/errors.ts'
import type { ClusterId, NodeId } from '../../base/ids.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { CertificateAuthority, Credentials } from '../../base/ports/trust.ts'
import type { Roots } from './certificates.ts'
import { type Authority, type EarlierAuthority, FILES, type Line, lineFile } from './identity.ts'
import type { Standing } from './issuing.ts'
import type { Together } from './together.ts'

export interface Papers extends Line {
  readonly own: { readonly certificate: string; readonly privateKey: string }
  readonly authority: Authority
}

/** A CA that was replaced, and how it signed the one that followed. */
export type Before = Pick<EarlierAuthority, 'certificate' | 'cross'>

/** `dropped`: certificates of CAs that were believed until now. */
type Changed = (papers: Papers, dropped: readonly string[]) => void

/** A CA whose key is in wrong hands is believed for so long: until the members that are linked have new certificates. */
export const GRACE_MS = 60_000
/** How often it is looked whether an earlier CA has had its time. */
const LOOK_MS = 3_600_000

/** How late it is for what ends after weeks, in milliseconds since 1970 (livedtime.ts). */
export interface DatedTime {
  now(): number
}

export interface CustodyWorld {
  readonly clock: Clock
  readonly time: DatedTime
  readonly together: Together
  /** Whether the key of this CA certificate lies where people put it, too. */
  inBundle(authority: string): boolean
}

export class Custody {
  readonly #world: CustodyWorld
  #papers: Papers | null = null
  #credentials: Credentials | null = null
  /** The compromised CA before, in its last minute: never on disk, so that a restart ends it. */
  #grace: { readonly earlier: Before; readonly timer: Timer } | null = null
  #looking: Timer | null = null
  /** Papers on their way to the disk. */
  #adopting = 0
  readonly #listeners: Changed[] = []

  constructor(world: CustodyWorld) {
    this.#world = world
  }

  /** Null: not a member yet. */
  get papers(): Papers | null {
    return this.#papers
  }

  get cluster(): ClusterId | null {
    return this.#papers?.authority.clusterId ?? null
  }

  /** The same object until something of it changes. */
  get credentials(): Credentials | null {
    return this.#credentials
  }

  /** A compromised CA is being replaced: only boxes that are known by their own keys are linked with. */
  get strict(): boolean {
    return this.#grace !== null
  }

  /** Called after each change: another CA, with or without its key, or an earlier one believed no more. */
  onChange(listener: Changed): void {
    this.#listeners.push(listener)
  }

  /** What is on disk already. */
  hold(papers: Papers): void {
    this.#papers = papers
    this.#look()
    this.#compose()
  }

  /**
   * Replaces the papers: on disk first, then everywhere. `before`: the CA before, when its key is in wrong hands: it is
   * believed for the minute in which the members take over their new certificates.
   */
  adopt(papers: Papers, done: (error: HostError | null) => void, before: Before | null = null): void {
    const { own, authority } = papers
    const { certificate, privateKey, fingerprint } = authority
    const writes = [
      { name: FILES.certificate, text: own.certificate, secret: false },
      { name: FILES.key, text: own.privateKey, secret: true },
      { name: FILES.caCertificate, text: certificate, secret: false },
      { name: FILES.caKey, text: privateKey ?? '', secret: true },
      { ...lineFile(fingerprint, papers), secret: false },
    ]
    this.#adopting++
    this.#world.together.write(writes, (error) => {
      this.#adopting--
      if (error !== null) return done(error)
      if (before !== null) this.#begin(before)
      this.#use(papers)
      done(null)
    })
  }

  #begin(earlier: Before): void {
    this.#grace?.timer.cancel()
    const timer = this.#world.clock.after(GRACE_MS, 'trust.grace', () => {
      this.#grace = null
      if (this.#papers !== null) this.#use(this.#papers)
    })
    this.#grace = { earlier, timer }
  }

  /** Other papers are on their way to the disk: what is made of the present ones now would be put in their place. */
  get adopting(): boolean {
    return this.#adopting > 0
  }

  /** Other boxes that have the key of the CA; nobody has to hear of it. */
  note(holders: readonly NodeId[]): void {
    // What is known of a CA that is being replaced would be written over what is known of the next.
    if (this.#papers === null || this.adopting) return
    this.#papers = { ...this.#papers, holders }
    const { authority } = this.#papers
    // One that is not written is found out again.
    this.#world.together.write([{ ...lineFile(authority.fingerprint, this.#papers), secret: false }], () => {})
  }

  /** The CAs before this one that are believed now, the last one first. */
  earlier(): readonly Before[] {
    return this.#grace === null ? (this.#papers?.earlier ?? []) : [this.#grace.earlier]
  }

  standing(): Standing {
    if (this.#papers === null) return { authority: null, ca: null, generation: 0, inBundle: false }
    const { authority, generation } = this.#papers
    const inBundle = this.#world.inBundle(authority.certificate)
    return { authority, ca: caOf(authority), generation, inBundle }
  }

  stop(): void {
    this.#looking?.cancel()
    this.#grace?.timer.cancel()
  }

  #use(papers: Papers): void {
    const before = this.#credentials?.anchors ?? []
    this.#papers = papers
    this.#look()
    this.#compose()
    const dropped = before.filter((authority) => !this.#credentials!.anchors.includes(authority))
    for (const listener of this.#listeners) listener(papers, dropped)
  }

  #compose(): void {
    if (this.#papers === null) return
    const earlier = this.earlier()
    this.#credentials = {
      ...this.#papers.own,
      anchors: [this.#papers.authority.certificate, ...earlier.map(({ certificate }) => certificate)],
      chain: earlier.map(({ cross }) => cross),
    }
  }

  /** An earlier CA whose time is over, and those before it that are believed through it alone. */
  #look(): void {
    this.#looking?.cancel()
    const papers = this.#papers
    if (papers === null || papers.earlier.length === 0) return
    this.#looking = this.#world.clock.after(LOOK_MS, 'trust.look', () => this.#look())
    const nowMs = this.#world.time.now()
    const over = papers.earlier.findIndex(({ untilMs }) => untilMs <= nowMs)
    if (over === -1 || this.adopting) return
    // At the next look again when the disk does not take it.
    this.adopt({ ...papers, earlier: papers.earlier.slice(0, over) }, () => {})
  }
}

/** The CA with its key, or null where the key is not. */
export function caOf({ certificate, privateKey }: Authority): CertificateAuthority | null {
  return privateKey === null ? null : { certificate, privateKey }
}

/** What clients of the listeners are shown. */
export function rootsOf({ authority, earlier }: Papers): Roots {
  return {
    authority: authority.certificate,
    chain: earlier.map(({ cross }) => cross),
    earlier: earlier.map(({ certificate }) => certificate),
  }
}
