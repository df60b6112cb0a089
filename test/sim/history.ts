// What really happened in the world, for the checkers to judge what was seen: faults between machines, runs of nodes,
// and when both ends of each pair of nodes called themselves linked.

interface Span {
  readonly from: number
  to: number
}

const pairKey = (a: number, b: number): number => Math.min(a, b) * 4096 + Math.max(a, b)

export class History {
  /** Machine pair -> faults between them. */
  readonly #faults = new Map<number, Span[]>()
  /** Node pair -> spans in which both called the other alive and linked, and no stream of theirs ended. */
  readonly #links = new Map<number, Span[]>()
  /** Node pair -> the span that goes on. */
  readonly #linked = new Map<number, Span>()

  /** A fault between two machines begins; the returned function ends it. */
  fault(a: number, b: number, now: number): (now: number) => void {
    const span: Span = { from: now, to: Number.POSITIVE_INFINITY }
    const key = pairKey(a, b)
    const spans = this.#faults.get(key)
    if (spans === undefined) this.#faults.set(key, [span])
    else spans.push(span)
    return (at) => {
      span.to = at
    }
  }

  disturbed(machineA: number, machineB: number, from: number, to: number): boolean {
    if (machineA === machineB) return false
    const spans = this.#faults.get(pairKey(machineA, machineB)) ?? []
    return spans.some((span) => span.from <= to && span.to >= from)
  }

  /** A sample: whether both ends say that they are linked. */
  sample(nodeA: number, nodeB: number, linked: boolean, now: number): void {
    const key = pairKey(nodeA, nodeB)
    const span = this.#linked.get(key)
    if (!linked) {
      this.#linked.delete(key)
    } else if (span !== undefined) {
      span.to = now
    } else {
      const fresh: Span = { from: now, to: now }
      this.#linked.set(key, fresh)
      const spans = this.#links.get(key)
      if (spans === undefined) this.#links.set(key, [fresh])
      else spans.push(fresh)
    }
  }

  /** A stream between the two ended: whether it was the link or not, nothing is promised across this moment. */
  streamEnded(nodeA: number, nodeB: number): void {
    this.#linked.delete(pairKey(nodeA, nodeB))
  }

  /** Since when the two have been linked without a break until `to`, asked of a moment `at`; null: they were not. */
  linkedSince(nodeA: number, nodeB: number, at: number, to: number): number | null {
    const spans = this.#links.get(pairKey(nodeA, nodeB)) ?? []
    return spans.find((span) => span.from <= at && span.to >= to)?.from ?? null
  }

  /** Whether the two are linked at the last sample. */
  linkedNow(nodeA: number, nodeB: number): boolean {
    return this.#linked.has(pairKey(nodeA, nodeB))
  }
}
