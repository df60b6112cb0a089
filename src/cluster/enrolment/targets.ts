// Members that a box may ask to be let in by, and when each is asked again. Bounded: anyone may forge a beacon.

import type { ClusterId } from '../../base/ids.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import type { AttemptOutcome } from './enrolattempt.ts'

const TARGETS_MAX = 64
/** A member that is heard no more is asked no more. */
const SILENT_MS = 60_000
const SECOND = 1000

export interface Target {
  readonly key: string
  readonly endpoint: Endpoint
  /** Null: not heard. */
  cluster: ClusterId | null
  /** By people. */
  named: boolean
  heardMs: number
  dueMs: number
  failures: number
}

/** How long until a member is asked again. Pure. */
export function pauseAfter(
  outcome: Exclude<AttemptOutcome, { at: 'admitted' }>,
  compared: boolean,
  failures: number,
): number {
  // The conversation with it ended: it was stopped, or the network was; somebody may be about to approve.
  if (compared) return SECOND
  if (outcome.at === 'unreachable') return Math.min(30 * SECOND, 2 * SECOND * 2 ** Math.min(failures - 1, 10))
  // A member may become the one that can, or people set the password right.
  return outcome.reason === 'wrong' ? 30 * SECOND : 15 * SECOND
}

export class Targets {
  readonly #targets = new Map<string, Target>()

  all(): Target[] {
    return [...this.#targets.values()]
  }

  heard(endpoint: Endpoint, cluster: ClusterId, nowMs: number): void {
    const target = this.#get(endpoint, nowMs)
    if (target.cluster !== cluster) {
      target.dueMs = Math.min(target.dueMs, nowMs)
      target.failures = 0
    }
    target.cluster = cluster
    target.heardMs = nowMs
  }

  named(endpoint: Endpoint, nowMs: number): void {
    this.#get(endpoint, nowMs).named = true
  }

  /** The one that is due first, at once or later, of those that fit and are still there. */
  due(fits: (target: Target) => boolean, nowMs: number): Target | null {
    let first: Target | null = null
    for (const target of this.#targets.values()) {
      if (!target.named && nowMs - target.heardMs > SILENT_MS) continue
      if (fits(target) && (first === null || target.dueMs < first.dueMs)) first = target
    }
    return first
  }

  dueNow(nowMs: number): void {
    for (const target of this.#targets.values()) target.dueMs = Math.min(target.dueMs, nowMs)
  }

  failed(target: Target, outcome: Exclude<AttemptOutcome, { at: 'admitted' }>, compared: boolean, nowMs: number): void {
    target.failures++
    target.dueMs = nowMs + pauseAfter(outcome, compared, target.failures)
    if (compared) target.failures = 0
  }

  #get(endpoint: Endpoint, nowMs: number): Target {
    const key = endpointText(endpoint)
    const known = this.#targets.get(key)
    if (known !== undefined) return known
    const made = { key, endpoint, cluster: null, named: false, heardMs: nowMs, dueMs: nowMs, failures: 0 }
    if (this.#targets.size >= TARGETS_MAX) this.#dropOne()
    this.#targets.set(key, made)
    return made
  }

  /** Who was heard longest ago goes, but nobody that people named. */
  #dropOne(): void {
    let oldest: Target | null = null
    for (const target of this.#targets.values()) {
      if (!target.named && (oldest === null || target.heardMs < oldest.heardMs)) oldest = target
    }
    if (oldest !== null) this.#targets.delete(oldest.key)
  }
}
