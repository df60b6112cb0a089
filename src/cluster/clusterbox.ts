// The rest of the box, as its cluster sees it.

import type { NodeId } from '../base/ids.ts'
import type { DeviceService } from './discovery/adverts.ts'
import type { ClientPort } from './members/memberlisteners.ts'
import type { Bundle, HardwareTies } from './settings.ts'
import type { Papers } from './trust/custody.ts'

export interface ClusterBox {
  readonly bundle: Bundle | null
  readonly hardware: HardwareTies
  /** The listeners that devices may be told of; asked when they are announced. */
  devicePorts(): readonly DeviceService[]
  /** This node has another id from now on. */
  renamed?(id: NodeId): void
  /** This node has become a member. */
  joined?(papers: Papers): void
  /** It stands on another CA, or one before is believed no more. */
  renewed?(papers: Papers): void
  /** The listeners that clients on other machines reach. */
  clientPorts?(): readonly ClientPort[]
  /** Sends the clients to other boxes. */
  drain?(): void
  /** Hands what this box alone holds to other members, before it leaves them. */
  handOver?(done: () => void): void
  /** A member's state or link has changed; called from within what changed it. */
  membersChanged?(): void
}
