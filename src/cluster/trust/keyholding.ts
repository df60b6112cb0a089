// Sees to it that the key of the CA lies on two boxes as soon as there are two, and on no more when it was sealed.

import { HostError, PeerError } from '../../base/errors.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Timer } from '../../base/ports/clock.ts'
import type { Trust } from '../../base/ports/trust.ts'
import type { AuthorityMessage } from '../../wire/link/authority.ts'
import { Awaiting } from '../awaiting.ts'
import type { FeatureWorld, Membership } from '../ports.ts'
import type { Custody, Papers } from './custody.ts'
import { keepers, nextHolder, type Prospect, type Succession, succession } from './holders.ts'
import type { Issuing } from './issuing.ts'

/** How long a sealing waits for the linked members. */
const CONFIRM_MS = 10_000
/** So long a member has to say that it has the key before it is handed to it again. */
const HANDED_MS = 10_000
/** How long a box that leaves waits for who gets the key in its place. */
const BEQUEST_MS = 10_000

/** The channel `ca`, towards those who are linked. */
export interface AuthorityLine {
  peers(): readonly NodeId[]
  send(peer: NodeId, message: AuthorityMessage): void
}

export interface KnownMembers extends Membership {
  values(): Iterable<{ readonly id: NodeId }>
}

export interface Sealed {
  readonly kept: readonly NodeId[]
  readonly deleted: readonly NodeId[]
  /** Have the key, and were not reached or have not confirmed. */
  readonly missing: readonly NodeId[]
  /** The key lies in the bundle of these too, where no daemon deletes anything. */
  readonly inBundle: readonly NodeId[]
}

export class KeyHolding {
  readonly #world: FeatureWorld & { readonly trust: Pick<Trust, 'matches'> }
  readonly #line: AuthorityLine
  readonly #members: KnownMembers
  readonly #custody: Custody
  readonly #issuing: Issuing
  readonly #awaiting: Awaiting
  readonly #bequeathing: Awaiting
  /** Who was handed the key of which CA last, and may yet say that it has it. */
  #handed: { readonly id: NodeId; readonly authority: string; readonly timer: Timer } | null = null
  readonly #removed: (id: NodeId) => boolean
  /** Who had the key of the CA before: they get the next one first. */
  #former: ReadonlySet<NodeId> = new Set()

  constructor(
    world: FeatureWorld & { readonly trust: Pick<Trust, 'matches'> },
    line: AuthorityLine,
    members: KnownMembers,
    custody: Custody,
    issuing: Issuing,
    removed: (id: NodeId) => boolean,
  ) {
    this.#removed = removed
    this.#world = world
    this.#line = line
    this.#members = members
    this.#custody = custody
    this.#issuing = issuing
    this.#awaiting = new Awaiting(world.clock, CONFIRM_MS, 'trust.seal')
    this.#bequeathing = new Awaiting(world.clock, BEQUEST_MS, 'trust.bequest')
  }

  /** This box is about to replace the CA. */
  remember(): void {
    this.#former = new Set(this.holders())
  }

  /** The other boxes that have the key of the CA in use, whether they are there now or not. */
  holders(): readonly NodeId[] {
    const { papers } = this.#custody
    if (papers === null) return []
    const { fingerprint } = papers.authority
    const before = papers.holders.filter((id) => this.#issuing.stands(id) === null)
    const all = new Set([...this.#issuing.holders(fingerprint), ...before])
    return [...all].filter((id) => this.#members.member(id)?.state !== 'left' && !this.#removed(id)).sort()
  }

  /** Who gets the key of a CA that was just made here, before anybody else stands on it; null: nobody is there. */
  heir(): NodeId | null {
    const linked = this.#line.peers()
    return [...linked.filter((id) => this.#former.has(id)).sort(), ...[...linked].sort()][0] ?? null
  }

  /** Somebody has said what it stands on, came, went or left; or our own papers are others. */
  look(): void {
    const holders = this.holders()
    if (holders.join() !== (this.#custody.papers?.holders ?? []).join()) this.#custody.note(holders)
    this.#handOn()
    this.#awaiting.look()
    this.#bequeathing.look()
  }

  /** This box leaves for good: of those who are there somebody is to have the key. `done` gets why that is not so, or null. */
  bequeath(done: (error: HostError | null) => void): void {
    const { papers } = this.#custody
    const found = this.#succession()
    if (papers === null || found.at === 'settled') return done(null)
    if (found.at === 'nobody') return done(new HostError('unavailable', NO_HEIR))
    const { heir } = found
    // Once more, though it was a moment ago.
    this.#handed?.timer.cancel()
    this.#handed = null
    this.#hand(heir, papers)
    const open = (): boolean => this.#succession().at !== 'settled' && this.#line.peers().includes(heir)
    this.#bequeathing.until(
      () => !open(),
      () => done(this.#succession().at === 'settled' ? null : new HostError('unavailable', NO_HEIR)),
    )
  }

  /** Deletes the key of the CA from all boxes but two. */
  seal(done: (result: Sealed | HostError) => void): void {
    const { papers } = this.#custody
    if (papers === null) return done(new HostError('unavailable', 'this box is not a member of a cluster yet'))
    const { self } = this.#members
    const members = this.#prospects(papers)
    const having = members.filter((one) => one.hasKey && one.sameAuthority).map(({ id }) => id)
    if (this.#hasKey()) having.push(self)
    const kept = keepers(self, this.#hasKey(), members)
    if (kept.length < 2 && having.length > kept.length) {
      return done(
        new HostError('unavailable', 'fewer than two boxes with the key of the CA are linked: nothing was deleted'),
      )
    }
    const goers = having.filter((id) => !kept.includes(id))
    for (const id of goers) if (id !== self) this.#line.send(id, { kind: 'seal', keepers: kept })
    if (goers.includes(self)) this.#drop(papers)
    const left = () => goers.filter((id) => (id === self ? this.#hasKey() : this.#issuing.stands(id)?.hasKey === true))
    const linked = new Set(this.#line.peers())
    this.#awaiting.until(
      () => left().every((id) => id !== self && !linked.has(id)),
      () => {
        const missing = left()
        const inBundle = [...members.map(({ id }) => id), self].filter((id) => !kept.includes(id) && this.#bundled(id))
        done({ kept, deleted: goers.filter((id) => !missing.includes(id)), missing, inBundle })
      },
    )
  }

  /** A member has handed over the key. Throws PeerError. */
  came(authority: string, privateKey: string): void {
    const { papers } = this.#custody
    // Meanwhile one of us may have gone on to another CA: whose key goes where is settled anew then.
    if (papers === null || papers.authority.fingerprint !== authority || papers.authority.privateKey !== null) return
    // Another CA may be on its way to the disk: this one would be put back in its place. The key is handed over again.
    if (this.#custody.adopting) return
    if (this.#world.trust.matches(papers.authority.certificate, privateKey) !== true) {
      throw new PeerError('handed over a key that is not that of the CA')
    }
    this.#world.log.warn({}, 'this box has the key of the CA now')
    this.#custody.adopt({ ...papers, authority: { ...papers.authority, privateKey }, sealed: false }, () => {})
  }

  /** A member says who keeps the key. */
  sealed(peer: NodeId, kept: readonly NodeId[]): void {
    const { papers } = this.#custody
    if (papers === null || !this.#hasKey() || kept.includes(this.#members.self)) return
    const linked = new Set(this.#line.peers())
    const sure = this.#issuing.holders(papers.authority.fingerprint).filter((id) => kept.includes(id) && linked.has(id))
    if (sure.length >= 2) return this.#drop(papers)
    this.#world.meter.count('trust.seal.refused')
    this.#world.log.warn({ peer, kept }, 'told to delete the key of the CA, but two others with it are not linked here')
  }

  stop(): void {
    this.#awaiting.stop()
    this.#bequeathing.stop()
    this.#handed?.timer.cancel()
  }

  #hasKey(): boolean {
    return (this.#custody.papers?.authority.privateKey ?? null) !== null
  }

  #bundled(id: NodeId): boolean {
    if (id === this.#members.self) return this.#custody.standing().inBundle
    return this.#issuing.stands(id)?.inBundle === true
  }

  /** A box without the key takes nothing along, and one that was removed has no say any more. */
  #succession(): Succession {
    const { papers } = this.#custody
    if (papers === null || !this.#hasKey() || this.#removed(this.#members.self)) return { at: 'settled' }
    return succession(this.#prospects(papers))
  }

  #handOn(): void {
    const { papers } = this.#custody
    if (papers === null || !this.#hasKey()) return
    const heir = nextHolder(this.#members.self, this.#prospects(papers))
    if (heir !== null) this.#hand(heir, papers)
  }

  #hand(heir: NodeId, papers: Papers): void {
    const { fingerprint: authority, privateKey } = papers.authority
    if (privateKey === null) return
    if (this.#handed?.id === heir && this.#handed.authority === authority) return
    this.#handed?.timer.cancel()
    const timer = this.#world.clock.after(HANDED_MS, 'trust.handed', () => {
      this.#handed = null
      this.look()
    })
    this.#handed = { id: heir, authority, timer }
    this.#world.log.info({ member: heir }, 'another box gets the key of the CA')
    this.#line.send(heir, { kind: 'key', authority, privateKey })
  }

  #drop(papers: Papers): void {
    if (this.#custody.adopting) return
    this.#world.log.warn({}, 'the key of the CA is deleted from this box')
    this.#custody.adopt({ ...papers, authority: { ...papers.authority, privateKey: null }, sealed: true }, () => {})
  }

  #prospects(papers: Papers): Prospect[] {
    const linked = new Set(this.#line.peers())
    const holders = new Set(this.holders())
    const ids = new Set([...[...this.#members.values()].map(({ id }) => id), ...holders])
    const prospects: Prospect[] = []
    for (const id of ids) {
      if (this.#members.member(id)?.state === 'left') continue
      const hasKey = holders.has(id)
      const sameAuthority = hasKey || this.#issuing.stands(id)?.authority === papers.authority.fingerprint
      prospects.push({ id, linked: linked.has(id), sameAuthority, hasKey, hadKey: this.#former.has(id) })
    }
    return prospects
  }
}

const NO_HEIR =
  "this box alone, of those that are linked, has the key of the cluster's CA: the others could let nobody in any more. " +
  'Link another member, which gets the key by itself, or remove those that are gone ("edge-mqtt cluster remove")'
