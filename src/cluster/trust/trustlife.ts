// Trust while the cluster lives: certificates, the CA and its key, and boxes that are removed. Brings the files named for
// these together, and carries out what an operator asks for.

import { HostError } from '../../base/errors.ts'
import { isId, type NodeId } from '../../base/ids.ts'
import { MiB } from '../../base/limits.ts'
import type { ServiceIssuer, Trust } from '../../base/ports/trust.ts'
import { AUTHORITY_BYTES_MAX, decodeAuthority, encodeAuthority } from '../../wire/link/authority.ts'
import type { Members } from '../members/members.ts'
import type { Channels, FeatureWorld } from '../ports.ts'
import { Custody, type DatedTime, type Papers } from './custody.ts'
import { Issuing } from './issuing.ts'
import { type AuthorityLine, KeyHolding, type Sealed } from './keyholding.ts'
import type { KnownKeys } from './keys.ts'
import type { Revocations } from './revocations.ts'
import { Revoking } from './revoking.ts'
import { type Rotated, Rotation } from './rotation.ts'
import type { Together } from './together.ts'

const OPTIONS = { priority: 'normal', queueBytes: MiB, messageBytes: AUTHORITY_BYTES_MAX } as const

export interface TrustLifeWorld extends FeatureWorld {
  readonly trust: Trust
  readonly issuer: ServiceIssuer | null
  readonly time: DatedTime
}

/** What stands on disk and outlives an identity. */
export interface TrustKept {
  readonly keys: KnownKeys
  readonly revocations: Revocations
  readonly together: Together
  inBundle(authority: string): boolean
}

/** The links that stand. */
export interface TrustLinks {
  /** Ends the link with a member that stands on a CA that is believed no more. */
  close(peer: NodeId): void
  /** Ends the links of all who have proven themselves by this CA. */
  closeProvenBy(authority: string): void
}

/** Somebody for people: by name and id. */
export interface NamedNode {
  readonly id: NodeId
  readonly name: string
}

export interface Holder extends NamedNode {
  readonly self: boolean
  readonly linked: boolean
}

export interface Removed extends NamedNode {
  readonly confirmed: readonly NamedNode[]
  readonly missing: readonly NamedNode[]
  /** It had the key of the CA, so that was replaced; null: it had none, or it was to stay. */
  readonly rotated: Rotated | { readonly failed: string } | null
  /** It had the key of the CA, which was to stay all the same. */
  readonly keptCa: boolean
}

export class TrustLife {
  readonly custody: Custody
  readonly issuing: Issuing
  readonly revoking: Revoking
  readonly #world: TrustLifeWorld
  readonly #members: Members
  readonly #kept: TrustKept
  readonly #links: TrustLinks
  readonly #rotation: Rotation
  readonly #holding: KeyHolding

  constructor(world: TrustLifeWorld, channels: Channels, members: Members, kept: TrustKept, links: TrustLinks) {
    this.#world = world
    this.#links = links
    this.#members = members
    this.#kept = kept
    const { clock, time } = world
    const { together, keys, revocations } = kept
    this.custody = new Custody({ clock, time, together, inBundle: (authority) => kept.inBundle(authority) })
    this.issuing = new Issuing(world, channels, members, keys, {
      standing: () => this.custody.standing(),
      name: (member) => this.name(member),
      removed: (node) => this.removed(node),
    })
    this.revoking = new Revoking(world, channels, revocations)
    const channel = channels.open('ca', OPTIONS, {
      linked: (peer) => this.#look(peer),
      unlinked: (peer) => this.#look(peer),
      received: (peer, message) => this.#received(peer, message),
    })
    const line: AuthorityLine = {
      peers: () => channel.peers(),
      send: (peer, message) => {
        if (channel.send(peer, encodeAuthority(message)) === 'full') world.meter.count('trust.unsent')
      },
    }
    this.#holding = new KeyHolding(world, line, members, this.custody, this.issuing, (id) => this.removed(id))
    this.#rotation = new Rotation(world, line, members.self, this.custody, this.issuing, {
      replacing: () => this.#holding.remember(),
      heir: () => this.#holding.heir(),
      close: (peer) => links.close(peer),
    })
    this.issuing.onStands = (member) => this.#look(member)
    this.custody.onChange((papers, dropped) => this.#changed(papers, dropped))
    members.onChange(({ state }) => {
      if (state === 'left') this.#holding.look()
    })
  }

  /** Whether a box was removed for good. */
  removed(node: NodeId): boolean {
    return this.#kept.revocations.has(node)
  }

  /** Boxes were removed: one of them may have had the key. */
  lookAfterKey(): void {
    this.#holding.look()
  }

  /** For people. */
  name(member: NodeId): string {
    return this.#members.get(member)?.name ?? member
  }

  /** Who has the key of the CA in use, as far as is known here. */
  holders(selfName: string): readonly Holder[] {
    const { papers } = this.custody
    if (papers === null) return []
    const { self } = this.#members
    const others = this.#holding.holders().map((id) => {
      return { id, name: this.name(id), self: false, linked: this.#members.get(id)?.linked === true }
    })
    return papers.authority.privateKey === null
      ? others
      : [{ id: self, name: selfName, self: true, linked: true }, ...others]
  }

  problems(): readonly string[] {
    const problem = this.#rotation.problem()
    return problem === null ? [] : [problem]
  }

  rotate(compromised: boolean, done: (result: Rotated | HostError) => void): void {
    this.#rotation.rotate(compromised, done)
  }

  seal(done: (result: Sealed | HostError) => void): void {
    this.#holding.seal(done)
  }

  /** This box is about to leave: `done` gets why the others would be without the key of the CA, or null. */
  bequeath(done: (error: HostError | null) => void): void {
    this.#holding.bequeath(done)
  }

  /** Ends a membership for good; `done` gets who has that on disk, once this box has. */
  revoke(node: NodeId, done: (result: readonly NodeId[] | HostError) => void): void {
    const key = this.#members.get(node)?.link?.keyFingerprint ?? this.#kept.keys.of(node) ?? ''
    this.revoking.revoke({ node, key }, done)
  }

  /**
   * Removes a box for good, by id or by name. When it had the key of the CA, and `keepCa` does not say otherwise, the CA
   * is replaced in the same step: whoever has that box could else make members at will.
   */
  remove(target: string, keepCa: boolean, done: (result: Removed | HostError) => void): void {
    const found = this.#find(target)
    if (found instanceof HostError) return done(found)
    const { id, name } = found
    const holders = this.#holding.holders()
    const hadKey = holders.includes(id) || this.issuing.stands(id)?.inBundle === true
    const alone = holders.length === 1 && holders[0] === id && this.custody.standing().ca === null
    if (alone && this.#members.get(id)?.linked === true) {
      const words = `${name} alone has the key of the cluster's CA; another box gets it in a moment: try again then`
      return done(new HostError('unavailable', words))
    }
    this.revoke(id, (kept) => {
      if (kept instanceof HostError) return done(kept)
      const confirmed = new Set(kept)
      const others = [...this.#members.values()].filter(({ state }) => state !== 'left')
      const named = (which: boolean): NamedNode[] =>
        others.filter((other) => confirmed.has(other.id) === which).map((other) => ({ id: other.id, name: other.name }))
      const common = { id, name, confirmed: named(true), missing: named(false), keptCa: hadKey && keepCa }
      if (!hadKey || keepCa) return done({ ...common, rotated: null })
      this.rotate(true, (result) => {
        done({ ...common, rotated: result instanceof HostError ? { failed: result.message } : result })
      })
    })
  }

  /** This identity ends. */
  stop(): void {
    this.#rotation.stop()
    this.#holding.stop()
    this.revoking.stop()
    this.issuing.stop()
    this.custody.stop()
  }

  #find(target: string): NamedNode | HostError {
    const { self } = this.#members
    if (target === self) {
      return new HostError('invalid', 'this is the box itself: "edge-mqtt cluster leave" takes it out of the cluster')
    }
    const byName = [...this.#members.values()].filter(({ id, name }) => id === target || name === target)
    const living = byName.filter(({ state }) => state !== 'left')
    const [first, second] = living.length > 0 ? living : byName
    if (second !== undefined) {
      const ids = byName.map(({ id }) => id).join(', ')
      return new HostError('invalid', `there are several members named ${target}: say which by its id (${ids})`)
    }
    if (first !== undefined) return { id: first.id, name: first.name }
    // One that only other members know, or that was gone before this box came.
    if (isId(target)) return { id: target as NodeId, name: target }
    return new HostError(
      'invalid',
      `there is no member ${JSON.stringify(target)}: "edge-mqtt cluster status" shows them`,
    )
  }

  #look(member: NodeId): void {
    this.#rotation.look(member)
    this.#holding.look()
  }

  #changed(papers: Papers, dropped: readonly string[]): void {
    for (const authority of dropped) this.#links.closeProvenBy(authority)
    this.issuing.announce()
    this.#rotation.changed(papers)
    this.#holding.look()
  }

  #received(peer: NodeId, bytes: Buffer): void {
    const message = decodeAuthority(bytes)
    if (message === null) return this.#world.meter.count('ca.unknown')
    switch (message.kind) {
      case 'offer':
        return this.#rotation.offered(peer, message)
      case 'key':
        return this.#holding.came(message.authority, message.privateKey)
      case 'seal':
        return this.#holding.sealed(peer, message.keepers)
      case 'rotate':
        return this.#rotation.asked(peer, message.compromised)
      case 'refused':
        return this.#rotation.refused(message.words)
    }
  }
}
