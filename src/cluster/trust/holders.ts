// Who has the key of the CA, and who should: at least two boxes as soon as there are two. Pure.

import type { NodeId } from '../../base/ids.ts'

/** So many boxes are to have the key, so that the loss of one loses nothing. */
export const HOLDERS_WANTED = 2

export interface Prospect {
  readonly id: NodeId
  readonly linked: boolean
  /** It uses the same CA as this box. */
  readonly sameAuthority: boolean
  readonly hasKey: boolean
  /** It had the key of the CA before. */
  readonly hadKey: boolean
}

/**
 * To whom this box, which has the key, hands it next; null: to nobody. Of several that have it the lowest one that is
 * there hands it on, so that it does not spread further than it should. A box that is off for a while goes on counting:
 * a key that spreads at each reboot would soon be everywhere.
 */
export function nextHolder(self: NodeId, members: readonly Prospect[]): NodeId | null {
  const holders = members.filter(({ hasKey, sameAuthority }) => hasKey && sameAuthority)
  if (holders.length + 1 >= HOLDERS_WANTED) return null
  if (holders.some(({ id, linked }) => linked && id < self)) return null
  // Who had the key of the CA before is about to stand on this one.
  if (members.some(({ linked, hadKey, sameAuthority }) => linked && hadKey && !sameAuthority)) return null
  return heirs(members)[0] ?? null
}

/** Who has the key when this box, which has it, is gone for good. */
export type Succession =
  /** Somebody else, or there is nobody to need it. */
  | { readonly at: 'settled' }
  /** This one, as soon as it is handed the key. */
  | { readonly at: 'open'; readonly heir: NodeId }
  /** Nobody who is there can take it now. */
  | { readonly at: 'nobody' }

/**
 * Of those who are there somebody must have it, or they could let nobody in until a box that is off comes back. Where
 * nobody is there, one that is off is all there can be.
 */
export function succession(members: readonly Prospect[]): Succession {
  const linked = members.filter((one) => one.linked)
  const left = linked.length > 0 ? linked : members
  if (left.length === 0 || left.some(({ hasKey, sameAuthority }) => hasKey && sameAuthority)) return { at: 'settled' }
  const heir = heirs(members)[0]
  return heir === undefined ? { at: 'nobody' } : { at: 'open', heir }
}

/** Who could be handed the key, who had that of the CA before first. */
function heirs(members: readonly Prospect[]): readonly NodeId[] {
  const able = members.filter(({ linked, sameAuthority, hasKey }) => linked && sameAuthority && !hasKey)
  const order = (one: Prospect): string => `${one.hadKey ? 0 : 1} ${one.id}`
  return able.sort((a, b) => (order(a) < order(b) ? -1 : 1)).map(({ id }) => id)
}

/** Which boxes keep the key when all others delete it: the two lowest that are there, the same for whoever asks. */
export function keepers(self: NodeId, selfHasKey: boolean, members: readonly Prospect[]): readonly NodeId[] {
  const there = members.filter(({ linked, sameAuthority, hasKey }) => linked && sameAuthority && hasKey)
  const ids = [...there.map(({ id }) => id), ...(selfHasKey ? [self] : [])]
  return ids.sort().slice(0, HOLDERS_WANTED)
}
