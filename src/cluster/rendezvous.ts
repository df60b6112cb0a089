// Which of several nodes is the one for a key: each node that knows the same candidates finds the same one, and when a
// candidate goes, only its own keys move (highest random weight; Thaler and Ravishankar 1998).

import type { NodeId } from '../base/ids.ts'

/** FNV-1a over both texts, mixed so that neighbours differ in all bits. */
function weight(key: string, node: NodeId): number {
  let sum = 0x811c9dc5
  for (let index = 0; index < key.length; index++) sum = Math.imul(sum ^ key.charCodeAt(index), 0x01000193)
  for (let index = 0; index < node.length; index++) sum = Math.imul(sum ^ node.charCodeAt(index), 0x01000193)
  sum = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b)
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae35)
  return (sum ^ (sum >>> 16)) >>> 0
}

export function rendezvous(key: string, nodes: Iterable<NodeId>): NodeId | null {
  let best: NodeId | null = null
  let bestWeight = -1
  for (const node of nodes) {
    const own = weight(key, node)
    if (own > bestWeight || (own === bestWeight && node > best!)) [best, bestWeight] = [node, own]
  }
  return best
}
