// Invites: entries of the cluster's settings, so that a code made on one box is good at every other. The code itself is
// kept nowhere: the settings hold the key that is made of it.

import { HostError, PeerError } from '../../base/errors.ts'
import type { ClusterId, NodeId } from '../../base/ids.ts'
import type { KeyedTrust } from '../../base/ports/keyed.ts'
import type { Random } from '../../base/ports/random.ts'
import { decodeInvite, encodeInvite, type Invite, USES_MAX } from '../../wire/link/invite.ts'
import type { SharedSettings } from '../maps/sharedsettings.ts'
import { codeText, INVITE_SEED_BYTES, inviteId, isInviteId, SECRET_BYTES } from './codes.ts'

type Settings = Pick<SharedSettings, 'get' | 'set' | 'keys'>

/** Invites that are kept at once, ended ones included. */
export const INVITES_MAX = 64
export const TTL_MAX_MS = 30 * 24 * 3_600_000
/** An ended invite is kept for so long, to tell whoever comes late why the code is no good. */
const KEPT_MS = 24 * 3_600_000
const PREFIX = 'invite.'
const LIST = '"edge-mqtt invite --list"'

export interface InviteWish {
  readonly ttlMs: number
  readonly uses: number
  /** Whoever is let in gets the key of the CA. */
  readonly issuer: boolean
}

export interface MadeInvite {
  readonly id: string
  readonly code: string
  readonly endMs: number
}

/** What people may see of an invite: nothing that lets anybody in. */
export interface ListedInvite {
  readonly id: string
  readonly state: 'good' | 'expired' | 'used up'
  readonly endMs: number
  /** Boxes that it may let in, and those that it has. */
  readonly uses: number
  readonly used: readonly NodeId[]
  readonly issuer: boolean
  /** The node that made it. */
  readonly by: NodeId
}

export interface InvitesWorld {
  readonly random: Random
  readonly trust: Pick<KeyedTrust, 'secretKey'>
  /** Cluster time, milliseconds since 1970. */
  now(): number
}

export type Verdict = ListedInvite['state']

/** Whether an invite lets this node in. A node that it has let in may come again: its answer may have been lost. */
export function judgeInvite(invite: Invite, node: NodeId, nowMs: number): Verdict {
  return invite.used.includes(node) ? 'good' : stateOf(invite, nowMs)
}

function stateOf(invite: Invite, nowMs: number): Verdict {
  // One that ends later than any that is made now was made by a clock that was ahead: else it would be good for years.
  if (nowMs >= invite.endMs || invite.endMs > nowMs + TTL_MAX_MS) return 'expired'
  return invite.used.length >= invite.uses ? 'used up' : 'good'
}

/** What a wish for an invite gets wrong, or null. */
export function wrongWish({ ttlMs, uses }: InviteWish): string | null {
  if (!(ttlMs >= 1000 && ttlMs <= TTL_MAX_MS)) return 'an invite is good for 1s to 30d'
  if (!(Number.isInteger(uses) && uses >= 1 && uses <= USES_MAX)) return `an invite is for 1 to ${USES_MAX} boxes`
  return null
}

/** How both sides make the key of a code. */
export const inviteKey = (trust: Pick<KeyedTrust, 'secretKey'>, id: string, secret: Buffer): Buffer =>
  trust.secretKey(secret, id)

export class Invites {
  readonly #world: InvitesWorld
  readonly #settings: Settings
  /** Made here in this run: by what this box took for the time. */
  readonly #made = new Set<string>()

  constructor(world: InvitesWorld, settings: Settings) {
    this.#world = world
    this.#settings = settings
  }

  make(wish: InviteWish, cluster: ClusterId, by: NodeId): MadeInvite | HostError {
    const wrong = wrongWish(wish)
    if (wrong !== null) return new HostError('invalid', wrong)
    const { random, trust } = this.#world
    this.#sweep()
    const ids = new Set([...this.#all()].map(([id]) => id))
    if (ids.size >= INVITES_MAX) {
      return new HostError('unavailable', `there are ${ids.size} invites, which is the bound: ${LIST} shows them`)
    }
    let id = inviteId(random.bytes(INVITE_SEED_BYTES))
    while (ids.has(id)) id = inviteId(random.bytes(INVITE_SEED_BYTES))
    const secret = random.bytes(SECRET_BYTES)
    const endMs = this.#world.now() + wish.ttlMs
    const invite = { ...wish, endMs, key: inviteKey(trust, id, secret), by, used: [] }
    if (!this.#put(id, invite)) return new HostError('unavailable', 'the settings of the cluster are full')
    this.#made.add(id)
    return { id, code: codeText(cluster, id, secret), endMs }
  }

  find(id: string): Invite | null {
    if (!isInviteId(id)) return null
    const value = this.#settings.get(PREFIX + id)
    return value === null ? null : read(value)
  }

  judge(invite: Invite, node: NodeId): Verdict {
    return judgeInvite(invite, node, this.#world.now())
  }

  /** The invite has let this node in. */
  used(id: string, node: NodeId): void {
    const invite = this.find(id)
    if (invite === null || invite.used.includes(node)) return
    this.#put(id, { ...invite, used: [...invite.used, node] })
  }

  /** By when they end. */
  list(): ListedInvite[] {
    const now = this.#world.now()
    const rows = [...this.#all()].map(([id, invite]) => {
      const { endMs, uses, used, issuer, by } = invite
      return { id, state: stateOf(invite, now), endMs, uses, used, issuer, by }
    })
    return rows.sort((a, b) => a.endMs - b.endMs)
  }

  /** Ends it now: who comes with its code hears that it has expired. Who was let in by it stays. */
  revoke(id: string): ListedInvite | HostError {
    const row = this.list().find((each) => each.id === id.toUpperCase())
    if (row === undefined)
      return new HostError('invalid', `there is no invite ${JSON.stringify(id)}: ${LIST} shows them`)
    if (row.state !== 'good') return new HostError('invalid', `the invite ${row.id} is ${row.state} already`)
    const endMs = this.#world.now()
    this.#put(row.id, { ...this.find(row.id)!, endMs })
    this.#made.delete(row.id)
    return { ...row, state: 'expired', endMs }
  }

  #put(id: string, invite: Invite): boolean {
    return this.#settings.set(PREFIX + id, encodeInvite(invite))
  }

  /** This box leaves the cluster that they let into. */
  clear(): void {
    for (const key of this.#settings.keys(PREFIX)) this.#settings.set(key, null)
    this.#made.clear()
  }

  /** Cluster time was another than it was taken to be: what was made here by it is good for as long as it was said to be. */
  timeMoved(byMs: number): void {
    for (const id of [...this.#made]) {
      const invite = this.find(id)
      const over = invite === null || invite.endMs + byMs <= this.#world.now() || invite.used.length >= invite.uses
      if (over) this.#made.delete(id)
      else this.#put(id, { ...invite, endMs: invite.endMs + byMs })
    }
  }

  /** Takes away what has ended long ago. */
  #sweep(): void {
    const now = this.#world.now()
    for (const [id, invite] of [...this.#all()]) {
      if (now < invite.endMs + KEPT_MS && invite.endMs <= now + TTL_MAX_MS + KEPT_MS) continue
      this.#settings.set(PREFIX + id, null)
      this.#made.delete(id)
    }
  }

  *#all(): IterableIterator<[string, Invite]> {
    for (const key of this.#settings.keys(PREFIX)) {
      const id = key.slice(PREFIX.length)
      const invite = this.find(id)
      if (invite !== null) yield [id, invite]
    }
  }
}

/** Null for one that a later version wrote. */
function read(value: Buffer): Invite | null {
  try {
    return decodeInvite(value)
  } catch (error) {
    if (error instanceof PeerError) return null
    throw error
  }
}
