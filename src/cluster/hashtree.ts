// A hash tree over the keys and stamps of a map's entries, so that two boxes find what differs between them by comparing
// a few hashes. The hash of a leaf is the sum of its entries' hashes, that of a branch the sum of its leaves: it does not
// depend on the order of writes and follows each in constant time.
//
//   root - 64 branches - 64 leaves each - the entries whose keys hash there, chained

import type { SharedEntry } from '../base/shared.ts'
import type { Stamp } from '../base/stamps.ts'

/** Branches of the root, and leaves of a branch. */
export const FAN = 64
export const LEAVES = FAN * FAN
const LEAF_SHIFT = 20

/** Two independent halves of 32 bits. */
export interface Hash {
  readonly high: number
  readonly low: number
}

export class HashTree {
  readonly #heads: (SharedEntry | null)[] = new Array<SharedEntry | null>(LEAVES).fill(null)
  readonly #high = new Uint32Array(LEAVES)
  readonly #low = new Uint32Array(LEAVES)
  #size = 0

  get size(): number {
    return this.#size
  }

  get root(): Hash {
    return this.#sum(0, LEAVES)
  }

  branch(branch: number): Hash {
    return this.#sum(branch * FAN, (branch + 1) * FAN)
  }

  leaf(leaf: number): Hash {
    return { high: this.#high[leaf]!, low: this.#low[leaf]! }
  }

  add(entry: SharedEntry): void {
    entry.hash = hashOf(entry.key)
    const leaf = leafOf(entry)
    entry.next = this.#heads[leaf]!
    this.#heads[leaf] = entry
    this.#size++
    this.#count(leaf, entry, entry.stamp, 1)
  }

  /** The entry has another stamp than `before`. */
  restamped(entry: SharedEntry, before: Stamp): void {
    const leaf = leafOf(entry)
    this.#count(leaf, entry, before, -1)
    this.#count(leaf, entry, entry.stamp, 1)
  }

  isEmpty(leaf: number): boolean {
    return this.#heads[leaf] === null
  }

  /** The entries of a leaf as they are now. */
  entries(leaf: number): SharedEntry[] {
    const entries: SharedEntry[] = []
    for (let entry = this.#heads[leaf] ?? null; entry !== null; entry = entry.next) entries.push(entry)
    return entries
  }

  /** Takes those entries out of a leaf that `goes` says so of. */
  sweep(leaf: number, goes: (entry: SharedEntry) => boolean): void {
    let before: SharedEntry | null = null
    for (let entry = this.#heads[leaf] ?? null; entry !== null; entry = entry.next) {
      if (!goes(entry)) {
        before = entry
        continue
      }
      if (before === null) this.#heads[leaf] = entry.next
      else before.next = entry.next
      this.#size--
      this.#count(leaf, entry, entry.stamp, -1)
    }
  }

  #sum(from: number, to: number): Hash {
    let high = 0
    let low = 0
    for (let leaf = from; leaf < to; leaf++) {
      high = (high + this.#high[leaf]!) | 0
      low = (low + this.#low[leaf]!) | 0
    }
    return { high: high >>> 0, low: low >>> 0 }
  }

  #count(leaf: number, entry: SharedEntry, stamp: Stamp, sign: 1 | -1): void {
    this.#high[leaf]! += sign * digest(entry.hash, stamp, 0x811c9dc5)
    this.#low[leaf]! += sign * digest(entry.hash, stamp, 0x9e3779b9)
  }
}

export const sameHash = (a: Hash, b: Hash): boolean => a.high === b.high && a.low === b.low

/** The leaf of a key with that hash. */
export const leafIn = (hash: number): number => hash >>> LEAF_SHIFT
const leafOf = (entry: SharedEntry): number => leafIn(entry.hash)

/** In which of so many parts of its leaf an entry is. */
export const partOf = (entry: SharedEntry, parts: number): number => (entry.hash & (2 ** LEAF_SHIFT - 1)) % parts

/** FNV-1a over the key's code units, finished so that its first bits are as good as its last. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  return finish(hash ^ key.length)
}

/** Stamps are never given twice, so that key and stamp together have hardly a double. */
function digest(keyHash: number, { wallMs, counter, node }: Stamp, seed: number): number {
  let hash = mix(seed, keyHash)
  hash = mix(hash, wallMs | 0)
  hash = mix(hash, (wallMs / 2 ** 32) | 0)
  hash = mix(hash, counter)
  return finish(mix(hash, nodeHash(node)))
}

const mix = (hash: number, value: number): number => {
  const mixed = Math.imul(hash ^ value, 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}

/** The last step of MurmurHash3. */
function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return mixed ^ (mixed >>> 16)
}

let lastNode = ''
let lastNodeHash = 0

/** Runs of entries are of one writer. */
function nodeHash(node: string): number {
  if (node !== lastNode) {
    lastNode = node
    lastNodeHash = hashOf(node)
  }
  return lastNodeHash
}
