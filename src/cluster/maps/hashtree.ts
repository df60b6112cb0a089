// A hash tree over the keys and stamps of a map's entries, so that two boxes find what differs between them by comparing
// a few hashes. The hash of a leaf is the sum of its entries' hashes, that of a branch the sum of its leaves: it does not
// depend on the order of writes, and all of them follow each write in constant time.
//
//   root - 64 branches - 64 leaves each - the entries whose keys hash there, chained

import type { SharedEntry } from '../../base/shared.ts'
import type { Stamp } from '../../base/stamps.ts'

/** Branches of the root, and leaves of a branch. */
export const FAN = 64
export const LEAVES = FAN * FAN
const LEAF_SHIFT = 20

/** Two independent halves of 32 bits. */
export interface Hash {
  readonly high: number
  readonly low: number
}

/** A sum of hashes. */
class Sum implements Hash {
  high = 0
  low = 0

  add(high: number, low: number): void {
    this.high = (this.high + high) >>> 0
    this.low = (this.low + low) >>> 0
  }
}

class Branch extends Sum {
  readonly heads: (SharedEntry | null)[] = new Array<SharedEntry | null>(FAN).fill(null)
  readonly sums: readonly Sum[] = Array.from({ length: FAN }, () => new Sum())
}

const NOTHING: Hash = { high: 0, low: 0 }

export class HashTree {
  /** Made when something comes into them: most maps of most clusters have a few entries. */
  readonly #branches: (Branch | null)[] = new Array<Branch | null>(FAN).fill(null)
  readonly #root = new Sum()
  #size = 0

  get size(): number {
    return this.#size
  }

  get root(): Hash {
    return copyOf(this.#root)
  }

  branch(branch: number): Hash {
    return copyOf(this.#branches[branch] ?? NOTHING)
  }

  leaf(leaf: number): Hash {
    return copyOf(this.#branches[branchOf(leaf)]?.sums[leaf % FAN] ?? NOTHING)
  }

  add(entry: SharedEntry): void {
    entry.hash = hashOf(entry.key)
    const leaf = leafOf(entry)
    const branch = (this.#branches[branchOf(leaf)] ??= new Branch())
    entry.next = branch.heads[leaf % FAN] ?? null
    branch.heads[leaf % FAN] = entry
    this.#size++
    this.#count(branch, leaf, entry, entry.stamp, 1)
  }

  /** The entry has another stamp than `before`. */
  restamped(entry: SharedEntry, before: Stamp): void {
    const leaf = leafOf(entry)
    const branch = this.#branches[branchOf(leaf)]!
    this.#count(branch, leaf, entry, before, -1)
    this.#count(branch, leaf, entry, entry.stamp, 1)
  }

  isEmpty(leaf: number): boolean {
    return this.#head(leaf) === null
  }

  /** The entries of a leaf as they are now. */
  entries(leaf: number): SharedEntry[] {
    const entries: SharedEntry[] = []
    for (let entry = this.#head(leaf); entry !== null; entry = entry.next) entries.push(entry)
    return entries
  }

  /** Takes those entries out of a leaf that `goes` says so of. */
  sweep(leaf: number, goes: (entry: SharedEntry) => boolean): void {
    const branch = this.#branches[branchOf(leaf)] ?? null
    if (branch === null) return
    let before: SharedEntry | null = null
    for (let entry = branch.heads[leaf % FAN] ?? null; entry !== null; entry = entry.next) {
      if (!goes(entry)) {
        before = entry
        continue
      }
      if (before === null) branch.heads[leaf % FAN] = entry.next
      else before.next = entry.next
      this.#size--
      this.#count(branch, leaf, entry, entry.stamp, -1)
    }
  }

  #head(leaf: number): SharedEntry | null {
    return this.#branches[branchOf(leaf)]?.heads[leaf % FAN] ?? null
  }

  #count(branch: Branch, leaf: number, entry: SharedEntry, stamp: Stamp, sign: 1 | -1): void {
    const high = sign * digest(entry.hash, stamp, 0x811c9dc5)
    const low = sign * digest(entry.hash, stamp, 0x9e3779b9)
    branch.sums[leaf % FAN]!.add(high, low)
    branch.add(high, low)
    this.#root.add(high, low)
  }
}

const copyOf = ({ high, low }: Hash): Hash => ({ high, low })

export const sameHash = (a: Hash, b: Hash): boolean => a.high === b.high && a.low === b.low

/** The leaf of a key with that hash. */
export const leafIn = (hash: number): number => hash >>> LEAF_SHIFT
const branchOf = (leaf: number): number => (leaf / FAN) | 0
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
