// The wills of a dead box's clients: when each is due and which box publishes it, decided without side effects.

import type { ClientId, NodeId } from '../../base/ids.ts'
import { compareStamps, type Stamp } from '../../base/stamps.ts'
import { rendezvous } from '../rendezvous.ts'

/** When the will of a client is due whose box died at `deadMs`: at least the delay that its client has asked for. */
export const dueMs = (deadMs: number, afterMs: number, delaySec: number): number =>
  deadMs + Math.max(afterMs, delaySec * 1000)

/** `epoch` is of another CONNECT than the will's, and a later one: the client has come back since. */
export const isBack = (willEpoch: Stamp, epoch: Stamp): boolean => compareStamps(epoch, willEpoch) > 0

/** Which of the living publishes it: every box that knows the same ones finds the same. */
export const publisherOf = (clientId: ClientId, living: Iterable<NodeId>): NodeId | null => rendezvous(clientId, living)
