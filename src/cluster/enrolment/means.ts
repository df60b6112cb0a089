// By what a box asks to be let in, and the name that goes in the clear for the key of it.

import type { ClusterId } from '../../base/ids.ts'
import type { KeyedTrust } from '../../base/ports/keyed.ts'
import type { Code } from './codes.ts'

export type Means =
  | { readonly by: 'code'; readonly code: Code }
  | { readonly by: 'password'; readonly password: string }
  /** People compare words. */
  | { readonly by: 'approval' }

/** What a key's name says to a member. */
export type Named = { readonly by: 'code'; readonly invite: string } | { readonly by: 'password' | 'approval' }

const INVITE = 'invite-'

export function keyName(means: Means): string {
  return means.by === 'code' ? INVITE + means.code.invite : means.by
}

export function readKeyName(name: string): Named | null {
  if (name === 'password' || name === 'approval') return { by: name }
  return name.startsWith(INVITE) ? { by: 'code', invite: name.slice(INVITE.length) } : null
}

/** Seals, but proves nothing: everybody knows it. What is proven there is proven by the words. */
export const approvalKey = (trust: Pick<KeyedTrust, 'secretKey'>, cluster: ClusterId): Buffer =>
  trust.secretKey(Buffer.from('approval by comparing words'), cluster)
