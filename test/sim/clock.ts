// Virtual time: one queue of events for the whole world, in the order (time, sequence), and a clock per node over it.
// Each event is one turn of a node's event loop; what the node asked for with `soon` runs at the turn's end.

import type { Clock, Timer } from '../../src/base/ports/clock.ts'

class Entry implements Timer {
  readonly at: number
  readonly sequence: number
  readonly owner: SimClock | null
  readonly name: string
  run: (() => void) | null
  /** False for what goes on when the node is dead: the network's and the kernel's part. */
  readonly mortal: boolean

  constructor(at: number, sequence: number, owner: SimClock | null, name: string, run: () => void, mortal: boolean) {
    this.at = at
    this.sequence = sequence
    this.owner = owner
    this.name = name
    this.run = run
    this.mortal = mortal
  }

  cancel(): void {
    this.run = null
  }
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.sequence < b.sequence)

/** `soon` within `soon`, this many times in one turn, is a loop that never lets the world go on. */
const ROUNDS_MAX = 10_000

export class Timeline {
  /** Milliseconds since the world began. */
  now = 0
  /** Events run so far, and a hash over their times, owners and names: the same seed gives the same. */
  events = 0
  #hash = 0x811c9dc5
  #sequence = 0
  readonly #heap: Entry[] = []
  #soon: { owner: SimClock; run: () => void }[] = []
  #spare: { owner: SimClock; run: () => void }[] = []
  /** Set by the world: an exception out of an event of `owner`. */
  failed: (owner: SimClock | null, error: unknown) => void = (_owner, error) => {
    throw error
  }
  /** Set when tracing. */
  traced: ((owner: SimClock | null, name: string) => void) | null = null

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  /** Events waiting, cancelled ones included. */
  get waiting(): number {
    return this.#heap.length
  }

  /** Mixes a number into the trace's hash: lengths of what was delivered, for example. */
  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193)
  }

  /** Runs `run` at `at`. `owner`: whose turn it is; an event that is not `mortal` runs though its owner is dead. */
  at(at: number, owner: SimClock | null, name: string, run: () => void, mortal = true): Timer {
    const entry = new Entry(Math.max(at, this.now), this.#sequence++, owner, name, run, mortal)
    const heap = this.#heap
    let index = heap.length
    heap.push(entry)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(entry, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = entry
    return entry
  }

  after(delayMs: number, owner: SimClock | null, name: string, run: () => void, mortal = true): Timer {
    return this.at(this.now + delayMs, owner, name, run, mortal)
  }

  soon(owner: SimClock, run: () => void): void {
    this.#soon.push({ owner, run })
  }

  /** Runs everything up to and including `until`. */
  runUntil(until: number): void {
    this.#endTurn()
    while (this.#heap.length > 0 && this.#heap[0]!.at <= until) {
      const entry = this.#pop()
      const { run, owner } = entry
      if (run === null || (entry.mortal && owner?.dead === true)) continue
      entry.run = null
      this.now = entry.at
      this.events++
      this.mix(Math.floor(entry.at * 1024) ^ (owner?.index ?? -1) ^ (entry.name.length << 20))
      this.traced?.(owner, entry.name)
      try {
        run()
      } catch (error) {
        this.failed(owner, error)
      }
      // What reaches one node at one instant is handled in one turn, as a real loop does with several ready sockets.
      const next = this.#heap[0]
      if (this.#soon.length > 0 && !(next !== undefined && next.at === entry.at && next.owner === owner))
        this.#endTurn()
    }
    this.now = Math.max(this.now, until)
  }

  #endTurn(): void {
    for (let round = 0; this.#soon.length > 0; round++) {
      const running = this.#soon
      this.#soon = this.#spare
      this.#spare = running
      for (const { owner, run } of running) {
        if (owner.dead) continue
        try {
          if (round > ROUNDS_MAX) throw new Error('soon calls soon for ever')
          run()
        } catch (error) {
          this.failed(owner, error)
        }
      }
      running.length = 0
    }
  }

  #pop(): Entry {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      const half = heap.length >> 1
      let index = 0
      while (index < half) {
        let child = 2 * index + 1
        if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
        if (!before(heap[child]!, last)) break
        heap[index] = heap[child]!
        index = child
      }
      heap[index] = last
    }
    return top
  }
}

/** One run of one node, as the node's own clock sees it. */
export class SimClock implements Clock {
  readonly #timeline: Timeline
  readonly #monotonicOffset: number
  #wallOffset: number
  /** A number of its own in the world, for the trace. */
  readonly index: number
  readonly label: string
  #dead = false

  constructor(timeline: Timeline, index: number, label: string, monotonicOffset: number, wallMs: number) {
    this.#timeline = timeline
    this.index = index
    this.label = label
    this.#monotonicOffset = monotonicOffset
    this.#wallOffset = wallMs - timeline.now
  }

  get dead(): boolean {
    return this.#dead
  }

  now(): number {
    return this.#timeline.now + this.#monotonicOffset
  }

  wall(): number {
    // A kernel does not take a time before 1970.
    return Math.max(0, Math.floor(this.#timeline.now + this.#wallOffset))
  }

  after(delayMs: number, name: string, run: () => void): Timer {
    return this.#timeline.after(Math.max(0, delayMs), this, name, run)
  }

  soon(run: () => void): void {
    this.#timeline.soon(this, run)
  }

  /** Somebody set the clock of this box. */
  jumpWall(byMs: number): void {
    this.#wallOffset += byMs
  }

  /** The process is gone: none of its timers run any more. */
  kill(): void {
    this.#dead = true
  }
}
