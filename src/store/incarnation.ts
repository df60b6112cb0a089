// The number of this run among all runs of this node: message ids are counted within it, so it must be greater after
// every restart, whatever the clock says. It is staged before anything else of the run: whatever message of this run is
// on disk, the number is there too.

import type { KeyedRecords } from './records.ts'

const SPACE = 'node'
const KEY = 'incarnation'
const BYTES = 6

/** Greater than that of every earlier run; the wall clock where that goes forward. */
export function nextIncarnation(records: KeyedRecords, wallMs: number): number {
  const last = records.get(SPACE, KEY)
  const before = last === null || last.length !== BYTES ? 0 : last.readUIntBE(0, BYTES)
  const incarnation = Math.max(before + 1, Math.floor(wallMs))
  const value = Buffer.alloc(BYTES)
  value.writeUIntBE(incarnation, 0, BYTES)
  records.put(SPACE, KEY, value)
  return incarnation
}
