// Messages that go on from here though they were begun elsewhere: what a member may not have is for who keeps its sessions
// going, and what another box had parked is for the member still.

import type { NodeId } from '../../base/ids.ts'
import type { Meter } from '../../base/meter.ts'
import type { Clock } from '../../base/ports/clock.ts'
import type { Kept, LocalDelivery } from '../../broker/ports.ts'
import type { Membership } from '../ports.ts'
import { deliverAgain } from './again.ts'
import type { HeldItems } from './heldparked.ts'
import type { Outgoing } from './outgoing.ts'
import type { ParkedCopiesHome } from './parkedcopies.ts'
import type { ParkedItems, Parking } from './parking.ts'

export interface GoingOnHome {
  readonly clock: Clock
  readonly meter: Meter
  readonly membership: Membership
  readonly parking: Parking
  /** On how many boxes things are to be, this one included. */
  wanted(): number
  member(peer: NodeId): Outgoing
  readonly local: () => LocalDelivery | null
}

export class GoingOn implements ParkedCopiesHome {
  readonly #home: GoingOnHome

  constructor(home: GoingOnHome) {
    this.#home = home
  }

  get parking(): Parking {
    return this.#home.parking
  }

  wanted(): number {
    return this.#home.wanted()
  }

  release(kept: Kept): void {
    this.#home.parking.release(kept)
  }

  /** `to` keeps sessions going of the member that may not have these: they are for it, too. */
  handOver(found: readonly ParkedItems[], to: NodeId): void {
    const { clock, meter, membership, parking, member } = this.#home
    for (const items of found) {
      meter.count('forward.handed-over', items.count)
      const local = this.#home.local()
      if (to !== membership.self)
        member(to).restore({ ...items, member: to, kept: parking.park(to, items, true), handed: true })
      else if (local !== null) deliverAgain(items.bytes, local, clock.now())
    }
    if (found.length > 0 && to !== membership.self) member(to).room()
  }

  /** The box is gone that had this parked; null: there is nothing to wait for. */
  takeOver(items: HeldItems): Kept | null {
    const { clock, membership, parking } = this.#home
    const { member, bytes, handed } = items
    const local = this.#home.local()
    if (member === membership.self) {
      if (local !== null) deliverAgain(bytes, local, clock.now(), handed ? 'handed' : 'late')
      return null
    }
    if (membership.member(member)?.state === 'left') return null
    const kept = parking.park(member, items, handed)
    const outgoing = this.#home.member(member)
    outgoing.restore({ ...items, kept })
    outgoing.room()
    return kept
  }
}
