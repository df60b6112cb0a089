// Who says of whom that they have a link with it. What a member says counts as long as it can be heard itself.

import type { NodeId } from '../../base/ids.ts'

export class Vouching {
  /** By the member that is spoken of. */
  readonly #tellers = new Map<NodeId, Set<NodeId>>()

  says(teller: NodeId, of: NodeId, linked: boolean): void {
    const tellers = this.#tellers.get(of)
    if (!linked) return void tellers?.delete(teller)
    if (tellers === undefined) this.#tellers.set(of, new Set([teller]))
    else tellers.add(teller)
  }

  /** Nothing that it said counts any more. */
  silent(teller: NodeId): void {
    for (const [of, tellers] of this.#tellers) {
      tellers.delete(teller)
      if (tellers.size === 0) this.#tellers.delete(of)
    }
  }

  for(member: NodeId): readonly NodeId[] {
    return [...(this.#tellers.get(member) ?? [])]
  }
}
