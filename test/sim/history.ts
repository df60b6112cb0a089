// What really happened in the world, for the checkers to judge what was seen: faults between machines, runs of nodes,
// and when both ends of each pair of nodes called themselves linked.

export interface Span {
  readonly from: number
  /** Infinity: it goes on. */
  to: number
}

/** A store that could not write tries again every second, and notices then that there is room. */
const FULL_NOTICED_MS = 3000

/** Everybody has noticed a death and its backup stands in after this long. */
const DEATH_NOTICED_MS = 8000

const pairKey = (a: number, b: number): number => Math.min(a, b) * 4096 + Math.max(a, b)

export class History {
  /** By how much a clock was wrong at most. */
  clockOffMs = 0
  /** Machine pair -> faults between them. */
  readonly #faults = new Map<number, Span[]>()
  /** Node pair -> spans in which both called the other alive and linked, and no stream of theirs ended. */
  readonly #links = new Map<number, Span[]>()
  /** Node pair -> the span that goes on. */
  readonly #linked = new Map<number, Span>()
  /** Node -> its runs, in their order. */
  readonly #runs = new Map<number, Span[]>()
  readonly #putBack: { readonly node: number; readonly copiedAt: number; readonly at: number }[] = []
  /** Node -> when its disk was full. */
  readonly #full = new Map<number, Span[]>()

  /** A fault between two machines begins; the returned function ends it. */
  fault(a: number, b: number, now: number): (now: number) => void {
    return begin(this.#faults, pairKey(a, b), now)
  }

  disturbed(machineA: number, machineB: number, from: number, to: number): boolean {
    if (machineA === machineB) return false
    const spans = this.#faults.get(pairKey(machineA, machineB)) ?? []
    return spans.some((span) => span.from <= to && span.to >= from)
  }

  /** Whether anything was wrong between any two machines, or any node died, between the two. */
  troubled(from: number, to: number): boolean {
    if (this.deaths(from - DEATH_NOTICED_MS, to) > 0) return true
    for (const spans of this.#faults.values()) if (spans.some((one) => one.from <= to && one.to >= from)) return true
    return false
  }

  /** The disk of a node is full from now on; the returned function ends it. */
  diskFull(node: number, now: number): (now: number) => void {
    return begin(this.#full, node, now)
  }

  /** Whether the node had a reason to say no between the two. */
  wasFull(node: number, from: number, to: number): boolean {
    return (this.#full.get(node) ?? []).some((span) => span.from <= to && span.to >= from - FULL_NOTICED_MS)
  }

  /** Since when the end of what a node had promised may not be on its disk, when it dies now. */
  unwrittenSince(node: number, now: number): number {
    // What comes back is the disk as it was copied, which may have been full then, or not have noticed yet that it is not.
    const until = this.forgottenSince(node, now)
    const full = (this.#full.get(node) ?? []).filter((span) => span.to >= until - FULL_NOTICED_MS)
    return Math.min(until, ...full.map((span) => span.from))
  }

  /** Since when everything is forgotten that a node has promised, when it dies now. */
  forgottenSince(node: number, now: number): number {
    return Math.min(
      now,
      ...this.#putBack.filter((one) => one.node === node && one.at === now).map((one) => one.copiedAt),
    )
  }

  /** A copy of a node's disk, made at `copiedAt`, is put back. */
  putBack(node: number, copiedAt: number, now: number): void {
    this.#putBack.push({ node, copiedAt, at: now })
  }

  /** Whether the node has forgotten what it promised at `at`. */
  hasForgotten(node: number, at: number): boolean {
    return this.#putBack.some((one) => one.node === node && one.at >= at)
  }

  /** The clock of a node is off by so much. */
  clockWas(offsetMs: number): void {
    this.clockOffMs = Math.max(this.clockOffMs, Math.abs(offsetMs))
  }

  /** The next run of a node begins; the returned function ends it. */
  run(node: number, now: number): (now: number) => void {
    return begin(this.#runs, node, now)
  }

  /** When a run of a node was; nobody asks for one that has not begun. */
  runOf(node: number, run: number): Span {
    return this.#runs.get(node)![run]!
  }

  /** Whether the node ran all the time between the two, or not at all. */
  stateOf(node: number, from: number, to: number): 'up' | 'down' | 'changed' {
    const runs = (this.#runs.get(node) ?? []).filter((run) => run.from <= to && run.to >= from)
    if (runs.length === 0) return 'down'
    return runs.some((run) => run.from <= from && run.to >= to) ? 'up' : 'changed'
  }

  /** Ends of runs, of whichever nodes, between the two. */
  deaths(from: number, to: number): number {
    let count = 0
    for (const runs of this.#runs.values()) for (const run of runs) if (run.to >= from && run.to <= to) count++
    return count
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
      add(this.#links, key, fresh)
    }
  }

  /** A stream between the two ended: whether it was the link or not, nothing is promised across this moment. */
  streamEnded(nodeA: number, nodeB: number): void {
    this.#linked.delete(pairKey(nodeA, nodeB))
  }

  /** When the two were linked. */
  links(nodeA: number, nodeB: number): readonly Span[] {
    return this.#links.get(pairKey(nodeA, nodeB)) ?? []
  }

  /** Since when the two have been linked without a break until `to`, asked of a moment `at`; null: they were not. */
  linkedSince(nodeA: number, nodeB: number, at: number, to: number): number | null {
    return this.links(nodeA, nodeB).find((span) => span.from <= at && span.to >= to)?.from ?? null
  }
}

function add(spans: Map<number, Span[]>, key: number, span: Span): void {
  const list = spans.get(key)
  if (list === undefined) spans.set(key, [span])
  else list.push(span)
}

function begin(spans: Map<number, Span[]>, key: number, now: number): (now: number) => void {
  const span: Span = { from: now, to: Number.POSITIVE_INFINITY }
  add(spans, key, span)
  return (at) => {
    span.to = Math.min(span.to, at)
  }
}
