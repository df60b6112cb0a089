// When a candidate is dialled: pure decisions, and the bounds that hold whatever is announced.

import type { ClusterId, NodeId } from '../../base/ids.ts'

export type DialOutcome =
  /** A link is up, by this dial or already. */
  | { readonly at: 'linked'; readonly node: NodeId }
  /** We reached ourselves. */
  | { readonly at: 'self' }
  | { readonly at: 'foreign'; readonly cluster: ClusterId }
  /** Someone answered, and one of us would not have the other. */
  | { readonly at: 'refused'; readonly reason: string }
  | { readonly at: 'unreachable'; readonly why: string }

/** How much a candidate has shown for itself. `lost`: was linked a short while ago. */
export type Standing = 'unproven' | 'proven' | 'lost'

const SECOND = 1000
const MINUTE = 60 * SECOND

/** Pauses after a failure: the first, doubled each time up to the last. */
export const PAUSES: Readonly<Record<Standing, { readonly firstMs: number; readonly lastMs: number }>> = {
  unproven: { firstMs: 5 * SECOND, lastMs: 10 * MINUTE },
  proven: { firstMs: SECOND, lastMs: 30 * SECOND },
  // A member that was cut off is to be linked within 10 s of its return, even where nothing announces the return: the
  // pause and one attempt must fit.
  lost: { firstMs: SECOND, lastMs: 4 * SECOND },
}

/** How long a lost member is looked for so eagerly. */
export const LOST_MS = 10 * MINUTE
/** Foreign clusters, and our own other addresses, are left in peace. */
export const PEACE_MS = 10 * MINUTE
/** A refusal is a decision, not an accident: the pause until it is asked for again grows like a stranger's. */
const REFUSED: Standing = 'unproven'

/** Jittered by up to a quarter: a stranger is asked later, never sooner; one of ours sooner, never later. */
export function pauseMs(standing: Standing, failures: number, chance: number): number {
  const { firstMs, lastMs } = PAUSES[standing]
  const pause = Math.min(lastMs, firstMs * 2 ** Math.min(failures - 1, 30))
  return standing === 'unproven' ? Math.min(lastMs, pause * (1 + chance / 4)) : pause * (1 - chance / 4)
}

/** How many failures in a row, and how long to wait, after an attempt ended. */
export function afterDial(
  outcome: DialOutcome,
  standing: Standing,
  failures: number,
  chance: number,
): { readonly failures: number; readonly pauseMs: number } {
  switch (outcome.at) {
    case 'linked':
      return { failures: 0, pauseMs: SECOND }
    case 'self':
    case 'foreign':
      return { failures: failures + 1, pauseMs: PEACE_MS * (1 + chance / 4) }
    case 'refused':
      return {
        failures: failures + 1,
        pauseMs: Math.min(pauseMs(REFUSED, failures + 1, chance), standing === 'unproven' ? PEACE_MS : MINUTE / 2),
      }
    case 'unreachable':
      return { failures: failures + 1, pauseMs: pauseMs(standing, failures + 1, chance) }
  }
}

/** What is known of a candidate when the question is whether to dial it. */
export interface Prospect {
  readonly standing: Standing
  /** The node it is, when that is certain; for strangers the node it says it is. */
  readonly node: NodeId | null
  /** The cluster it says it belongs to; null when it said nothing, zero when it belongs to none. */
  readonly announced: ClusterId | null
  /** Milliseconds since it was last heard of. */
  readonly silentMs: number
  /** A stranger that has been silent for longer is not worth a dial. */
  readonly silentMaxMs: number
}

export type Verdict = 'dial' | 'linked' | 'foreign' | 'silent'

/** Whether a candidate is worth dialling at all; the bounds on rates come on top. */
export function judge(prospect: Prospect, cluster: ClusterId, linked: (node: NodeId) => boolean): Verdict {
  if (prospect.node !== null && linked(prospect.node)) return 'linked'
  // What a datagram says counts only for strangers: a forged one must not keep us from a box that we know.
  if (prospect.standing !== 'unproven') return 'dial'
  if (prospect.announced !== null && prospect.announced !== cluster) return 'foreign'
  return prospect.silentMs > prospect.silentMaxMs ? 'silent' : 'dial'
}

/** Dials in a second, and at once; one dial a second per address for both. */
export const BOUNDS = {
  unproven: { atOnce: 4, perSecond: 10 },
  proven: { atOnce: 16, perSecond: 20 },
  perAddressMs: SECOND,
} as const

type Kind = 'unproven' | 'proven'

/** Keeps the bounds: asks before each dial, is told of each begin and end. Constant memory. */
export class DialBounds {
  readonly #running: Record<Kind, number> = { unproven: 0, proven: 0 }
  readonly #begun: Record<Kind, number[]> = { unproven: [], proven: [] }
  readonly #address = new Map<string, number>()

  /** Milliseconds until a dial may begin: 0 for now, null for not before another has ended. */
  waitMs(kind: Kind, address: string, nowMs: number): number | null {
    const { atOnce, perSecond } = BOUNDS[kind]
    if (this.#running[kind] >= atOnce) return null
    const begun = this.#begun[kind]
    const second = begun.length < perSecond ? 0 : begun[begun.length - perSecond]! + SECOND - nowMs
    const last = this.#address.get(address)
    return Math.max(0, second, last === undefined ? 0 : last + BOUNDS.perAddressMs - nowMs)
  }

  begun(kind: Kind, address: string, nowMs: number): void {
    this.#running[kind]++
    const begun = this.#begun[kind]
    begun.push(nowMs)
    if (begun.length > BOUNDS[kind].perSecond) begun.shift()
    this.#address.delete(address)
    this.#address.set(address, nowMs)
    for (const [other, atMs] of this.#address) {
      if (nowMs - atMs < BOUNDS.perAddressMs) break
      this.#address.delete(other)
    }
  }

  ended(kind: Kind): void {
    this.#running[kind]--
  }
}
