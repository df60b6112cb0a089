// The bounded table of candidates: who may enter, and who must leave for it. Strangers never push out a box that has
// shown something for itself, and one address never fills the table.

import type { ClusterId, InstanceId, NodeId } from '../../base/ids.ts'
import { limits } from '../../base/limits.ts'
import { type Endpoint, endpointText } from '../../base/ports/streams.ts'
import { type DialOutcome, LOST_MS, type Standing, type Verdict } from '../links/dialling.ts'

export type Source = 'beacon' | 'mdns' | 'static' | 'member' | 'memory' | 'manual'

/** Sources that make a candidate proven: people, our own disk, and members, which have shown their certificate. */
const PROOF: ReadonlySet<Source> = new Set<Source>(['static', 'member', 'memory', 'manual'])
/** What people have asked for is kept until they take it back. */
const LASTING: readonly Source[] = ['static', 'manual']

export interface Candidate {
  readonly key: string
  readonly endpoint: Endpoint
  readonly sources: Set<Source>
  /** The node that lives there, from a link, a member or our own disk; null: only what it says. */
  node: NodeId | null
  /** Whether a link to it was up in this run. */
  linkedBefore: boolean
  /** What it says of itself in beacons and mDNS. Anyone on the LAN can say so in its name. */
  said: { readonly node: NodeId | null; readonly instance: InstanceId | null; readonly cluster: ClusterId | null }
  heardMs: number
  lostMs: number | null
  failures: number
  /** Links in a row that broke as soon as they were up. */
  flaps: number
  dueMs: number
  endedMs: number
  state: 'idle' | 'dialling'
  /** It was heard while it was being dialled: worth another try at once. */
  heardAgain: boolean
  last: DialOutcome | null
}

export function isStranger(candidate: Candidate): boolean {
  if (candidate.linkedBefore) return false
  for (const source of candidate.sources) if (PROOF.has(source)) return false
  return true
}

export function standingOf(candidate: Candidate, nowMs: number): Standing {
  if (isStranger(candidate)) return 'unproven'
  return candidate.lostMs !== null && nowMs - candidate.lostMs < LOST_MS ? 'lost' : 'proven'
}

/** At most this many strangers, so that the rest is always free for boxes we know. */
export const STRANGERS_MAX = limits.candidates / 2
/** Strangers at one address: more than the nodes that anyone runs on one box. */
export const STRANGERS_PER_ADDRESS = 8
/** A stranger leaves for another this often at most: several times the rate at which strangers are dialled. */
const REPLACE_MS = 20
/** Addresses kept of one node; its older ones go first. */
export const ADDRESSES_PER_NODE = 4

export class CandidateTable {
  readonly #entries = new Map<string, Candidate>()
  #strangers = 0
  readonly #strangersAt = new Map<string, number>()
  /** When a stranger last had to leave for another. */
  #replacedMs = Number.NEGATIVE_INFINITY

  values(): IterableIterator<Candidate> {
    return this.#entries.values()
  }

  get(endpoint: Endpoint): Candidate | undefined {
    return this.#entries.get(endpointText(endpoint))
  }

  has(candidate: Candidate): boolean {
    return this.#entries.get(candidate.key) === candidate
  }

  remove(candidate: Candidate): void {
    if (!this.has(candidate)) return
    this.#entries.delete(candidate.key)
    if (isStranger(candidate)) this.#countStranger(candidate, -1)
  }

  /** Applies a change that may make a stranger one of ours, or the reverse. */
  change(candidate: Candidate, apply: (candidate: Candidate) => void): void {
    const before = isStranger(candidate)
    apply(candidate)
    const after = isStranger(candidate)
    if (this.has(candidate) && before !== after) this.#countStranger(candidate, after ? 1 : -1)
  }

  /**
   * Enters a candidate, making room where that is allowed; null: there is none. `verdict` tells which strangers are
   * not waiting to be dialled anyway.
   */
  add(
    endpoint: Endpoint,
    source: Source,
    node: NodeId | null,
    nowMs: number,
    verdict: (candidate: Candidate) => Verdict,
  ): Candidate | null {
    const candidate: Candidate = {
      key: endpointText(endpoint),
      endpoint,
      sources: new Set([source]),
      node,
      linkedBefore: false,
      said: { node: null, instance: null, cluster: null },
      heardMs: nowMs,
      lostMs: null,
      failures: 0,
      flaps: 0,
      dueMs: nowMs,
      endedMs: nowMs,
      state: 'idle',
      heardAgain: false,
      last: null,
    }
    const proven = PROOF.has(source)
    if (!(proven ? this.#roomForOurs(node) : this.#roomForStranger(candidate, nowMs, verdict))) return null
    this.#entries.set(candidate.key, candidate)
    if (!proven) this.#countStranger(candidate, 1)
    return candidate
  }

  #countStranger({ endpoint: { address } }: Candidate, by: 1 | -1): void {
    this.#strangers += by
    const count = (this.#strangersAt.get(address) ?? 0) + by
    if (count === 0) this.#strangersAt.delete(address)
    else this.#strangersAt.set(address, count)
  }

  #roomForStranger(newcomer: Candidate, nowMs: number, verdict: (candidate: Candidate) => Verdict): boolean {
    const { address } = newcomer.endpoint
    const crowded = (this.#strangersAt.get(address) ?? 0) >= STRANGERS_PER_ADDRESS
    if (!crowded && this.#strangers < STRANGERS_MAX && this.#entries.size < limits.candidates) return true
    // Looking for somebody to leave costs more than a datagram may: in a flood most newcomers are turned away unseen.
    if (nowMs - this.#replacedMs < REPLACE_MS) return false
    this.#replacedMs = nowMs
    if (crowded) {
      const leaving = longestUnheard(
        this.#find((other) => other.endpoint.address === address && isStranger(other) && isIdle(other)),
      )
      if (leaving === null) return false
      // Its failures stay with the address: announcing one port after the other is not a way to be dialled more often.
      newcomer.failures = leaving.failures
      newcomer.dueMs = leaving.dueMs
      newcomer.endedMs = leaving.endedMs
      this.remove(leaving)
      return true
    }
    const idle = this.#find((other) => isIdle(other) && isStranger(other))
    const leaving =
      longestUnheard(idle.filter((other) => verdict(other) !== 'dial')) ??
      longestUnheard(idle.filter((other) => other.failures > 0 && other.dueMs <= nowMs)) ??
      longestUnheard(idle.filter((other) => other.failures > 0))
    if (leaving === null) return false
    this.remove(leaving)
    return true
  }

  #roomForOurs(node: NodeId | null): boolean {
    if (node !== null) {
      const same = this.#find((other) => other.node === node && !isLasting(other))
      const oldest = same.length < ADDRESSES_PER_NODE ? null : longestUnheard(same.filter(isIdle))
      if (oldest !== null) this.remove(oldest)
    }
    if (this.#entries.size < limits.candidates) return true
    const idle = this.#find((other) => isIdle(other) && !isLasting(other))
    const leaving =
      longestUnheard(idle.filter((other) => isStranger(other))) ??
      longestUnheard(idle.filter((other) => !other.linkedBefore)) ??
      longestUnheard(idle)
    if (leaving === null) return false
    this.remove(leaving)
    return true
  }

  #find(wanted: (candidate: Candidate) => boolean): Candidate[] {
    const found: Candidate[] = []
    for (const candidate of this.#entries.values()) if (wanted(candidate)) found.push(candidate)
    return found
  }
}

const isIdle = (candidate: Candidate): boolean => candidate.state === 'idle'
const isLasting = (candidate: Candidate): boolean => LASTING.some((source) => candidate.sources.has(source))

function longestUnheard(candidates: readonly Candidate[]): Candidate | null {
  let longest: Candidate | null = null
  for (const candidate of candidates) if (longest === null || candidate.heardMs < longest.heardMs) longest = candidate
  return longest
}
