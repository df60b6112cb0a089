// Hybrid logical stamps: order across boxes whose clocks are wrong (Kulkarni et al. 2014; CLUSTER 3).
//
//   wall part (ms since 1970, never behind any stamp seen) . counter . node id   compared in this order

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

/** Gives stamps, each greater than every stamp given or observed before. */
export class StampClock {
  readonly #node: NodeId
  readonly #wall: () => number
  #lastWallMs = 0
  #lastCounter = 0

  /** `wall` is cluster time in milliseconds; `floorMs` is the greatest wall part this node may have given before. */
  constructor(node: NodeId, wall: () => number, floorMs = 0) {
    this.#node = node
    this.#wall = wall
    this.#lastWallMs = floorMs
    // Any counter may have been given with that wall part: the next stamp goes past it.
    if (floorMs > 0) this.#lastCounter = COUNTER_MAX
  }

  next(): Stamp {
    this.#advance(Math.max(0, Math.floor(this.#wall())))
    return { wallMs: this.#lastWallMs, counter: this.#lastCounter, node: this.#node }
  }

  /** Takes note of a stamp from elsewhere; the next one given is greater. */
  observe(stamp: Stamp): void {
    if (stamp.wallMs < this.#lastWallMs || (stamp.wallMs === this.#lastWallMs && stamp.counter <= this.#lastCounter)) {
      return
    }
    this.#lastWallMs = stamp.wallMs
    this.#lastCounter = stamp.counter
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
