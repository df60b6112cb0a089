// Hybrid logical stamps: order across boxes whose clocks are wrong (Kulkarni et al. 2014; CLUSTER 3).
//
//   wall part (ms since 1970, never behind any stamp seen) . counter . node id   compared in this order

import { assert } from './errors.ts'
import { ID_BYTES, type NodeId, readId } from './ids.ts'

export interface Stamp {
  /** Milliseconds since 1970 as the cluster sees it. */
  readonly wallMs: number
  readonly counter: number
  readonly node: NodeId
}

/** Bytes of a stamp on the wire: 6 wall, 2 counter, 8 node id, all big-endian, so that bytes compare like stamps. */
export const STAMP_BYTES = 16
const COUNTER_MAX = 0xffff

export function compareStamps(a: Stamp, b: Stamp): number {
  return a.wallMs - b.wallMs || a.counter - b.counter || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0)
}

export function writeStamp(stamp: Stamp, into: Buffer, at: number): number {
  into.writeUIntBE(stamp.wallMs, at, 6)
  into.writeUInt16BE(stamp.counter, at + 6)
  into.write(stamp.node, at + 8, ID_BYTES, 'hex')
  return at + STAMP_BYTES
}

export function readStamp(from: Buffer, at: number): Stamp {
  return { wallMs: from.readUIntBE(at, 6), counter: from.readUInt16BE(at + 6), node: readId<NodeId>(from, at + 8) }
}

/** A stamp further ahead of our time than this is nobody's time: whoever holds it has a broken clock (CLUSTER 3). */
export const STAMP_AHEAD_MAX_MS = 24 * 3600 * 1000

/** What is kept of how far stamps have gone (stampfloor.ts). */
export interface Floor {
  /** The greatest wall part that an earlier run may have given; 0: there was none. */
  readonly beforeMs: number
  /** What is above `wallMs` was a mistake, and counts no more. */
  lower(wallMs: number): void
  /** Stamps want to go as far as `wallMs`; returns how far they may, until that is on disk. */
  within(wallMs: number): number
}

const NO_FLOOR: Floor = { beforeMs: 0, lower: () => {}, within: () => Number.POSITIVE_INFINITY }

/** Gives stamps, each greater than every stamp given or observed before. One for each node. */
export class StampClock {
  #node: NodeId | null
  readonly #wall: () => number
  readonly #floor: Floor
  #lastWallMs = 0
  #lastCounter = 0

  /** `wall` is cluster time in milliseconds. Node null: `become` says it before the first stamp. */
  constructor(node: NodeId | null, wall: () => number, floor: Floor = NO_FLOOR) {
    this.#node = node
    this.#wall = wall
    this.#floor = floor
    this.#lastWallMs = floor.beforeMs
    // Any counter may have been given with that wall part: the next stamp goes past it.
    if (floor.beforeMs > 0) this.#lastCounter = COUNTER_MAX
  }

  /** The node has this id from now on. */
  become(node: NodeId): void {
    this.#node = node
  }

  /** Null before `become`. */
  get node(): NodeId | null {
    return this.#node
  }

  /** Cluster time in milliseconds. */
  get timeMs(): number {
    return this.#wallMs()
  }

  /** What an earlier run has given is no later. */
  get beforeMs(): number {
    return this.#floor.beforeMs
  }

  /** The wall part of the greatest stamp given or observed. */
  get lastMs(): number {
    return this.#lastWallMs
  }

  /** To be called now and then: what the next stamp may be is kept before it is wanted. */
  look(): void {
    this.#floor.within(Math.max(this.#wallMs(), this.#lastWallMs))
  }

  next(): Stamp {
    assert(this.#node !== null, 'a stamp before the node has an id')
    const wallMs = this.#wallMs()
    const withinMs = this.#floor.within(Math.max(wallMs, this.#lastWallMs))
    this.#advance(Math.min(wallMs, withinMs))
    return { wallMs: this.#lastWallMs, counter: this.#lastCounter, node: this.#node }
  }

  /**
   * Takes note of a stamp from elsewhere; the next one given is greater. False: it is too far ahead of our time, and
   * whatever carries it is to be refused (`clock-ahead`).
   */
  observe(stamp: Stamp): boolean {
    if (stamp.wallMs > Math.max(this.#wallMs(), this.#floor.beforeMs) + STAMP_AHEAD_MAX_MS) return false
    this.recall(stamp)
    return true
  }

  /** The same for a stamp of this node's own disk: what it once took it keeps, whatever its clock says now. */
  recall({ wallMs, counter }: Stamp): void {
    if (wallMs < this.#lastWallMs || (wallMs === this.#lastWallMs && counter <= this.#lastCounter)) return
    this.#lastWallMs = wallMs
    this.#lastCounter = counter
    this.#floor.within(wallMs)
  }

  /**
   * Time was moved back, and stamps as we gave them would be refused everywhere: they follow it again. Whoever keeps
   * stamps that are too far ahead has to write them anew, and to recall all others.
   */
  rebase(): void {
    const wallMs = this.#wallMs()
    if (Math.max(this.#lastWallMs, this.#floor.beforeMs) <= wallMs + STAMP_AHEAD_MAX_MS) return
    this.#lastWallMs = wallMs
    this.#lastCounter = COUNTER_MAX
    this.#floor.lower(wallMs)
  }

  #wallMs(): number {
    return Math.max(0, Math.floor(this.#wall()))
  }

  #advance(wallMs: number): void {
    if (wallMs > this.#lastWallMs) {
      this.#lastWallMs = wallMs
      this.#lastCounter = 0
    } else if (this.#lastCounter < COUNTER_MAX) {
      this.#lastCounter++
    } else {
      this.#lastWallMs++
      this.#lastCounter = 0
    }
  }
}
