// The arithmetic of the figures: medians, spread, percentiles, and who kept a run from being faster.

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

const sorted = (figures: readonly number[]): number[] => figures.toSorted((a, b) => a - b)

/** Of an even number the mean of the two in the middle. */
export function median(figures: readonly number[]): number {
  const line = sorted(figures)
  const upper = line[line.length >> 1]
  if (upper === undefined) throw new Error('no figures, no median')
  return line.length % 2 === 1 ? upper : (upper + line[(line.length >> 1) - 1]!) / 2
}

export const spread = (figures: readonly number[]): Spread => ({
  median: median(figures),
  least: Math.min(...figures),
  most: Math.max(...figures),
})

/** The smallest figure that `part` of them do not exceed, 0 < part <= 1. */
export function percentile(figures: readonly number[], part: number): number {
  const line = sorted(figures)
  const at = line[Math.max(0, Math.ceil(line.length * part) - 1)]
  if (at === undefined) throw new Error('no figures, no percentile')
  return at
}

export type Bottleneck = 'broker' | 'load' | 'both' | 'neither'

/** From this share of its core on, a process has no more to give. */
const FULL = 0.9

/** Shares of a core. When it is the load that is full, the broker's rate is a lower bound and only its CPU time tells. */
export function bottleneck(brokerShare: number, loadShare: number): Bottleneck {
  if (brokerShare >= FULL) return loadShare >= FULL ? 'both' : 'broker'
  return loadShare >= FULL ? 'load' : 'neither'
}
