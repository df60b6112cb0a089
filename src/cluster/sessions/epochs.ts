// Epochs that a wrong clock has made. When cluster time is moved by more than clocks may differ, an epoch further ahead
// than anybody's stamp would win over every CONNECT to come, and one of 1970 would lose to each before it: it moves along.

import type { NodeId } from '../../base/ids.ts'
import { STAMP_AHEAD_MAX_MS, type Stamp } from '../../base/stamps.ts'

/** Cluster time was moved by `byMs`; it is `nowMs` since, and this run of `node` took it to be `sinceMs` at the earliest. */
export interface TimeStep {
  readonly byMs: number
  readonly sinceMs: number
  readonly nowMs: number
  readonly node: NodeId
}

/** The epoch as it is by the time that counts now; null: it stays. */
export function movedEpoch(epoch: Stamp, { byMs, sinceMs, nowMs, node }: TimeStep): Stamp | null {
  if (Math.abs(byMs) < STAMP_AHEAD_MAX_MS) return null
  const ahead = epoch.wallMs > nowMs + STAMP_AHEAD_MAX_MS
  // Of this run, by the clock that was late.
  const late = byMs > 0 && epoch.node === node && epoch.wallMs >= sinceMs && epoch.wallMs <= nowMs - byMs
  if (!ahead && !late) return null
  return { ...epoch, wallMs: Math.max(0, Math.min(nowMs, epoch.wallMs + byMs)) }
}
