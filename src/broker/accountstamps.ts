// Bounds of accounts and rules, and the stamps of what first setup makes: before anything that was written on purpose,
// and the same on every box that makes the same.

import { KiB } from '../base/limits.ts'
import type { Stamp } from '../base/stamps.ts'

/** As a map that boxes share (cluster/maps/lwwreplica.ts). Removed accounts and rules count. */
export const ACCOUNT_BOUNDS = {
  name: 'accounts',
  keyBytesMax: 16 * KiB,
  valueBytesMax: 64 * KiB,
  entriesMax: 20_000,
} as const

export const isFirst = (stamp: Stamp): boolean => stamp.wallMs === 0

/** Should two boxes make different things of one name, they agree on one of them: its bytes stand for the node. */
export function firstStamp(value: Buffer): Stamp {
  let high = 0x811c9dc5
  let low = 0x9e3779b9
  for (const byte of value) {
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low ^ byte, 0x85ebca6b) ^ (low >>> 15)
  }
  const node = [high, low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  return { wallMs: 0, counter: 0, node: node as Stamp['node'] }
}
