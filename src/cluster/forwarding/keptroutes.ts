// The durable routes of the members as this node's store keeps them: a box that comes up alone, after a power cut of the
// whole building, knows for whom it has to park what it acknowledges (CLUSTER 6). One small record for each member and
// filter, written when the route comes and when it goes: what a member says again after a restart costs no write.

import type { ByteWriter } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Found, FoundRecord, Kept } from '../../broker/ports.ts'
import { isForwardable } from '../../wire/link/routes.ts'
import { type Recordable, RecordKind } from '../../wire/record/batch.ts'
import { readRoute, writeRoute } from '../../wire/record/route.ts'
import type { Safekeeping } from './parking.ts'

/** Records of all members together: some 10 MB of disk. */
const KEPT_MAX = 100_000

/** What is kept of one member, by filter. */
export type KeptOf = Map<string, Kept>

class RouteRecord implements Recordable {
  readonly kind = RecordKind.route
  readonly member: NodeId
  readonly filter: string

  constructor(member: NodeId, filter: string) {
    this.member = member
    this.filter = filter
  }

  write(into: ByteWriter): void {
    writeRoute(into, this)
  }
}

export class KeptRoutes {
  readonly #keeping: Safekeeping
  readonly #meter: Meter
  #count = 0
  /** Of the route that was staged last: what members are told to be taken waits for it. */
  position = 0

  /** `recalled`: a route that an earlier run of this node had kept; `moved`: the store has more than before, or nothing. */
  constructor(
    keeping: Safekeeping,
    meter: Meter,
    recalled: (member: NodeId, filter: string, kept: Kept) => void,
    moved: () => void,
  ) {
    this.#keeping = keeping
    this.#meter = meter
    keeping.takers.set(RecordKind.route, (record, found) => this.#found(record, found, recalled))
    keeping.keeper.watch(moved, moved)
  }

  /** Whether everything up to that position is in the store, or cannot be: a full disk keeps nobody from subscribing. */
  isSafe(position: number): boolean {
    const { keeper, positions } = this.#keeping
    return position <= positions.stored || keeper.full
  }

  put(of: KeptOf, member: NodeId, filter: string): void {
    if (!this.#keeping.lasting || of.has(filter)) return
    if (this.#count >= KEPT_MAX) return this.#meter.count('routes.kept.full')
    const { keeper } = this.#keeping
    of.set(filter, keeper.put(new RouteRecord(member, filter)))
    this.#count++
    this.position = keeper.position
  }

  remove(of: KeptOf, filter: string): void {
    const kept = of.get(filter)
    if (kept === undefined) return
    of.delete(filter)
    this.#count--
    this.#keeping.keeper.remove(kept)
  }

  #found(
    { kept, body }: FoundRecord,
    found: Found,
    recalled: (member: NodeId, filter: string, kept: Kept) => void,
  ): void {
    const stored = readRoute(body)
    if (stored === null || !isForwardable(stored.filter)) return found.remove(kept)
    found.adopt(kept, new RouteRecord(stored.member, stored.filter))
    this.#count++
    recalled(stored.member, stored.filter, kept)
  }
}
