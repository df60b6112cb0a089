// What makes this box a member: its certificate and key, the CA in use, and the CAs before it that are still believed.
// The one owner of these; everybody else asks here, at each use, since a rotation replaces them while the node runs.

import type { ClusterId } from '../base/ids.ts'
import type { CertificateAuthority, Credentials } from '../base/ports/trust.ts'
import type { Roots } from './certificates.ts'
import type { Authority } from './identity.ts'
import type { Standing } from './issuing.ts'

/** A CA that was replaced and is still believed, so that boxes that were away find back. */
export interface EarlierAuthority {
  readonly certificate: string
  /** The certificate of the CA that followed it, signed by this one. */
  readonly cross: string
  /** Cluster time at which it is believed no more. */
  readonly untilMs: number
}

export interface Papers {
  readonly own: { readonly certificate: string; readonly privateKey: string }
  readonly authority: Authority
  /** How often the CA of this cluster was replaced. */
  readonly generation: number
  /** The last one first. */
  readonly earlier: readonly EarlierAuthority[]
  /** The key of the CA was taken from this box on purpose: what lies in its bundle does not count. */
  readonly sealed: boolean
}

export class Custody {
  readonly #inBundle: (authority: string) => boolean
  #papers: Papers | null = null
  #credentials: Credentials | null = null

  /** `inBundle`: whether the key of this CA certificate lies where people put it, too. */
  constructor(inBundle: (authority: string) => boolean) {
    this.#inBundle = inBundle
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

  hold(papers: Papers): void {
    this.#papers = papers
    const { own, authority, earlier } = papers
    this.#credentials = {
      ...own,
      anchors: [authority.certificate, ...earlier.map(({ certificate }) => certificate)],
      chain: earlier.map(({ cross }) => cross),
    }
  }

  standing(): Standing {
    if (this.#papers === null) return { authority: null, ca: null, generation: 0, inBundle: false }
    const { authority, generation } = this.#papers
    return { authority, ca: caOf(authority), generation, inBundle: this.#inBundle(authority.certificate) }
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
