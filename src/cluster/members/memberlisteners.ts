// Where clients reach the other boxes: each says which types of listeners it has. A box that stops or leaves sends its
// clients to those.

import type { NodeId } from '../../base/ids.ts'
import type { Endpoint } from '../../base/ports/streams.ts'
import type { StampClock } from '../../base/stamps.ts'
import { checkFact, decodePort, encodePort, FACT_BYTES_MAX, listenerKey } from '../../wire/link/facts.ts'
import { OwnedMap } from '../maps/ownedmap.ts'
import type { Channels, FeatureWorld, Membership, MemberView } from '../ports.ts'

/** More types of listeners, or other facts, than any version will have. */
const ENTRIES_MAX = 256
/** Boxes that a client is told of. */
const TOLD_MAX = 4

/** A listener that clients of other machines reach. */
export interface ClientPort {
  readonly type: string
  readonly port: number
}

/** Those of the listeners that other machines reach. */
export const clientPorts = (
  rows: readonly { readonly settings: { readonly type: string; readonly bind: string }; readonly port: number }[],
): readonly ClientPort[] =>
  rows.flatMap(({ settings: { type, bind }, port }) =>
    type === 'unix' || bind === '::1' || bind.startsWith('127.') ? [] : [{ type, port }],
  )

/** What is known of a member beside its state. */
export interface LocatedMember extends MemberView {
  readonly endpoints: readonly Endpoint[]
}

export class MemberListeners {
  readonly #map: OwnedMap
  readonly #members: () => Iterable<LocatedMember>

  constructor(
    world: FeatureWorld,
    channels: Channels,
    membership: Membership,
    stamps: StampClock,
    members: () => Iterable<LocatedMember>,
  ) {
    this.#members = members
    this.#map = new OwnedMap(
      { name: 'facts', valueBytesMax: FACT_BYTES_MAX, entriesMax: ENTRIES_MAX, check: checkFact },
      world,
      channels,
      membership,
      stamps,
      { changed: () => {}, partHidden: () => {}, partShown: () => {}, partDropped: () => {} },
    )
  }

  stop(): void {
    this.#map.stop()
  }

  /** These are open on this box now; of a type with several, the first counts. */
  open(listeners: readonly ClientPort[]): void {
    const ports = new Map<string, number>()
    for (const { type, port } of listeners) if (!ports.has(type)) ports.set(type, port)
    for (const key of [...this.#map.own.keys()]) {
      if (![...ports.keys()].some((type) => listenerKey(type) === key)) this.#map.set(key, null)
    }
    for (const [type, port] of ports) {
      const value = encodePort(port)
      if (!this.#map.own.get(listenerKey(type))?.equals(value)) this.#map.set(listenerKey(type), value)
    }
  }

  /** Where other boxes that live have a listener of the type. */
  elsewhere(type: string): readonly Endpoint[] {
    const found: Endpoint[] = []
    for (const { id, state, linked, endpoints } of this.#members()) {
      const address = endpoints[0]?.address
      if (!linked || state !== 'alive' || address === undefined || found.length >= TOLD_MAX) continue
      const port = this.#portOf(id, type)
      if (port !== null) found.push({ address, port })
    }
    return found
  }

  #portOf(member: NodeId, type: string): number | null {
    const value = this.#map.part(member)?.get(listenerKey(type))
    return value === undefined ? null : decodePort(value)
  }
}
