// Brings the sessions of this box in line with what the directory says of them, whenever that may have changed: a few
// in one turn.

import type { ClientId, NodeId } from '../../base/ids.ts'
import type { Stamp } from '../../base/stamps.ts'
import type { LocalSessions, SessionView } from '../../broker/ports.ts'
import type { FeatureWorld, Membership } from '../ports.ts'
import { CleanStarts } from './cleanstarts.ts'
import { type Directory, type DirectoryEntry, noEpoch, verdict } from './directory.ts'
import type { CopiesView } from './sharedsessions.ts'

/** Sessions looked at in one turn. */
const LOOKS_PER_TURN = 256

export interface SettlingHome {
  local(): LocalSessions | null
  readonly copies: CopiesView
  /** Whether the session is on its way. */
  isBusy(clientId: ClientId): boolean
  /** The session here belongs to `owner`, which is to have it when it is there. */
  owe(session: SessionView, owner: NodeId): void
  /** Writes in the directory that the session is this node's. */
  set(session: SessionView, which: Pick<DirectoryEntry, 'epoch' | 'base' | 'fresh'>, prior: DirectoryEntry | null): void
  /** Writes in the directory that what the client had is over. */
  setOver(clientId: ClientId, epoch: Stamp): void
  /** There is nobody to tell. */
  isAlone(): boolean
}

export class Settling {
  readonly #world: FeatureWorld
  readonly #membership: Membership
  readonly #directory: Directory
  readonly #home: SettlingHome
  readonly cleanStarts: CleanStarts
  readonly #toLook = new Set<ClientId>()
  /** Sessions of which another box has got only a part. */
  readonly #torn = new Set<ClientId>()
  /** Sessions that may have gone on elsewhere for all that has been heard, and what of them was in the copies then. */
  readonly #unheard = new Map<ClientId, number>()
  #looking = false
  #leaving = false

  constructor(world: FeatureWorld, membership: Membership, directory: Directory, home: SettlingHome) {
    this.#world = world
    this.#membership = membership
    this.#directory = directory
    this.#home = home
    this.cleanStarts = new CleanStarts(world.meter)
  }

  /** Another box may have said something of this session; looked at when this turn is over. */
  look(clientId: ClientId): void {
    this.#toLook.add(clientId)
    this.#lookSoon()
  }

  /** This box leaves: what it keeps going for boxes that are away nobody else would. */
  leave(): void {
    this.#leaving = true
    this.lookAtAll()
  }

  lookAtAll(): void {
    for (const { clientId } of this.#home.local()?.all() ?? []) this.#toLook.add(clientId)
    this.#lookSoon()
  }

  #lookSoon(): void {
    if (this.#looking) return
    this.#looking = true
    this.#world.clock.soon(this.#looks)
  }

  readonly #looks = (): void => {
    this.#looking = false
    let left = LOOKS_PER_TURN
    for (const clientId of this.#toLook) {
      if (left-- <= 0) return this.#lookSoon()
      this.#toLook.delete(clientId)
      const session = this.#home.local()?.get(clientId)
      if (session !== undefined && session.kept !== null) this.#settle(session)
      else this.#gone(clientId)
    }
  }

  /** Nothing of the client's is kept here. */
  #gone(clientId: ClientId): void {
    this.#unheard.delete(clientId)
    const entry = this.#directory.get(clientId)
    const ended = entry === null || entry.over ? null : this.cleanStarts.after(clientId, entry.epoch)
    if (ended !== null) this.#home.setOver(clientId, ended)
  }

  /** Brings a session in line with what the directory says of it. */
  #settle(session: SessionView): void {
    const { clientId, place } = session
    if (place.at === 'arriving' || place.at === 'departing' || this.#home.isBusy(clientId)) return
    const { self } = this.#membership
    const local = this.#home.local()!
    const entry = this.#directory.get(clientId)
    const found = verdict(session, entry, self)
    switch (found.at) {
      case 'mine':
        this.#torn.delete(clientId)
        if (place.at !== 'here') local.put(session, { at: 'here' })
        // Who has it since has it from a copy as it was; what is copied from now on comes too late for that.
        if (this.#directory.isUpToDate) this.#unheard.delete(clientId)
        else if (!this.#unheard.has(clientId)) this.#unheard.set(clientId, this.#home.copies.copiedTo(session))
        return this.#home.copies.keep(session, entry!.backup)
      case 'unknown':
        if (place.at === 'here') this.#say(session, entry)
        return
      case 'stand-in': {
        const owner = this.#membership.member(found.owner)
        // It does not come back, or would not find us: what it owned is ours.
        if (owner?.state === 'left' || (this.#leaving && owner?.linked !== true)) {
          local.put(session, { at: 'here' })
          return this.#home.set(session, entry!, entry)
        }
        const after = place.at === 'standing-in' ? place.after : 0
        return this.#standIn(session, found.owner, after)
      }
      case 'gone-on': {
        const after =
          found.owed === 'all' || this.#torn.has(clientId)
            ? 0
            : place.at === 'standing-in'
              ? place.after
              : Math.min(this.#home.copies.copiedTo(session), this.#unheard.get(clientId) ?? Number.POSITIVE_INFINITY)
        this.#torn.delete(clientId)
        this.#unheard.delete(clientId)
        this.#world.meter.count('sessions.gone-on')
        local.disconnect(session)
        if (local.get(clientId) !== session) return
        if (after === Number.POSITIVE_INFINITY) return local.drop(session)
        return this.#standIn(session, found.owner, after)
      }
      case 'over':
        this.#world.meter.count('sessions.over-elsewhere')
        return local.over(session)
    }
  }

  #standIn(session: SessionView, owner: NodeId, after: number): void {
    this.#home.local()!.put(session, { at: 'standing-in', owner, after })
    this.#home.owe(session, owner)
  }

  /** It is ours, and the others do not know. */
  #say(session: SessionView, entry: DirectoryEntry | null): void {
    if (this.#home.isAlone()) return
    const { self } = this.#membership
    const epoch = session.epoch ?? noEpoch(self)
    const { clientId } = session
    if (entry !== null) {
      // Somebody has written of an older epoch later than we of ours, or we have not heard of that before.
      const base = this.cleanStarts.after(clientId, entry.epoch)
      const since = base === null ? { base: entry.base, fresh: entry.fresh } : { base, fresh: true }
      return this.#home.set(session, { epoch, ...since }, entry)
    }
    const backup = this.#home.copies.backupFor(clientId, null)
    // Nobody has heard of it, so nobody has anything of it: what others have of that client is another session.
    const began = this.cleanStarts.after(clientId, noEpoch(self))
    const since = { base: began ?? epoch, fresh: began !== null }
    this.#directory.recall(clientId, { epoch, ...since, over: false, owner: self, backup })
    this.#home.copies.keep(session, backup)
  }

  /** A departure or return ended before all of it was there. */
  interrupted(session: SessionView): void {
    const local = this.#home.local()
    const { clientId, place } = session
    if (local === null || local.get(clientId) !== session) return
    if (place.at === 'departing') {
      // What the other has got of it is not all, whatever the directory comes to say.
      this.#torn.add(clientId)
      local.put(session, { at: 'here' })
    }
    this.look(clientId)
  }
}
