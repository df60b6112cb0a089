// First setup as one pure decision: from what lies on disk and what was heard to what to do next.

import type { ClusterId } from '../../base/ids.ts'

/** How long a box listens before it makes a cluster of its own. */
export const LISTEN_MS = 8000
/** Longer than a box with a lower instance needs to find out that it is alone and to make its CA. */
const FOUNDING_MS = 4000
/** Whoever keeps appearing as yet another fresh box does not hold up a setup for ever. */
const LISTEN_MAX_MS = 4 * LISTEN_MS

export interface Evidence {
  /** Has a certificate of its own. */
  readonly certificate: boolean
  /** The CA that is known here, and whether its key is. */
  readonly authority: 'none' | 'certificate' | 'key'
  /** Told to make a cluster without listening first. */
  readonly newCluster: boolean
  readonly listenedMs: number
  /** A cluster that was heard while listening. */
  readonly heard: { readonly cluster: ClusterId; readonly address: string } | null
  /** The cluster that was heard at an earlier start. */
  readonly waitingFor: ClusterId | null
  /** When (of `listenedMs`) the last other fresh box with a lower instance appeared: it goes first. */
  readonly lowerAppearedMs: number | null
}

export type Decision =
  | { readonly to: 'serve' }
  | { readonly to: 'issue' }
  | { readonly to: 'found' }
  | { readonly to: 'listen'; readonly untilMs: number }
  | { readonly to: 'wait'; readonly why: string; readonly cluster: ClusterId | null }

export function decideSetup(evidence: Evidence): Decision {
  if (evidence.certificate) return { to: 'serve' }
  if (evidence.authority === 'key') return { to: 'issue' }
  if (evidence.authority === 'certificate') {
    return { to: 'wait', why: 'the CA is here without its key; waiting to be let in', cluster: null }
  }
  if (evidence.newCluster) return { to: 'found' }
  if (evidence.heard !== null) {
    const { cluster, address } = evidence.heard
    return { to: 'wait', why: `heard cluster ${cluster} at ${address}; waiting to be let in`, cluster }
  }
  const { lowerAppearedMs } = evidence
  const lowerUntilMs = lowerAppearedMs === null ? 0 : lowerAppearedMs + LISTEN_MS + FOUNDING_MS
  const untilMs = Math.max(LISTEN_MS, Math.min(lowerUntilMs, LISTEN_MAX_MS))
  if (evidence.listenedMs < untilMs) return { to: 'listen', untilMs }
  // A box that once heard a cluster does not make another one because the first is switched off just now.
  if (evidence.waitingFor !== null) {
    const cluster = evidence.waitingFor
    const why = `heard cluster ${cluster} at an earlier start, not now; waiting to be let in (to make a new cluster instead, start once with --new-cluster)`
    return { to: 'wait', why, cluster }
  }
  return { to: 'found' }
}
