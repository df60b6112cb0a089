// What becomes of a write that another box tells of.

import { compareStamps, type Stamp } from '../../base/stamps.ts'

/** Tombstones live this long in cluster time (CLUSTER 4). */
export const REMEMBERED_MS = 30 * 24 * 3600 * 1000

export type LwwVerdict =
  | 'take'
  /** What stands here is as late or later. */
  | 'older'
  /** Nobody here knows the key any more, and the write is older than removals that were forgotten: so it was removed. */
  | 'deleted'

/** `mine`: the stamp that stands here; null: the key is not known. `horizon`: of this box. */
export function judge(mine: Stamp | null, theirs: Stamp, horizon: Stamp | null): LwwVerdict {
  if (mine !== null) return compareStamps(theirs, mine) > 0 ? 'take' : 'older'
  return wasDeleted(theirs, horizon) ? 'deleted' : 'take'
}

/** Whether an entry with this stamp, unknown to a box with that horizon, was removed there. */
export const wasDeleted = (stamp: Stamp, horizon: Stamp | null): boolean =>
  horizon !== null && compareStamps(stamp, horizon) <= 0

export const later = (a: Stamp | null, b: Stamp | null): Stamp | null =>
  a === null || (b !== null && compareStamps(b, a) > 0) ? b : a
