// What a promise stands on: one line of positions per node for everything that an acknowledgement may have to wait for.
// Whatever has to become safe somewhere gets the next position, in a lane of its own: one for the store, one for the
// copies at each member, one for what each member has to say of the messages it was sent.
//
//   store   . . 3 . . 6 . .        staged, and not settled yet
//   copies  . . . . 5 . . .        safe: 2, everything up to there is safe
//   member  . . . 4 . . . .        ours: 2 as well; were 3 settled, safe were 3 and ours 4
//
// What others were sent is in lanes of kind 'theirs'. A member tells the others how far its *own* are safe: if it waited
// for theirs before it said so, two members that send each other messages would wait for each other for ever.
//
// What is parked for a member that is silent is safe when the *store* has it: if that waited for the copies too, a silent
// copy and a silent member would keep a publisher waiting one after the other.

import { assert } from './errors.ts'
import type { Clock } from './ports/clock.ts'

export interface Lane {
  /** Something more has to become safe; returns its position. */
  staged(): number
  /** Nothing of this lane at or below `position` is waited for any more: the higher it is named, the better. */
  settled(position: number): void
  /** Nobody waits for it any more, nor for what it is given later. */
  close(): void
}

/** The lanes of one kind. */
class Front {
  readonly #waiting: PositionLane[] = []
  /** Everything up to here is safe; Infinity: nothing is waited for. */
  safe = Number.POSITIVE_INFINITY
  /** Of what was staged last. */
  last = 0

  add(lane: PositionLane): void {
    this.#waiting.push(lane)
    this.safe = Math.min(this.safe, lane.settledTo)
  }

  /** One of its lanes has moved, or waits no more. */
  look(): void {
    let safe = Number.POSITIVE_INFINITY
    for (let index = this.#waiting.length - 1; index >= 0; index--) {
      const lane = this.#waiting[index]!
      if (lane.isWaiting) safe = Math.min(safe, lane.settledTo)
      else this.#waiting.splice(index, 1)
    }
    this.safe = safe
  }
}

class PositionLane implements Lane {
  readonly #line: Line
  readonly #front: Front
  /** The position of what was staged last. */
  #last = 0
  settledTo = 0
  #closed = false

  constructor(line: Line, front: Front) {
    this.#line = line
    this.#front = front
  }

  get isWaiting(): boolean {
    return this.#last > this.settledTo
  }

  staged(): number {
    const position = ++this.#line.position
    if (this.#closed) return position
    const waited = this.isWaiting
    this.#last = position
    this.#front.last = position
    if (!waited) {
      this.settledTo = position - 1
      this.#front.add(this)
    }
    return position
  }

  settled(position: number): void {
    if (!this.isWaiting || position <= this.settledTo) return
    assert(position <= this.#line.position, 'a position settled that nothing has yet')
    const held = this.settledTo === this.#front.safe
    this.settledTo = position
    if (held || !this.isWaiting) this.#front.look()
    if (held) this.#line.moved()
  }

  close(): void {
    this.#closed = true
    this.settled(this.#line.position)
  }
}

/** What the lanes have in common. */
interface Line {
  position: number
  moved(): void
}

export type LaneKind = 'store' | 'copies' | 'theirs'

export class Positions {
  readonly #clock: Clock
  readonly #line: Line
  readonly #store = new Front()
  readonly #copies = new Front()
  readonly #theirs = new Front()
  readonly #watchers: (() => void)[] = []
  #telling = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#line = { position: 0, moved: () => this.#tellSoon() }
  }

  /** Of what was staged last, in whichever lane. */
  get position(): number {
    return this.#line.position
  }

  /** Everything up to here is safe. */
  get safe(): number {
    return Math.min(this.#line.position, this.#store.safe, this.#copies.safe, this.#theirs.safe)
  }

  /** Everything up to here is safe as far as this node and its copies are concerned. */
  get ours(): number {
    return Math.min(this.#line.position, this.#store.safe, this.#copies.safe)
  }

  /** Everything up to here that was for the store is there. */
  get stored(): number {
    return Math.min(this.#line.position, this.#store.safe)
  }

  /** Of what was staged last in a lane of 'theirs'. */
  get asked(): number {
    return this.#theirs.last
  }

  lane(of: LaneKind): Lane {
    return new PositionLane(this.#line, of === 'store' ? this.#store : of === 'copies' ? this.#copies : this.#theirs)
  }

  /** `moved` is called when `safe`, `ours` or `stored` has grown by something that was settled, at the end of that turn. */
  watch(moved: () => void): void {
    this.#watchers.push(moved)
  }

  /** Not from within whatever has just staged or settled: those who wait must not find it half done. */
  #tellSoon(): void {
    if (this.#telling) return
    this.#telling = true
    this.#clock.soon(this.#tell)
  }

  readonly #tell = (): void => {
    this.#telling = false
    for (const moved of this.#watchers) moved()
  }
}
