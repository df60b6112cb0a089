// Two nodes that dial each other at the same time have two links, and must keep the same one, whatever each of them saw
// first. So one of them decides: the node with the lower id. It keeps the link it already has, unless the new one shows
// that it is worthless, and says on the wire which link it has adopted. The other end uses a link only then.
//
// An adopt frame carries a number that grows with each choice: frames of two links may overtake each other, and a choice
// that was since replaced must not win.

import type { InstanceId, NodeId } from '../../base/ids.ts'

/** Which of two nodes decides for the pair. */
export const decides = (self: NodeId, peer: NodeId): boolean => self < peer

/** What the deciding node does with a link that has just been proven, given the one it uses. */
export function settle(
  used: { readonly instance: InstanceId; readonly silentMs: number; readonly relayed: boolean } | null,
  fresh: { readonly instance: InstanceId; readonly relayed: boolean },
  heartbeatMs: number,
): 'adopt' | 'refuse' {
  if (used === null) return 'adopt'
  // The peer has started again, so the old link leads to a process that is gone; or the old link is dying, and the peer
  // may have closed it already.
  if (used.instance !== fresh.instance || used.silentMs > 2 * heartbeatMs) return 'adopt'
  // What runs straight needs nobody else.
  if (used.relayed && !fresh.relayed) return 'adopt'
  return 'refuse'
}

/** What the other node does with a link that it is told was adopted, given the one it uses. */
export function heed(
  used: { readonly instance: InstanceId; readonly choice: number } | null,
  adopted: { readonly instance: InstanceId; readonly choice: number },
): 'use' | 'refuse' {
  if (used === null || used.instance !== adopted.instance) return 'use'
  return adopted.choice > used.choice ? 'use' : 'refuse'
}
