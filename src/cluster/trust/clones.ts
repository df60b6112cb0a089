// Copied cards and twins: which of two boxes with one identity makes itself a new one. Pure decisions.

import type { InstanceId } from '../../base/ids.ts'
import type { HardwareTies } from '../settings.ts'

const TIES = ['machineId', 'boardSerial', 'firstMac'] as const

/**
 * Whether the identity on this disk was made on other hardware. One tie may change by a repair; a card that was copied
 * into another box differs in two. What is not known on one of both sides tells nothing.
 */
export function copied(kept: HardwareTies, now: HardwareTies): boolean {
  return TIES.filter((tie) => kept[tie] !== '' && now[tie] !== '' && kept[tie] !== now[tie]).length >= 2
}

/** The ties to remember from now on: what is known now, and what was known of the rest. */
export function mergeTies(kept: HardwareTies, now: HardwareTies): HardwareTies {
  return {
    machineId: now.machineId || kept.machineId,
    boardSerial: now.boardSerial || kept.boardSerial,
    firstMac: now.firstMac || kept.firstMac,
  }
}

export const sameTies = (a: HardwareTies, b: HardwareTies): boolean => TIES.every((tie) => a[tie] === b[tie])

/**
 * Somebody answered with our node id: ourselves at another of our addresses, or a living copy of this card. Instances
 * begin with the time of the start, so the later start gives way; both ends come to the same answer.
 */
export function settleTwins(ours: InstanceId, theirs: InstanceId): 'ourselves' | 'give way' | 'stay' {
  if (ours === theirs) return 'ourselves'
  return ours > theirs ? 'give way' : 'stay'
}
